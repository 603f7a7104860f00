"""Whom the stages of a plan would ask, and what is wrong with that, before hours of training find out."""

from collections.abc import Sequence

from flows.forecast.estimates import model_of
from leap_core.chat.budget import Budget
from leap_core.chat.endpoint import find_key
from leap_core.chat.prices import read_prices
from leap_core.config import EndpointName
from leap_core.errors import ConfigError
from leap_core.loading import foresee_replies, pays_for_corrections_at
from leap_core.students.base import ActRequest, replies_are_paid
from leap_core.teachers.conversation import OpenAITeacherParams
from leap_core.types import Record
from tasks.annotation import AnnotationIdentity
from tasks.base_student import BASE
from tasks.correction import CORRECTION, CorrectionIdentity
from tasks.evaluation import EVALUATION
from tasks.rollout import ROLLOUT
from tasks.stage import Run, StageOutcome, is_pending


class Asked(Record):
    """One model at an endpoint. `model` is None where its name is not known yet: its weights are to be made."""

    endpoint: EndpointName
    model: str | None


def check_endpoints(run: Run) -> None:
    """Raise ConfigError where a stage of a planned run could not ask its endpoint."""
    for problem in find_problems([run]):
        raise ConfigError(problem)


def find_problems(runs: Sequence[Run]) -> list[str]:
    """What would end planned runs at an endpoint: a key that is not set, a budget that cannot be kept. Each once."""
    found = []
    for run in runs:
        for asked in _whom(run):
            for check in (_check_key, _check_price):
                try:
                    check(run, asked)
                except ConfigError as error:
                    found.append(str(error))
    return list(dict.fromkeys(found))


def find_missing_privilege(run: Run) -> list[str]:
    """A line where a stage of a planned run would have a model correct that is shown no hidden state."""
    corrections = [
        outcome.identity
        for outcome in run.outcomes
        if outcome.state == "run" and isinstance(outcome.identity, CorrectionIdentity)
    ]
    blind = {one.teacher for one in corrections if one.level == 0 and one.teacher_prompts is not None}
    return [
        f"correction.level is 0: the teacher {teacher!r} will be shown no hidden state. Set it unless that is meant: "
        "--set correction.level=50 is the paper's."
        for teacher in blind
    ]


def _whom(run: Run) -> list[Asked]:
    asked = [_asked_by(run, outcome) for outcome in run.outcomes if outcome.state == "run"]
    return [one for one in asked if one is not None]


def _asked_by(run: Run, outcome: StageOutcome) -> Asked | None:
    """Whom a stage would ask; None where it asks no endpoint."""
    if isinstance(outcome.identity, AnnotationIdentity):
        return Asked(endpoint="teacher", model=outcome.identity.model)
    endpoint: EndpointName | None = None
    if outcome.stage == CORRECTION.name:
        endpoint = pays_for_corrections_at(run.config)
    elif outcome.stage in (ROLLOUT.name, EVALUATION.name) and replies_are_paid(run.config.student):
        endpoint = "student"
    if endpoint == "teacher":
        return Asked(endpoint=endpoint, model=OpenAITeacherParams.read(run.config.correction.params).model)
    return None if endpoint is None else Asked(endpoint=endpoint, model=_name_of_student(run, outcome))


def _name_of_student(run: Run, outcome: StageOutcome) -> str | None:
    """What its endpoint calls the model of a stage, by the request of a turn in which nothing is said."""
    ref = outcome.inputs["model"]
    if is_pending(ref) and ref.stage != BASE.name:
        return None
    turn = ActRequest(slot="", messages=(), admissible=None, seed=0)
    return foresee_replies(run.config, model_of(run, outcome), [turn], None)[0].model


def _check_key(run: Run, asked: Asked) -> None:
    settings = run.config.execution.endpoint(asked.endpoint)
    if settings.api_key_secret is None:  # Prefect, which holds such a key, may not run yet
        find_key(settings)


def _check_price(run: Run, asked: Asked) -> None:
    settings = run.config.execution.endpoint(asked.endpoint)
    if settings.budget_usd is not None and asked.model is not None:
        prices, setting = read_prices(settings.prices), f"execution.{asked.endpoint}.budget"
        Budget(settings.budget_usd, settings.budget_tokens, prices, setting).check_price(asked.model)
