"""Whether what the stages of a plan need is there: looked at before anything is made, not found out hours later."""

from collections.abc import Callable, Iterator, Sequence

from leap_core.chat.budget import Budget
from leap_core.chat.endpoint import find_key
from leap_core.chat.prices import read_prices
from leap_core.config import EndpointConfig, LeapConfig
from leap_core.errors import ConfigError
from leap_core.loading import load_suite
from leap_core.prompts import load_prompts
from leap_core.students.examination.findings import Purpose
from leap_core.students.loading import resolve_device
from leap_core.students.weights import BUNDLED, TINY
from leap_core.types import Message, Observation, Spec
from tasks.base_student import BASE
from tasks.planned import Foresight, Needs, Request
from tasks.run import Run


def check_plan(run: Run) -> list[str]:
    """What of a plan may not be meant, in lines.

    Raises:
        LeapError: stages lack data, a device, a key, or the price of a budget; or the model cannot be used so.
    """
    check_data(run)
    check_device(run)
    for problem in find_problems([run]):
        raise ConfigError(problem)
    return note_weights_and_warnings(run)


def note_weights_and_warnings(run: Run) -> list[str]:
    """What is worth a note on the model that a plan begins with, and what its stages warn of, in lines.

    Raises:
        StudentError: the model cannot be used so.
    """
    warnings = [warning for foreseen in foresee_stages(run) for warning in foreseen.warnings]
    return [*check_weights(run), *dict.fromkeys(warnings)]


def foresee_stages(run: Run) -> list[Foresight]:
    """What the stages that a plan would make say of themselves, in order."""
    return [outcome.stage.foresee(run.planned_call(outcome)) for outcome in run.to_be_made]


def check_data(run: Run) -> None:
    """Raise LeapError where a stage of a plan needs data that are not there."""
    if any(needs.data for needs in _needs_of(run)):
        load_suite(run.config.environment).check_data()


def check_device(run: Run) -> None:
    """Raise LeapError where a stage of a plan would use a device that is not there."""
    # torch takes seconds to import: only worth it where a device was chosen.
    if run.config.execution.device not in ("auto", "cpu") and any(needs.device for needs in _needs_of(run)):
        resolve_device(run.config.execution.device)


def find_problems(runs: Sequence[Run]) -> list[str]:
    """What would end planned runs at an endpoint: a key that is not set, a budget that cannot be kept. Each once."""
    found = []
    checks: tuple[Callable[[EndpointConfig, Request], None], ...] = (_check_key, _check_price)
    for run in runs:
        requests = [needs.request for needs in _needs_of(run) if needs.request is not None]
        for request in requests:
            for check in checks:
                try:
                    check(run.config.execution.endpoint(request.endpoint), request)
                except ConfigError as error:
                    found.append(str(error))
    return list(dict.fromkeys(found))


def check_weights(run: Run) -> list[str]:
    """Look at the model that a plan begins with, where a stage would load it; return what is worth a note, in lines.

    Raises:
        StudentError: it cannot be played, or trained as is set; says all that is wrong.
    """
    config, uses = run.config, {needs.weights for needs in _needs_of(run)} - {None}
    begins_here = any(outcome.stage is BASE for outcome in run.outcomes)
    if not (begins_here and uses and _is_worth_a_look(config, is_trained="train" in uses)):
        return []
    from leap_core.students.examination.examine import examine_model

    # A tiny student is not made yet: it has the modules of the bundled one.
    model = BUNDLED if config.student.model == TINY else run.placed_config().student.model
    examination = examine_model(model, _purpose(config, is_trained="train" in uses))
    examination.check()
    return [f"note: {config.student.model}: {one.text}" for one in examination.findings]


def _needs_of(run: Run) -> Iterator[Needs]:
    return (outcome.stage.needs(run.planned_call(outcome)) for outcome in run.to_be_made)


def _is_worth_a_look(config: LeapConfig, *, is_trained: bool) -> bool:
    """Not of our own students, unless an adapter is to be put on modules that somebody has named."""
    if config.student.model not in (TINY, BUNDLED):
        return True
    training = config.training
    default = type(training.lora)().target_modules
    return is_trained and training.method == "lora" and training.lora.target_modules != default


def _purpose(config: LeapConfig, *, is_trained: bool) -> Purpose:
    return Purpose(
        device=config.execution.device,
        training=config.training if is_trained else None,
        num_new_tokens=config.student.max_new_tokens,
        prompt=_shortest_prompt(config),
    )


def _shortest_prompt(config: LeapConfig) -> tuple[Message, ...]:
    """The prompt of an episode in which there is nothing to be done and nothing to be seen."""
    spec = Spec(id="", env=config.environment.name, split="train", instruction="")
    prompts = load_prompts(config.environment.name, config.student.prompt)
    return prompts.student_messages(spec, (), Observation(text=""))


def _check_key(settings: EndpointConfig, request: Request) -> None:
    if settings.api_key_secret is None:  # Prefect, which holds such a key, may not run yet
        find_key(settings)


def _check_price(settings: EndpointConfig, request: Request) -> None:
    if settings.budget_usd is not None and request.model is not None:
        prices, setting = read_prices(settings.prices), f"execution.{request.endpoint}.budget"
        Budget(settings.budget_usd, settings.budget_tokens, prices, setting).check_price(request.model)
