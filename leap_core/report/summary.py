"""What a report says in words and totals, worked out from its records: headline, hints, tiles, tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leap_core.report import formats
from leap_core.report.model import ReportData, StageReport
from leap_core.types import EvaluationResult


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure of the strip below the headline."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class GroupTable:
    """The figure that decides, by group: a column for each evaluation, a row for each group."""

    columns: list[EvaluationResult]
    groups: list[str]


@dataclass(frozen=True, kw_only=True)
class StageTotal:
    """Sums over some stages. `cost_usd` is the known part; `num_unknown` stages have no known cost."""

    label: str
    seconds: float
    cost_usd: float
    num_unknown: int


def headline(data: ReportData) -> str:
    """Say the result in one line: before, after, and which iteration was chosen."""
    kind, *compared = _compared(data)
    results = [result for result in compared if result is not None]
    if not results:
        return "No evaluation yet"
    change = " → ".join(formats.figure(result.deciding, result.figure) for result in results)
    return f"{kind} {formats.FIGURES[data.figure]} {change} ({_which(data, results[-1].iteration)})"


def _compared(data: ReportData) -> tuple[str, EvaluationResult | None, EvaluationResult | None]:
    """Pick what the headline compares: iteration 0 and the best, on the split of the first test result, else on dev."""
    dev = {i.iteration: i.dev for i in data.iterations if i.dev is not None}
    test = {result.iteration: result for result in reversed(data.test) if result.split == data.test[0].split}
    kind, results = ("Test", test) if test else ("Dev", dev)
    last = max(results, default=None)
    best = data.best_iteration if data.best_iteration in results else last
    before = results.get(0) if best != 0 else None
    return kind, before, results.get(best) if best is not None else None


def _which(data: ReportData, iteration: int) -> str:
    if iteration != data.best_iteration:
        return f"iteration {iteration}"
    if iteration == 0 and len(data.iterations) > 1:
        return "best on dev: iteration 0, no later one did better"
    return f"best on dev: iteration {iteration}"


def hints(data: ReportData) -> list[str]:
    """Say what is missing or must be read with care."""
    return [*_missing(data), *_failed_episodes(data), *_short_trainings(data), *_overlap(data)]


def _missing(data: ReportData) -> Iterable[str]:
    without_dev = [str(i.iteration) for i in data.iterations if i.dev is None]
    if not data.iterations:
        yield "No iteration has finished yet."
    if without_dev:
        yield f"No dev evaluation of iteration {', '.join(without_dev)}."
    if not data.test and len(without_dev) < len(data.iterations):
        yield "No test evaluation yet: the figures are from dev, on which the best iteration is chosen."
    if data.test and data.best_iteration not in {None, *(result.iteration for result in data.test)}:
        yield f"The best iteration on dev, {data.best_iteration}, has not been evaluated on test."


def _failed_episodes(data: ReportData) -> Iterable[str]:
    for result in [i.dev for i in data.iterations if i.dev is not None] + data.test:
        where = f"Iteration {result.iteration}, {result.split}"
        if result.num_errors:
            yield (
                f"{where}: {result.num_errors:,} episodes failed to run. They have no score and are left out of the "
                "figures."
            )
        if result.num_out_of_context:
            yield (
                f"{where}: {result.num_out_of_context:,} episodes failed because a prompt was longer than the model "
                "reads. They count with a score of 0."
            )
        if result.num_suspect:
            yield (
                f"{where}: {result.num_suspect:,} successes are suspect, as the score may have been steered. They are "
                "in the figures; `suspicion` in the episodes' table says why."
            )


def _short_trainings(data: ReportData) -> Iterable[str]:
    for one in data.iterations:
        if one.num_updates < one.num_warmup:
            yield (
                f"Iteration {one.iteration} was trained for {one.num_updates:,} updates, fewer than the "
                f"{one.num_warmup:,} of its warm-up: it has hardly been trained."
            )


def _overlap(data: ReportData) -> Iterable[str]:
    _, before, after = _compared(data)
    if before is None or after is None:
        return
    old, new = before.deciding_interval, after.deciding_interval
    if old.high >= new.low and new.high >= old.low:
        yield "The intervals before and after overlap: the difference may be chance."


def tiles(data: ReportData) -> list[Tile]:
    """Choose the figures that a reader wants first; what is not there has no tile."""
    return [*_result_tiles(data), *_correction_tile(data), *_stage_tiles(data)]


def _result_tiles(data: ReportData) -> Iterable[Tile]:
    kind, before, after = _compared(data)
    if after is None:
        return
    span = formats.figure_span(after.deciding_interval, after.figure)
    yield Tile(
        label=f"{kind} {formats.FIGURES[after.figure]}",
        value=formats.figure(after.deciding, after.figure),
        detail=f"{span}, {after.num_episodes:,}{formats.NBSP}episodes",
    )
    if before is None:
        yield Tile(label="Actions per episode", value=formats.number(after.mean_actions), detail=f"on {after.split}")
        return
    yield Tile(
        label="Against iteration 0",
        value=formats.gain(after.deciding - before.deciding, after.figure),
        detail=f"from {formats.figure(before.deciding, before.figure)}",
    )
    yield Tile(
        label="Actions per episode",
        value=formats.number(after.mean_actions),
        detail=f"from {formats.number(before.mean_actions)}",
    )


def _correction_tile(data: ReportData) -> Iterable[Tile]:
    total = sum(i.corrections.total for i in data.iterations)
    if total:
        rejected = sum(i.corrections.rejected for i in data.iterations)
        yield Tile(
            label="Steps corrected", value=formats.count(total), detail=f"{formats.percent(rejected / total)} rejected"
        )


def _stage_tiles(data: ReportData) -> Iterable[Tile]:
    if not data.stages:
        return
    total = stage_totals(data.stages)[0]
    cached = sum(stage.state == "cached" for stage in data.stages)
    detail = f"{cached} of {len(data.stages)} stages cached"
    yield Tile(label="Stage time", value=formats.duration(total.seconds), detail=detail)
    known = f"known part {formats.cost(total.cost_usd)}" if total.num_unknown else "all stages"
    cost = formats.cost(None if total.num_unknown else total.cost_usd)
    yield Tile(label="Cost", value=cost, detail=known)


def evaluations(data: ReportData) -> list[EvaluationResult]:
    """List every evaluation: dev by iteration, then test by split and iteration."""
    dev = [i.dev for i in data.iterations if i.dev is not None]
    return sorted(dev, key=lambda r: r.iteration) + sorted(data.test, key=lambda r: (r.split, r.iteration))


def part_names(data: ReportData) -> list[str]:
    """The parts of the score that some evaluation tells, in their order; none where the score has no parts."""
    return list(dict.fromkeys(name for result in evaluations(data) for name in result.mean_parts))


def group_table(data: ReportData) -> GroupTable | None:
    """Lay out the figure that decides by group; None where no evaluation tells groups apart."""
    columns = [result for result in evaluations(data) if result.deciding_by_group]
    groups = sorted({group for result in columns for group in result.deciding_by_group})
    return GroupTable(columns=columns, groups=groups) if groups else None


def stage_totals(stages: Sequence[StageReport]) -> list[StageTotal]:
    """Sum over all stages, and over those that this run worked on, where that differs."""
    worked = [stage for stage in stages if stage.state != "cached"]
    totals = [_stage_total(f"All {len(stages)} stages", stages)]
    if len(worked) < len(stages):
        totals.append(_stage_total(f"Made in this run: {len(worked)}", worked))
    return totals


def _stage_total(label: str, stages: Sequence[StageReport]) -> StageTotal:
    return StageTotal(
        label=label,
        seconds=sum(stage.seconds for stage in stages),
        cost_usd=sum(stage.cost_usd for stage in stages if stage.cost_usd is not None),
        num_unknown=sum(stage.cost_usd is None for stage in stages),
    )


def flat_config(config: object, path: str = "") -> list[tuple[str, object]]:
    """Flatten nested settings to `section.key` and value, in order of the keys, plain keys before sections."""
    if not isinstance(config, dict) or (path and not config):
        return [(path, config)]
    keys = sorted(config, key=lambda key: (isinstance(config[key], dict), key))
    return [row for key in keys for row in flat_config(config[key], f"{path}.{key}" if path else key)]
