"""Whether what a planned run needs is there: asked before anything is made for it, not hours later by a stage."""

from collections.abc import Sequence

from flows.forecast.endpoints import check_endpoints
from flows.forecast.lengths import foresee_left_out
from flows.forecast.updates import foresee_trainings
from leap_core.config import LeapConfig
from leap_core.loading import load_suite
from leap_core.prompts import load_prompts
from leap_core.students.examination.findings import Purpose
from leap_core.students.loading import resolve_device
from leap_core.students.weights import BUNDLED, TINY, find_model
from leap_core.types import Message, Observation, Spec
from tasks.base_student import BASE
from tasks.stage import Run, StageOutcome
from tasks.training import TRAINING


def check_plan(run: Run) -> list[str]:
    """What of a planned run may not be meant, in lines.

    Raises:
        LeapError: stages lack data, a device, a key, or the price of a budget; or the model cannot be used so.
    """
    check_data(run.config, run.outcomes)
    check_device(run.config, run.outcomes)
    check_endpoints(run)
    return note_models_and_rows(run)


def note_models_and_rows(run: Run) -> list[str]:
    """What is worth a note on the model that a plan begins with, and on the rows of its trainings, in lines.

    Raises:
        StudentError: the model cannot be used so.
    """
    warnings = [training.warning for training in foresee_trainings(run) if training.warning]
    return [*check_student(run.config, run.outcomes), *foresee_left_out(run), *warnings]


def check_device(config: LeapConfig, outcomes: Sequence[StageOutcome]) -> None:
    """Raise LeapError where a stage of a plan would use a device that is not there."""
    to_run = {outcome.stage for outcome in outcomes if outcome.state == "run"}
    plays_here = config.student.kind == "hf" and to_run & {"rollout", "evaluation"}
    # torch takes seconds to load: it is asked only where somebody has chosen a device.
    if config.execution.device not in ("auto", "cpu") and ("training" in to_run or plays_here):
        resolve_device(config.execution.device)


def check_data(config: LeapConfig, outcomes: Sequence[StageOutcome]) -> None:
    """Raise LeapError where a stage of a plan needs data that are not there."""
    if any(outcome.stage == "specs" and outcome.state == "run" for outcome in outcomes):
        load_suite(config.environment).check_data()


def check_student(config: LeapConfig, outcomes: Sequence[StageOutcome]) -> list[str]:
    """Look at the model that a plan begins with, where a stage would load it; return what is worth a note, in lines.

    Raises:
        StudentError: it cannot be played, or trained as is set; says all that is wrong.
    """
    to_run = {outcome.stage for outcome in outcomes if outcome.state == "run"}
    begins_here = any(outcome.stage == BASE.name for outcome in outcomes)
    if not (begins_here and _is_loaded(config, to_run) and _is_worth_a_look(config, to_run)):
        return []
    from leap_core.students.examination.examine import examine_model

    # A tiny student is not made yet: it has the modules of the bundled one.
    model = BUNDLED if config.student.model == TINY else config.student.model
    examination = examine_model(model, _purpose(config, to_run))
    examination.check()
    return [f"note: {config.student.model}: {one.text}" for one in examination.findings]


def _is_loaded(config: LeapConfig, to_run: set[str]) -> bool:
    """Whether a stage that is to run loads the model; one behind an endpoint may be no more than a name there."""
    if config.student.kind == "hf" or config.student.serve is not None:
        return bool(to_run)
    return TRAINING.name in to_run and find_model(config.student.model) is not None


def _is_worth_a_look(config: LeapConfig, to_run: set[str]) -> bool:
    """Not of our own students, unless an adapter is to be put on modules that somebody has named."""
    if config.student.model not in (TINY, BUNDLED):
        return True
    training = config.training
    default = type(training.lora)().target_modules
    return TRAINING.name in to_run and training.method == "lora" and training.lora.target_modules != default


def _purpose(config: LeapConfig, to_run: set[str]) -> Purpose:
    return Purpose(
        device=config.execution.device,
        training=config.training if TRAINING.name in to_run else None,
        num_new_tokens=config.student.max_new_tokens,
        prompt=_shortest_prompt(config),
    )


def _shortest_prompt(config: LeapConfig) -> tuple[Message, ...]:
    """The prompt of an episode in which there is nothing to be done and nothing to be seen."""
    spec = Spec(id="", env=config.environment.name, split="train", instruction="")
    prompts = load_prompts(config.environment.name, config.student.prompt)
    return prompts.student_messages(spec, (), Observation(text=""))
