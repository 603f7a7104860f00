"""Line charts over iterations as inline SVG, made here so that a report needs no script or library to show them.

All text passes through `Markup.format`, which escapes it. Colours come from the page's style sheet by class.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from leap_core.report import formats
from leap_core.report.model import ReportData
from leap_core.types import EvaluationResult

WIDTH, HEIGHT = 470, 290
LEFT, RIGHT, TOP, BOTTOM = 52, 34, 18, 46
MAX_TICKS = 12
MAX_LABELLED = 7
DEV_SHIFT, TEST_SHIFT = -6.0, 7.0
"""Points of one iteration stand side by side, in pixels, so that their error bars do not hide each other."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A value, and its interval where there is one, in the units of the axis."""

    iteration: int
    value: float
    low: float | None = None
    high: float | None = None
    label: str
    tooltip: str
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The vertical axis: from 0 to `top`, a gridline every `step`."""

    title: str
    top: float
    step: float
    limit: float | None = None


@dataclass(frozen=True)
class Scale:
    """Turns an iteration and a value into pixels."""

    first: int
    last: int
    top: float
    apart: bool

    @property
    def slot(self) -> float:
        """Width of one iteration."""
        return (WIDTH - LEFT - RIGHT) / (self.last - self.first + 1)

    def x(self, iteration: int, shift: float = 0.0) -> float:
        """Middle of the iteration's slot, moved by `shift` pixels: less in a narrow slot, not at all for one series."""
        middle = LEFT + (iteration - self.first + 0.5) * self.slot
        return middle + shift * min(1.0, self.slot / 34) * self.apart

    def y(self, value: float) -> float:
        """Height of a value; what is above the axis is drawn at its top."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(value, self.top) / self.top)


def deciding_chart(data: ReportData) -> Markup:
    """Draw the figure that decides on dev with its intervals, and the test results, against the iteration."""
    axis = Axis(title="episodes that succeed, %", top=100, step=20)
    if data.figure == "score":
        axis = Axis(title="score of an episode, mean", top=1, step=0.2)
    dev = [_deciding_point(result, data.best_iteration) for result in _dev(data)]
    title = f"{formats.FIGURES[data.figure].capitalize()} by iteration"
    return _chart(title, axis, dev, [_deciding_point(result, None) for result in _test(data)])


def actions_chart(data: ReportData) -> Markup:
    """Draw the mean number of actions in an episode against the iteration, with the limit on actions."""
    dev = [_actions_point(r, data.best_iteration) for r in _dev(data) if formats.is_number(r.mean_actions)]
    test = [_actions_point(r, None) for r in _test(data) if formats.is_number(r.mean_actions)]
    limit = _action_limit(data)
    highest = max([point.value for point in dev + test] + [limit or 1.0])
    step = _nice_step(highest)
    axis = Axis(title="actions in an episode, mean", top=step * math.ceil(highest / step), step=step, limit=limit)
    return _chart("Actions by iteration", axis, dev, test)


def _dev(data: ReportData) -> list[EvaluationResult]:
    results = [iteration.dev for iteration in data.iterations if iteration.dev is not None]
    return sorted((result for result in results if formats.is_number(result.deciding)), key=lambda r: r.iteration)


def _test(data: ReportData) -> list[EvaluationResult]:
    results = [result for result in data.test if formats.is_number(result.deciding)]
    return sorted(results, key=lambda result: (result.iteration, result.split))


def _deciding_point(result: EvaluationResult, best: int | None) -> Point:
    value, interval, unit, digits = result.deciding, result.deciding_interval, 100, 0
    if result.figure == "score":
        unit, digits = 1, 2
    return Point(
        iteration=result.iteration,
        value=unit * value,
        low=unit * interval.low,
        high=unit * interval.high,
        label=f"{unit * value:.{digits}f}",
        tooltip=f"Iteration {result.iteration}, {result.split}: {formats.figure(value, result.figure)} "
        f"({formats.figure_span(interval, result.figure)}), {result.num_episodes:,} episodes",
        best=result.iteration == best,
    )


def _actions_point(result: EvaluationResult, best: int | None) -> Point:
    return Point(
        iteration=result.iteration,
        value=result.mean_actions,
        label=f"{result.mean_actions:.1f}",
        tooltip=f"Iteration {result.iteration}, {result.split}: {result.mean_actions:.1f} actions in an episode",
        best=result.iteration == best,
    )


def _action_limit(data: ReportData) -> float | None:
    for name in ("evaluation", "environment"):
        section = data.config.get(name)
        limit = section.get("max_steps") if isinstance(section, dict) else None
        if isinstance(limit, int | float) and limit > 0:
            return float(limit)
    return None


def _nice_step(highest: float) -> float:
    """Choose 1, 2 or 5 times a power of ten so that four to eight gridlines reach `highest`."""
    power = 10.0 ** math.floor(math.log10(max(highest, 1) / 4))
    return next((factor * power for factor in (1, 2, 5) if highest / (factor * power) <= 6), 10 * power)


def _chart(title: str, axis: Axis, dev: Sequence[Point], test: Sequence[Point]) -> Markup:
    iterations = [point.iteration for point in (*dev, *test)]
    if not iterations:
        return Markup('<p class="empty">No evaluation yet: nothing to draw.</p>')
    scale = Scale(min(iterations), max(iterations), axis.top, apart=bool(dev and test))
    parts = [*_grid(axis, scale), *_iteration_ticks(scale), *_limit(axis, scale), *_lines(dev, scale)]
    parts += [_mark(point, scale, "dev", DEV_SHIFT) for point in dev]
    parts += [_mark(point, scale, "test", TEST_SHIFT) for point in test]
    parts += _labels(dev, test, scale)
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, f"{title}. {'; '.join(point.tooltip for point in (*dev, *test))}.", Markup("").join(parts)
    )


def _grid(axis: Axis, scale: Scale) -> Iterator[Markup]:
    for index in range(round(axis.top / axis.step) + 1):
        value = index * axis.step
        y = scale.y(value)
        yield Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(LEFT, WIDTH - RIGHT, y, y)
        yield _text(LEFT - 7, y + 4, "tick end", f"{value:g}")
    title = '<text class="title" transform="translate(11 {:.1f}) rotate(-90)">{}</text>'
    yield Markup(title).format(TOP + (HEIGHT - TOP - BOTTOM) / 2, axis.title)
    yield _text(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 8, "title", "iteration (0 is behaviour cloning)")


def _iteration_ticks(scale: Scale) -> Iterator[Markup]:
    every = math.ceil((scale.last - scale.first + 1) / MAX_TICKS)
    for iteration in range(scale.first, scale.last + 1, every):
        yield _text(scale.x(iteration), HEIGHT - BOTTOM + 17, "tick", str(iteration))


def _limit(axis: Axis, scale: Scale) -> Iterator[Markup]:
    if axis.limit is not None:
        y = scale.y(axis.limit)
        line = '<line class="limit" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
        yield Markup(line).format(LEFT, WIDTH - RIGHT, y, y)
        yield _text(WIDTH - RIGHT, y + 14, "tick end", f"limit of {axis.limit:g}")


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    """Split the line where an iteration has no result: drawing across the gap would invent one."""
    runs = [[point] for point in points[:1]]
    for before, point in pairwise(points):
        if point.iteration == before.iteration + 1:
            runs[-1].append(point)
        else:
            runs.append([point])
    return [run for run in runs if len(run) > 1]


def _lines(points: Sequence[Point], scale: Scale) -> Iterator[Markup]:
    """Draw the bands of the intervals, and the lines through the values over them."""
    for run in _runs([point for point in points if point.low is not None and point.high is not None]):
        upper = [(point.iteration, point.high or 0.0) for point in run]
        lower = [(point.iteration, point.low or 0.0) for point in reversed(run)]
        yield Markup('<polygon class="band" points="{}"/>').format(_coordinates(upper + lower, scale))
    for run in _runs(points):
        where = _coordinates([(point.iteration, point.value) for point in run], scale)
        yield Markup('<polyline class="line" points="{}"/>').format(where)


def _coordinates(places: Iterable[tuple[int, float]], scale: Scale) -> str:
    return " ".join(f"{scale.x(iteration, DEV_SHIFT):.1f},{scale.y(value):.1f}" for iteration, value in places)


def _mark(point: Point, scale: Scale, kind: str, shift: float) -> Markup:
    x, y = scale.x(point.iteration, shift), scale.y(point.value)
    parts = [Markup("<title>{}</title>").format(point.tooltip)]
    if point.low is not None and point.high is not None:
        top, bottom = scale.y(point.high), scale.y(point.low)
        bar = '<path class="bar" d="M{0:.1f} {1:.1f}V{2:.1f}M{3:.1f} {1:.1f}h6M{3:.1f} {2:.1f}h6"/>'
        parts.append(Markup(bar).format(x, top, bottom, x - 3))
    if point.best:
        parts.append(Markup('<circle class="ring" cx="{:.1f}" cy="{:.1f}" r="8"/>').format(x, y))
    shape = '<circle class="dot" cx="{0:.1f}" cy="{1:.1f}" r="4"/>'
    if kind == "test":
        shape = '<path class="dot" d="M{0:.1f} {1:.1f}m0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>'
    parts.append(Markup(shape).format(x, y))
    parts.append(Markup('<circle class="hit" cx="{:.1f}" cy="{:.1f}" r="11"/>').format(x, y))
    return Markup('<g class="{}">{}</g>').format(kind, Markup("").join(parts))


def _labels(dev: Sequence[Point], test: Sequence[Point], scale: Scale) -> Iterator[Markup]:
    """Write values beside the points while there is room; tooltips and the table below have them all."""
    if scale.last - scale.first >= MAX_LABELLED:
        return
    for point in dev:
        y = scale.y(point.value) + (16 if _rises(dev, point.iteration - 1, point.value) else -7)
        yield _text(scale.x(point.iteration, DEV_SHIFT) - 9, y, "value dev end", point.label)
    for point in test:
        y = scale.y(point.value) + (15 if _rises(dev, point.iteration + 1, point.value) else -5)
        yield _text(scale.x(point.iteration, TEST_SHIFT) + 8, y, "value test start", point.label)


def _rises(points: Sequence[Point], iteration: int, value: float) -> bool:
    """Tell whether the line at `iteration` is above `value`: a label beside it then stands below the point."""
    return any(point.iteration == iteration and point.value > value for point in points)


def _text(x: float, y: float, css: str, text: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(css, x, y, text)
