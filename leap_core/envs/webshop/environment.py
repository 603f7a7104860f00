"""One live WebShop episode at a time, as the student sees it."""

from leap_core.envs.base import StepResult
from leap_core.envs.webshop.shop.shop import Shop
from leap_core.envs.webshop.site.actions import draw_for, execute, offered
from leap_core.envs.webshop.site.nouns import NounStep, load_nouns
from leap_core.envs.webshop.site.visit import SEARCH, Visit
from leap_core.errors import EnvironmentCrashError, WrongSpecError
from leap_core.types import Observation, Spec

GOAL, NOUNS = "goal", "nouns"
"""Keys of a spec's params: id of the goal, and the step that finds nouns."""


class WebshopEnvironment:
    """Plays goals in one shop. The limit on steps is the caller's to keep; only a purchase gives a score.

    Args:
        shop: stays open when this is closed, as others play in it, too.
        reduce_commands: cut long lists of commands, as the paper's wrapper does. What is left out can still be clicked.
    """

    def __init__(self, shop: Shop, reduce_commands: bool) -> None:
        self._shop = shop
        self._reduce = reduce_commands
        self._spec_id = ""
        self._visit: Visit | None = None
        self._num_steps = 0

    def reset(self, spec: Spec) -> Observation:
        """Start `spec` on the first page.

        Raises:
            WrongSpecError: it is not a spec of WebShop.
            LeapError: this shop has no such goal.
            MissingPackageError: the spec was made to be judged with spaCy, which is not installed.
        """
        goal, step = goal_and_nouns(spec)
        self._visit = Visit(shop=self._shop, goal=self._shop.goal(goal), nouns=load_nouns(step))
        self._spec_id, self._num_steps = spec.id, 0
        return self._observe(self._visit)

    def step(self, command: str) -> StepResult:
        """Search or click. A command that the page has no place for changes nothing and is not valid.

        Raises:
            EnvironmentCrashError: no episode was started.
        """
        visit = self._visit
        if visit is None:
            raise EnvironmentCrashError("There is no episode to step in: call reset first.")
        valid = execute(visit, command)
        self._num_steps += 1
        reward = visit.reward
        return StepResult(
            observation=self._observe(visit),
            terminated=reward is not None,
            score=reward.total if reward else 0.0,
            success=reward is not None and reward.success,
            valid=valid,
            score_parts=reward.parts if reward else {},
        )

    def close(self) -> None:
        """Forget the episode. Safe to call twice."""
        self._visit = None

    def _observe(self, visit: Visit) -> Observation:
        page = visit.page()
        if visit.place == SEARCH or visit.reward is not None:
            return Observation(text=page.text)
        draw = draw_for(self._spec_id, self._num_steps) if self._reduce else None
        return Observation(text=page.text, admissible=offered(page, visit.listed, draw))


def goal_and_nouns(spec: Spec) -> tuple[str, NounStep]:
    """The id of a spec's goal, and the step that finds nouns for its score.

    Raises:
        WrongSpecError: it is not a spec of WebShop.
    """
    goal, nouns = spec.params.get(GOAL), spec.params.get(NOUNS)
    if not isinstance(goal, str) or nouns not in ("spacy", "rules"):
        raise WrongSpecError(
            f"Spec {spec.id!r} (environment {spec.env!r}) is not one of WebShop's. Use specs that were made for "
            "webshop, with the directory that they were made in."
        )
    return goal, "spacy" if nouns == "spacy" else "rules"
