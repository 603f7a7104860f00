"""What a plan costs all told: estimates of its stages beside the budgets of endpoints and what was spent of those."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from flows.estimating import EndpointEstimate, estimate_endpoints
from leap_core.chat.budget import Account
from leap_core.chat.journal import Journal
from leap_core.chat.prices import read_prices
from leap_core.config import EndpointName
from leap_core.report import formats
from leap_core.students.openai import STUDENT_SCOPE
from leap_core.teachers.openai import teacher_scope
from leap_core.types import Record, Usage
from tasks.stage import Run, with_journal

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
            verdict = "it is enough, unless many replies have to be asked for again"
        else:
            verdict = f"{self._amount(-left)} too little: the run would stop in time, and go on when it is raised"
        return f"{self.setting} is {limit}, {spent} spent, {estimate} estimated: {verdict}"

    def _amount(self, value: float | None) -> str:
        if value is None:
            return "an unknown amount"
        return formats.cost(value) if self.unit == "usd" else f"{value:,.0f} tokens"


class CostForecast(Record):
    """What all stages of a plan would ask of endpoints, and the budgets that are set for those."""

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
    estimates = [estimate for run in runs for estimate in estimate_endpoints(run)]
    return CostForecast(estimates=estimates, budgets=_foresee_budgets(runs[0], estimates))


def _foresee_budgets(run: Run, estimates: Sequence[EndpointEstimate]) -> list[BudgetForecast]:
    """Hold the budgets of each endpoint that would be asked against what was spent and what is estimated."""
    found = []
    for endpoint in _ENDPOINTS:
        usages = [one.usage or Usage(cost_usd=None) for one in estimates if one.endpoint == endpoint]
        if usages:
            is_known = all(one.usage is not None for one in estimates if one.endpoint == endpoint)
            found += _hold_against_budget(run, endpoint, sum(usages, Usage()), is_known)
    return found


def _hold_against_budget(run: Run, endpoint: EndpointName, total: Usage, is_known: bool) -> list[BudgetForecast]:
    settings, spent = run.config.execution.endpoint(endpoint), _spent(run, endpoint)
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


def _spent(run: Run, endpoint: EndpointName) -> Account:
    """What was paid so far of an endpoint's budget: for teachers by the experiment, for students in all of the home.

    Nothing is made where there is no journal yet.
    """
    config = with_journal(run.config, run.store.home)
    account, path = Account(), Path(str(config.execution.journal))
    scope = teacher_scope(config.experiment) if endpoint == "teacher" else STUDENT_SCOPE
    if path.exists():
        prices = read_prices(config.execution.endpoint(endpoint).prices)
        with closing(Journal(path)) as journal:
            for bought in journal.bought(scope):
                account.add(bought.reply, prices.cost_usd(bought.model, bought.reply))
    return account
