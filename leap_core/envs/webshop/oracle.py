"""WebShop's rule-based expert, at five levels of privilege.

At level 0 it is a shopper who knows the instruction and the pages it has seen. From 25 it knows which attributes count,
from 50 which options, from 75 a search that finds what is wanted, and at 100 which items are right. Whatever guides it,
its reasons speak of the instruction and of what the pages show.
"""

from collections.abc import Sequence

from leap_core.envs.webshop.expert.reading import read_page
from leap_core.envs.webshop.expert.shopper import Shopper
from leap_core.envs.webshop.privileged import HiddenGoal
from leap_core.types import LEVELS, Action, Level, Observation, PrivilegedState, Spec, Step


class WebshopOracle:
    """The expert that WebShop offers as an `Oracle`."""

    levels = LEVELS

    def advise(
        self, spec: Spec, history: Sequence[Step], observation: Observation, privileged: PrivilegedState, level: Level
    ) -> Action:
        """Search, open an item, choose its options, buy."""
        shopper = Shopper.of(spec, history, observation, HiddenGoal.of(privileged), level)
        return shopper.decide(read_page(observation.text))
