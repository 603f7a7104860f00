"""Flow `evaluate`: judge one model, or several on the same specs, without training anything."""

from collections.abc import Sequence
from functools import partial

from prefect import flow

from flows.prefect_side.ui import progress
from flows.presets import BASE_MODEL, check_split, overrides_for, plays_as_it_is
from flows.results.summary import score_of, span_of
from flows.run import open_run
from leap_core.method.evaluation import compare
from leap_core.method.tables import read_trajectories
from leap_core.report import formats
from leap_core.types import ArtifactRef, Comparison, EvaluationResult, Record, Split
from tasks.base_student import provide_base_student
from tasks.evaluation import evaluate as evaluate_stage
from tasks.evaluation import read_result
from tasks.run import Run
from tasks.specs import prepare_specs


class JudgedModel(Record):
    """How one model did. `cost_usd` is what its replies cost when they were paid for, None where that is unknown."""

    model: str
    artifact: str
    result: EvaluationResult
    cost_usd: float | None


class Judgement(Record):
    """Models in the order they were named, and how the first compares with each other one on the specs they share.

    `preset` and `split` are what all were judged by.
    """

    preset: str
    split: Split
    models: list[JudgedModel]
    comparisons: list[Comparison]

    @property
    def lines(self) -> list[str]:
        """A table for people, one model a line, then one comparison a line."""
        width = max(len("model"), *(len(one.model) for one in self.models))
        by_score = any(one.result.figure == "score" for one in self.models)
        figures = "score  interval        success" if by_score else "success  interval          score"
        head = f"{'model':<{width}}  split  {figures}  actions    n  errors  cost"
        rows = [f"{one.model:<{width}}  {_row(one)}" for one in self.models]
        parts = [f"{one.model}: mean score {score_of(one.result)}" for one in self.models if one.result.mean_parts]
        by = f"Judged on the {self.split} split by the settings of {self.preset}."
        return [head, *rows, *parts, *map(_sentence, self.comparisons), by]


def _row(judged: JudgedModel) -> str:
    result = judged.result
    interval, success, score = span_of(result, result.figure), f"{result.success:>7.1%}", f"{result.mean_score:5.3f}"
    figures = (
        f"{score}  {interval:<14}  {success}" if result.figure == "score" else f"{success}  {interval:<16}  {score}"
    )
    cost = "-" if judged.cost_usd == 0 else formats.cost(judged.cost_usd)
    return (
        f"{result.split:<5}  {figures}  "
        f"{result.mean_actions:7.1f}  {result.num_episodes:3}  {result.num_errors:6}  {cost}"
    )


def _sentence(pair: Comparison) -> str:
    """How two models compare, in words: first by the figure that decides, then by the other one."""
    success = (
        f"{100 * pair.difference:+.1f} points of success "
        f"[{100 * pair.interval.low:+.1f}, {100 * pair.interval.high:+.1f}]"
    )
    score = (
        f"{pair.score_difference:+.3f} of mean score [{pair.score_interval.low:+.3f}, {pair.score_interval.high:+.3f}]"
    )
    first, then = (score, success) if pair.figure == "score" else (success, score)
    return (
        f"{pair.first} against {pair.second}: {first} on the same {pair.num_episodes} specs; {then}; "
        f"{pair.num_only_first} solved by the first alone, {pair.num_only_second} by the second alone"
    )


@flow(name="evaluate", flow_run_name="evaluate {models} on {split}")
def evaluate(
    models: list[str] | None = None,
    split: str = "test",
    preset: str = "demo",
    overrides: list[str] | None = None,
    home: str | None = None,
) -> dict[str, object]:
    """Play every spec of a split with each model.

    Args:
        models: each a training artifact (`training/demo-i3-1a2b3c4d`, or a unique part of that); `base`, the model
            that `student.model` names, before any training; or `openai:NAME`, a model at the endpoint
            `execution.student` that plays as it is, prompted only (ReAct). None: `base` alone.
        split: train, dev or test.
        preset: a name in flows/presets, or a path to a TOML file.
        overrides: `section.key=value` each.
        home: where artifacts go; none: LEAP_HOME, else ./data.

    Returns:
        A `Judgement`, as JSON values.
    """
    names = models or [BASE_MODEL]
    players = [(name, open_run(preset, overrides_for(name, overrides or []), home)) for name in names]
    return judge(players, preset, check_split(split)).model_dump(mode="json")


def judge(players: Sequence[tuple[str, Run]], preset: str, split: Split) -> Judgement:
    """Let each model play in a run of its own, then compare the first with the others."""
    judged, played = [], []
    for name, run in players:
        with progress(run, partial(walk_evaluate, model=name, split=split)):
            ref = walk_evaluate(run, name, split)
        result, cost = read_result(run.store.path(ref)), run.store.record(ref).usage.cost_usd
        judged.append(JudgedModel(model=name, artifact=ref.id, result=result, cost_usd=cost))
        played.append((name, read_trajectories(run.store.path(ref))))
    confidence, figure = players[0][1].config.evaluation.confidence, judged[0].result.figure
    comparisons = [compare(played[0], other, confidence, figure) for other in played[1:]]
    return Judgement(preset=preset, split=split, models=judged, comparisons=comparisons)


def walk_evaluate(run: Run, model: str, split: Split) -> ArtifactRef:
    """Find the model and let it play.

    Raises:
        ArtifactError: there is no such model, or more than one, or it is damaged.
    """
    if model == BASE_MODEL or plays_as_it_is(model):
        ref, iteration = provide_base_student(run), 0
    else:
        ref = run.store.find("training", model)
        iteration = run.store.record(ref).iteration or 0
    return evaluate_stage(run, iteration, prepare_specs(run, split), ref, split)
