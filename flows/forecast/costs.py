"""What a plan costs in total: the estimates of its stages beside the budgets of endpoints and what was spent of those.

And what was paid in the end, by the journal: it knows of every reply whether it was paid for now or before.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from leap_core.chat.budget import Account
from leap_core.chat.journal import Journal
from leap_core.chat.prices import read_prices
from leap_core.config import EndpointName, LeapConfig
from leap_core.loading import pays_for_corrections_at
from leap_core.report import formats
from leap_core.students.base import replies_are_paid
from leap_core.students.openai import STUDENT_SCOPE
from leap_core.teachers.openai import teacher_scope
from leap_core.types import Record, Usage
from tasks.planned import EndpointEstimate
from tasks.run import Run, with_journal

_ENDPOINTS: tuple[EndpointName, ...] = ("teacher", "student")


class BudgetForecast(Record):
    """A budget beside what was spent of it and what is estimated. None where that is not known.

    `unit` is "usd" or "tokens".
    """

    setting: str
    unit: str
    limit: float
    spent: float | None
    estimate: float | None

    @property
    def words(self) -> str:
        """One line for people."""
        limit, spent, estimate = map(self._amount, (self.limit, self.spent, self.estimate))
        left = None if self.spent is None or self.estimate is None else self.limit - self.spent - self.estimate
        if left is None:
            verdict = "whether it is enough is not known"
        elif left >= 0:
            verdict = "it is enough, unless many requests have to be repeated"
        else:
            verdict = f"{self._amount(-left)} too little: the run would stop in time, and go on when it is raised"
        return f"{self.setting} is {limit}, {spent} spent, {estimate} estimated: {verdict}"

    def _amount(self, value: float | None) -> str:
        if value is None:
            return "an unknown amount"
        return formats.cost(value) if self.unit == "usd" else f"{value:,.0f} tokens"


class CostForecast(Record):
    """What all stages of a plan would request of endpoints, and the budgets that are set for those."""

    estimates: list[EndpointEstimate]
    budgets: list[BudgetForecast]

    @property
    def lines(self) -> list[str]:
        """For people; none where nobody is paid."""
        return [*(one.words for one in self.estimates), *(one.words for one in self.budgets)]


def foresee_costs(runs: Sequence[Run]) -> CostForecast:
    """Estimate what planned runs would pay for. Their budgets are those of the first.

    Raises:
        ConfigError: a setting of an endpoint's model, or a price file, is wrong.
    """
    found = [outcome.stage.estimate(run.planned_call(outcome)) for run in runs for outcome in run.to_be_made]
    estimates = [estimate for estimate in found if estimate is not None]
    return CostForecast(estimates=estimates, budgets=_foresee_budgets(runs[0], estimates))


def _foresee_budgets(run: Run, estimates: Sequence[EndpointEstimate]) -> list[BudgetForecast]:
    """Compare the budgets of each endpoint in use with what was spent and what is estimated."""
    found = []
    for endpoint in _ENDPOINTS:
        usages = [one.usage or Usage(cost_usd=None) for one in estimates if one.endpoint == endpoint]
        if usages:
            is_known = all(one.usage is not None for one in estimates if one.endpoint == endpoint)
            found += _hold_against_budget(run, endpoint, sum(usages, Usage()), is_known)
    return found


def _hold_against_budget(run: Run, endpoint: EndpointName, total: Usage, is_known: bool) -> list[BudgetForecast]:
    settings, spent = run.config.execution.endpoint(endpoint), _spent(run.config, run.store.home, endpoint)
    tokens = total.prompt_tokens + total.completion_tokens if is_known else None
    return [
        BudgetForecast(
            setting=f"execution.{endpoint}.budget_{unit}", unit=unit, limit=limit, spent=so_far, estimate=estimate
        )
        for unit, limit, so_far, estimate in (
            ("usd", settings.budget_usd, None if spent.num_unknown else spent.usd, total.cost_usd),
            ("tokens", settings.budget_tokens, float(spent.tokens), tokens),
        )
        if limit is not None
    ]


class CostMeter:
    """Reports what was paid since it was opened, at the endpoints that a configuration may use.

    What another run of the same experiment, or for students of the same home, pays at the same time is in it.
    """

    def __init__(self, config: LeapConfig, home: Path, endpoints: Sequence[EndpointName] = _ENDPOINTS) -> None:
        """Note where the journal stands. `home` is that of the artifacts; no other than `endpoints` is looked at."""
        self._config, self._home, self._before = config, home, 0
        self._endpoints = [one for one in endpoints if _may_ask(config, one)]
        path = _journal_of(config, home)
        if self._endpoints and path.exists():
            with closing(Journal(path)) as journal:
                self._before = journal.newest()

    @property
    def lines(self) -> list[str]:
        """One line for people; none where nothing was paid for."""
        bills = [_spent(self._config, self._home, endpoint, self._before) for endpoint in self._endpoints]
        num_replies, num_unknown = sum(one.num_replies for one in bills), sum(one.num_unknown for one in bills)
        if not num_replies:
            return []
        usd = "an unknown amount" if num_unknown == num_replies else formats.cost(sum(one.usd for one in bills))
        what = f"{usd} and {sum(one.tokens for one in bills):,} tokens for {num_replies:,} replies"
        rest = f" (cost of {num_unknown:,} of them unknown)" if 0 < num_unknown < num_replies else ""
        return [f"Paid in this run: {what}{rest}."]


def _may_ask(config: LeapConfig, endpoint: EndpointName) -> bool:
    """Whether some stage would pay at an endpoint."""
    if endpoint == "student":
        return replies_are_paid(config.student)
    asks = (config.demonstrations.annotate_with, config.gate.judge)
    return asks != (None, None) or pays_for_corrections_at(config) == endpoint


def _spent(config: LeapConfig, home: Path, endpoint: EndpointName, after: int = 0) -> Account:
    """What was paid of an endpoint's budget, for replies `after` one.

    For teachers that is by the experiment, for students in all of the home. Nothing is made where there is no journal.
    """
    account, path = Account(), _journal_of(config, home)
    scope = teacher_scope(config.experiment) if endpoint == "teacher" else STUDENT_SCOPE
    if path.exists():
        prices = read_prices(config.execution.endpoint(endpoint).prices)
        with closing(Journal(path)) as journal:
            for paid in journal.paid(scope, after):
                account.add(paid.reply, prices.cost_usd(paid.model, paid.reply))
    return account


def _journal_of(config: LeapConfig, home: Path) -> Path:
    return Path(str(with_journal(config, home).execution.journal))
