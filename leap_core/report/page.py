"""Writes a report: one HTML file that needs nothing else, the same bytes for the same data."""

import hashlib
import json
from base64 import b64encode
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from leap_core.disk.files import write_atomically
from leap_core.report import charts, formats, summary
from leap_core.report.episodes import episodes_json
from leap_core.report.model import ReportData


def write_report(data: ReportData, path: Path) -> Path:
    """Write the page to `path` in one move, so that a reader never sees half of it.

    Missing parent directories are made. Equal data gives equal bytes, whatever the order of keys in its dicts.

    Raises:
        ArtifactError: the disk is full or the place is not writable.
    """
    write_atomically(path, lambda file: file.write(render(data).encode()))
    return path


def render(data: ReportData) -> str:
    """Make the whole page as text."""
    script = _asset("report.js")
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            data=data,
            iterations=sorted(data.iterations, key=lambda iteration: iteration.iteration),
            headline=summary.headline(data),
            hints=summary.hints(data),
            tiles=summary.tiles(data),
            deciding_chart=charts.deciding_chart(data),
            figure_name=formats.FIGURES[data.figure],
            actions_chart=charts.actions_chart(data),
            evaluations=summary.evaluations(data),
            part_names=summary.part_names(data),
            groups=summary.group_table(data),
            stage_totals=summary.stage_totals(data.stages) if data.stages else [],
            settings=summary.flat_config(data.config),
            episodes_json=episodes_json(data.episodes),
            style=_asset("report.css"),
            script=script,
            # By it the page's content security policy names its one script: the browser then runs no other.
            script_hash="sha256-" + b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("leap_core.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=formats.number,
        count=formats.count,
        percent=formats.percent,
        duration=formats.duration,
        cost=formats.cost,
        counts=formats.counts,
        json=lambda value: json.dumps(value, ensure_ascii=False, sort_keys=True),
    )
    return environment


def _asset(name: str) -> Markup:
    """Read a file of our own that goes into the page as it is."""
    return Markup(files("leap_core.report").joinpath("templates", name).read_text(encoding="utf-8"))
