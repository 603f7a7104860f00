"""Plays the original WebShop and records it: `python -m tests.parity.webshop_record --original DIR`.

DIR is a checkout of princeton-nlp/WebShop; `tests/README.md` says what else is needed. Prints how this project's shop
compares, and writes `tests/parity/data/webshop_transcripts.json.xz`. It plays in a generated shop and in one of
oddities, so that the recording holds nothing of the original but the frame of its pages.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from leap_core.envs.webshop.oracle import WebshopOracle
from leap_core.envs.webshop.privileged import reveal
from leap_core.envs.webshop.shop.goals import Goal
from leap_core.envs.webshop.shop.shop import Shop
from leap_core.envs.webshop.site.nouns import load_nouns
from leap_core.types import Action, Observation, Step
from tests.parity.webshop_compare import KINDS, SHOPS, all_goals, differences, expected_offer, make_shop, spec_of
from tests.parity.webshop_original import OriginalShop, Seen
from tests.parity.webshop_play import RandomShopper
from tests.parity.webshop_transcripts import TRANSCRIPTS, RecordedTurn, Recording, Transcript, write_recording

SEED = 11
MOST_STEPS = 15
NUM_EPISODES = {"generated": {"random": 80, "oracle": 45}, "odd": {"random": 30, "oracle": 15}}
"""For each kind of goals."""
_GOAL_FIELDS = ("asin", "name", "query", "product_category", "instruction_text", "attributes", "price_upper")
Player = Callable[[list[Step], Seen, tuple[str, ...] | None], str]


def record(original: OriginalShop, shop: Shop, name: str, kind: str, share: float) -> Iterator[Transcript]:
    """Play a share of the episodes in one shop for one kind of goals."""
    goals = all_goals(shop, kind)
    words = sorted({word for goal in goals for word in f"{goal.title} {goal.instruction}".lower().split()})
    for player, count in NUM_EPISODES[name].items():
        for index in range(round(share * count)):
            goal = goals[index * 7 % len(goals)]
            spec_id = spec_of(goal).id
            make = _random_player(f"{name} {kind} {index}", words) if player == "random" else _oracle(goal, shop)
            yield Transcript(name, kind, player, spec_id, goal.id, tuple(_play(original, goal, spec_id, make)))


def _play(original: OriginalShop, goal: Goal, spec_id: str, player: Player) -> Iterator[RecordedTurn]:
    history: list[Step] = []
    seen, reward, done, command = original.reset(goal, spec_id), 0.0, False, None
    while True:
        parts = original.parts() if done else None
        turn = RecordedTurn(command, seen.text, seen.clickables, seen.offered, reward, done, parts)
        yield turn
        if done or len(history) == MOST_STEPS:
            return
        admissible = expected_offer(turn)
        command = _by_asin(player(history, seen, admissible), seen, original)
        observation = Observation(text=seen.text, admissible=admissible)
        history.append(Step(index=len(history), observation=observation, action=Action(reason="", command=command)))
        seen, reward, done = original.step(command)


def _by_asin(command: str, seen: Seen, original: OriginalShop) -> str:
    """The same click by asin where several items have the name: the original may open another of them, or none."""
    names = original.names_of(seen.clickables)
    asin = next((asin for asin, name in names.items() if command == f"click[item - {name}]"), None)
    return command if asin is None or original.is_unique(names[asin]) else f"click[{asin}]"


def _random_player(seed: str, words: list[str]) -> Player:
    shopper = RandomShopper(seed, words)
    return lambda history, seen, admissible: shopper.act(seen.clickables, admissible)


def _oracle(goal: Goal, shop: Shop) -> Player:
    spec = spec_of(goal)
    oracle, hidden = WebshopOracle(), reveal(spec, goal, shop, load_nouns("rules"))

    def act(history: list[Step], seen: Seen, admissible: tuple[str, ...] | None) -> str:
        observation = Observation(text=seen.text, admissible=admissible)
        return oracle.advise(spec, history, observation, hidden, 100).command

    return act


def main() -> None:
    """Record, compare, and say how much and how equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--original", type=Path, required=True, help="checkout of princeton-nlp/WebShop")
    parser.add_argument("--out", type=Path, default=TRANSCRIPTS)
    parser.add_argument("--share", type=float, default=1.0, help="play so much of it only, to try something")
    options = parser.parse_args()
    transcripts: list[Transcript] = []
    goals: dict[str, list[dict[str, object]]] = {}
    for name in SHOPS:
        with tempfile.TemporaryDirectory() as folder:
            shop = make_shop(name, Path(folder), SEED)
            for kind in KINDS:
                original = OriginalShop(options.original, Path(folder), shop, human_goals=kind == "human")
                goals[f"{name}, {kind}"] = [_goal(goal) for goal in original.goals()]
                played = list(record(original, shop, name, kind, options.share))
                _report(name, kind, played, shop)
                transcripts += played
            shop.close()
    write_recording(options.out, Recording(SEED, goals, transcripts))
    print(f"{len(transcripts)} episodes, {options.out.stat().st_size} bytes")


def _goal(goal: dict[str, object]) -> dict[str, object]:
    options = goal["goal_options"]
    values = list(options.items()) if isinstance(options, dict) else options
    return {name: goal[name] for name in _GOAL_FIELDS} | {"options": values}


def _report(name: str, kind: str, played: list[Transcript], shop: Shop) -> None:
    found = {one.spec_id + one.player: list(differences(one, shop)) for one in played}
    for player in ("random", "oracle"):
        mine = [one for one in played if one.player == player]
        turns = sum(len(one.turns) for one in mine)
        bought = [one.turns[-1].reward for one in mine if one.turns[-1].done]
        rewards = Counter(round(reward, 2) for reward in bought)
        differ = sum(bool(found[one.spec_id + one.player]) for one in mine)
        print(f"{name:<10} {kind:<10} {player:<7} {len(mine):4} episodes {turns:5} turns {len(bought):4} purchases, "
              f"{rewards[1.0]:4} of them 1.0; {differ} episodes differ")  # fmt: skip
    for differing in [one for several in found.values() for one in several][:10]:
        print(f"    {differing}")


if __name__ == "__main__":
    main()
