"""Flow `evaluate`: judge one model on one split, without training anything."""

from prefect import flow

from flows.opening import check_split
from flows.publishing import progress
from flows.running import open_run
from leap_core.types import ArtifactRef
from tasks.base_student import provide_base_student
from tasks.evaluation import evaluate as evaluate_stage
from tasks.evaluation import read_result
from tasks.privileged import reveal_privileged_states
from tasks.specs import prepare_specs
from tasks.stage import Run


@flow(name="evaluate", flow_run_name="evaluate {model} on {split}")
def evaluate(
    model: str = "base",
    split: str = "test",
    preset: str = "demo",
    overrides: list[str] | None = None,
    home: str | None = None,
) -> dict[str, object]:
    """Play every spec of a split with one model.

    Args:
        model: a training artifact (`training/demo-i3-1a2b3c4d`, or a unique part of that), or `base` for the model
            that the preset's `student.model` names, before any training.
        split: train, dev or test.
        preset: a name in flows/presets, or a path to a TOML file.
        overrides: `section.key=value` each.
        home: where artifacts go; none: LEAP_HOME, else ./data.

    Returns:
        The result, as JSON values.
    """
    run = open_run(preset, overrides or [], home)
    with progress(run, lambda run: walk_evaluate(run, model, split)):
        done = walk_evaluate(run, model, split)
    return read_result(run.store.path(done)).model_dump(mode="json")


def walk_evaluate(run: Run, model: str, split: str) -> ArtifactRef:
    """Find the model and let it play.

    Raises:
        UnknownNameError: there is no such split.
        ArtifactError: there is no such model, or more than one, or it is damaged.
    """
    known = check_split(split)
    if model == "base":
        train = prepare_specs(run, "train")
        ref, iteration = provide_base_student(run, train, reveal_privileged_states(run, train)), 0
    else:
        ref = run.store.find("training", model)
        iteration = run.store.record(ref).iteration or 0
    return evaluate_stage(run, iteration, prepare_specs(run, known), ref, known)
