"""This project's WebShop held against what the original showed, turn by turn."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from leap_core.disk.files import write_json
from leap_core.envs.webshop.environment import WebshopEnvironment
from leap_core.envs.webshop.shop.building import build_shop
from leap_core.envs.webshop.shop.data_files import find_files
from leap_core.envs.webshop.shop.generator import write_generated_files
from leap_core.envs.webshop.shop.goals import GENERATED_BOUNDS, Goal, GoalKind
from leap_core.envs.webshop.shop.shop import REPORT_FILE, SHOP_FOLDER, Shop
from leap_core.envs.webshop.site.actions import execute
from leap_core.envs.webshop.site.nouns import load_nouns
from leap_core.envs.webshop.site.visit import Visit
from leap_core.types import Spec
from tests.parity.webshop_play import write_odd_files
from tests.parity.webshop_transcripts import RecordedTurn, Transcript

SHOPS = ("generated", "odd")
KINDS: tuple[GoalKind, ...] = ("human", "synthetic")
_ALL = 10**6


def make_shop(name: str, folder: Path, seed: int) -> Shop:
    """Write the data files of a shop into `folder`, build the shop in its folder `shop`, and open it."""
    if name == "odd":
        write_odd_files(folder)
    else:
        write_generated_files(folder, seed)
    report = build_shop(find_files(folder, None), folder / SHOP_FOLDER, bounds=GENERATED_BOUNDS)
    write_json(folder / SHOP_FOLDER / REPORT_FILE, report.model_dump(mode="json"))
    return Shop(folder / SHOP_FOLDER)


def all_goals(shop: Shop, kind: GoalKind) -> list[Goal]:
    """The goals of a shop, in order."""
    return [goal for split in ("test", "dev", "train") for goal in shop.goals(kind, split, _ALL)]


def spec_of(goal: Goal) -> Spec:
    """What to reset an environment to."""
    params = {"goal": goal.id, "nouns": "rules"}
    return Spec(id=f"parity/{goal.id}", env="webshop", split="test", instruction=goal.instruction, params=params)


def differences(transcript: Transcript, shop: Shop) -> Iterator[str]:
    """What differs in one recorded episode; nothing after the first turn that does."""
    goal = shop.goal(transcript.goal)
    environment = WebshopEnvironment(shop, reduce_commands=True)
    visit = Visit(shop=shop, goal=goal, nouns=load_nouns("rules"))
    for number, turn in enumerate(transcript.turns):
        found = Counter[str]()
        if turn.command is None:
            observation, score, terminated = environment.reset(spec_of(goal)), 0.0, False
        else:
            result = environment.step(turn.command)
            execute(visit, turn.command)
            observation, score, terminated = result.observation, result.score, result.terminated
        page = visit.page()
        found["text"] = observation.text != turn.text and not turn.done
        found["clickables"] = page.clickables != turn.clickables
        found["offered"] = observation.admissible != expected_offer(turn)
        found["reward"] = score != turn.reward
        found["done"] = terminated != turn.done
        found["parts"] = _parts(visit) != turn.parts
        if any(found.values()):
            names = ", ".join(name for name, differs in found.items() if differs)
            yield f"{transcript.spec_id} by {transcript.player}, turn {number} ({turn.command!r}): {names}"
            return


def expected_offer(turn: RecordedTurn) -> tuple[str, ...] | None:
    """What should be offered where the original's wrapper offers `turn.offered`.

    Nothing is listed where a search is all there is, nor after the end, where it says "finish". An item whose name an
    earlier one on the page has is offered by its asin.
    """
    if turn.done or turn.clickables == ("search",):
        return None
    if len(turn.offered) != len(turn.clickables):
        return turn.offered
    pairs = enumerate(zip(turn.offered, turn.clickables, strict=True))
    return tuple(f"click[{name}]" if command in turn.offered[:place] else command for place, (command, name) in pairs)


def _parts(visit: Visit) -> dict[str, float | None] | None:
    reward = visit.reward
    if reward is None:
        return None
    return {"type": reward.type, "attributes": reward.attributes, "options": reward.options, "price": reward.price}
