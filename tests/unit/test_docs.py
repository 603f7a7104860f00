"""Pages for people: links lead somewhere, commands exist, settings are known, and every page is in the navigation."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
import yaml
from markdown_pages import PAGES, ROOT, SHELL, blocks_of, commands_of

from flows.command.main import app
from flows.presets import find_preset, overrides_for
from leap_core.config import load_config
from leap_core.loading import check_names

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ELSEWHERE = re.compile(r"https?://|mailto:")
OTHER_PROGRAMS = {
    "export": "sets a variable of the shell",
    "cp": "copies a preset",
    "pip": "installs packages",
    "sudo": "installs packages of the system",
    "prefect": "tests/integration/test_prefect_deployment.py runs these",
}
COMMANDS = [
    pytest.param(command, id=f"{page.relative_to(ROOT)}: {' '.join(command)}")
    for page in PAGES
    for block in blocks_of(page)
    if block.language in SHELL
    for command in commands_of(block)
]


def prose_of(page):
    """A page without its fences and code, in which nothing is a link."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`", "", text)


def anchors_of(page):
    """The anchors of a page's headings, as GitHub and mkdocs both make them."""
    titles = HEADING.findall(re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S))
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in LINK.findall(prose_of(page)):
        if ELSEWHERE.match(target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.relative_to(ROOT)} links to {target}, which is not there"
        assert not anchor or anchor in anchors_of(linked), (
            f"{page.relative_to(ROOT)} links to {target}: no such heading"
        )
        if ROOT / "docs" in page.parents:
            assert ROOT / "docs" in linked.parents, f"{page.relative_to(ROOT)} links out of the site, to {target}"


def test_every_page_is_in_the_navigation():
    def pages_in(entry):
        if isinstance(entry, str):
            return {entry}
        return {page for each in (entry.values() if isinstance(entry, dict) else entry) for page in pages_in(each)}

    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    docs = ROOT / "docs"
    assert pages_in(navigation) == {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}


def test_readme_is_short():
    assert (ROOT / "README.md").stat().st_size <= 8_000


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_exist(command, tmp_path, monkeypatch):
    program, *arguments = command
    if program == "leap":
        monkeypatch.chdir(tmp_path)
        check_leap(arguments)
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert set(arguments) <= set(targets)
    elif program in ("python", ".venv/bin/python"):
        name = arguments[1] if arguments[0] == "-m" else arguments[0]
        assert find_spec(name) if arguments[0] == "-m" else (ROOT / name).is_file()
    else:
        assert program in OTHER_PROGRAMS, f"nothing is known of {shlex.join(command)}"


def check_leap(arguments):
    """Parse a command as `leap` would, without running it, and check the preset and the settings that it names."""
    context = typer.main.get_command(app).make_context("leap", [*arguments], resilient_parsing=True)
    rest = [*arguments]
    while hasattr(context.command, "commands"):
        name, command, rest = context.command.resolve_command(context, rest)
        assert command, f"there is no such command: leap {shlex.join(arguments)}"
        context = command.make_context(name, rest, parent=context, resilient_parsing=hasattr(command, "commands"))
    given = context.params
    if "overrides" not in given:
        return
    if given["preset"] == "mine.toml":  # "a copy of alfworld.toml"
        Path("mine.toml").write_text(find_preset("alfworld").read_text(encoding="utf-8"), encoding="utf-8")
    for model in given.get("models") or ["base"]:
        # A model of the reader's own is not here.
        settings = [one for one in given["overrides"] or [] if not one.startswith("student.model=/")]
        check_names(load_config(find_preset(given["preset"]), overrides_for(model, settings)))


def test_the_page_of_settings_is_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from generate_settings import PAGE, render

    assert PAGE.read_text(encoding="utf-8") == render(), "run `python docs/generate_settings.py`"
