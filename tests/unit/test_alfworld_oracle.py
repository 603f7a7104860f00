"""The expert: right from any state, admissible always, and blind at level 0 to what was not seen."""

import re
from random import Random

import pytest

from leap_core.config import EnvironmentConfig
from leap_core.envs.alfworld.expert.belief import Belief
from leap_core.envs.alfworld.oracle import AlfworldOracle, Guide
from leap_core.envs.alfworld.privileged import AlfworldFacts
from leap_core.envs.alfworld.suite import AlfworldSuite
from leap_core.envs.alfworld.world.goals import TASK_TYPES
from leap_core.errors import TeacherReplyError
from leap_core.method.demonstrations import demonstrate
from leap_core.types import Action, Observation, PrivilegedState, Spec, Step

ROOM = ("cabinet 2", "cabinet 1", "countertop 1", "diningtable 1", "fridge 1", "microwave 1", "shelf 1", "sinkbasin 1")
LEVELS = (0, 25, 50, 75, 100)


def see(text, *commands):
    """An observation with these commands, and those that are always there."""
    return Observation(text=text, admissible=(*commands, *(f"go to {place}" for place in ROOM), "inventory", "look"))


OPENING = see(f"You are in the middle of a room. Looking quickly around you, you see {', a '.join(('', *ROOM))[2:]}.")


def advise(goal, *turns, now=OPENING, level=0, locations=None):
    """Advice after `turns`, pairs of observation and the command taken on it."""
    history = [
        Step(index=index, observation=observation, action=Action(reason="", command=command))
        for index, (observation, command) in enumerate(turns)
    ]
    spec = Spec(id="s", env="alfworld", split="train", instruction=goal)
    facts = AlfworldFacts(
        task_type="", instruction=goal, object_kind="", target_kind="", num_objects=1, needs=None,
        locations=locations or {}, receptacles=(), essential_objects=(), critical_locations=(), walkthrough=(),
        expert_walkthrough=(),
    )  # fmt: skip
    privileged = PrivilegedState(spec_id="s", text="", facts=facts.model_dump(mode="json"), source="test")
    return AlfworldOracle().advise(spec, history, now, privileged, level)


CLEAN_MUG = "put a clean mug in shelf."
AT_CABINET = see("You arrive at cabinet 1. The cabinet 1 is closed.", "open cabinet 1", "examine cabinet 1")
EMPTY_CABINET = see("You open the cabinet 1. The cabinet 1 is open. In it, you see nothing.", "close cabinet 1")
MUG_IN_CABINET = see(
    "You open the cabinet 1. The cabinet 1 is open. In it, you see a mug 2, and a plate 1.",
    "take mug 2 from cabinet 1",
    "take plate 1 from cabinet 1",
    "close cabinet 1",
)
TO_CABINET = ((OPENING, "go to cabinet 1"), (AT_CABINET, "open cabinet 1"))


def holding(name, place="cabinet 1"):
    """The turns up to having taken something, and what is seen then."""
    turns = (*TO_CABINET, (MUG_IN_CABINET, f"take {name} from {place}"))
    return turns, see(f"You pick up the {name} from the {place}.", f"move {name} to {place}", f"examine {place}")


def test_a_search_starts_where_the_kind_usually_is_at_the_lowest_number():
    assert advise(CLEAN_MUG) == Action(
        reason="I have to put a clean mug in shelf. I look for a mug, not seen yet. A mug is often in a cabinet. "
        "cabinet 1 not yet. Next I check cabinet 1.",
        command="go to cabinet 1",
    )


def test_a_closed_receptacle_of_a_likely_kind_is_opened():
    advice = advise(CLEAN_MUG, (OPENING, "go to cabinet 1"), now=AT_CABINET)
    assert advice.command == "open cabinet 1"
    assert advice.reason.endswith(
        "I am at cabinet 1. I look for a mug, not seen yet. cabinet 1 is closed. So I open cabinet 1."
    )


def test_a_closed_receptacle_of_an_unlikely_kind_is_left_alone():
    at_fridge = see("You arrive at fridge 1. The fridge 1 is closed.", "open fridge 1")
    assert advise(CLEAN_MUG, (OPENING, "go to fridge 1"), now=at_fridge).command == "go to cabinet 1"


def test_a_search_carries_on_with_the_next_number_and_says_what_was_not_found():
    advice = advise(CLEAN_MUG, *TO_CABINET, now=EMPTY_CABINET)
    assert advice.command == "go to cabinet 2"
    assert advice.reason.endswith(
        "I look for a mug, not seen yet. A mug is often in a cabinet. cabinet 1 seen. cabinet 2 not yet. "
        "Next I check cabinet 2."
    )


def test_places_out_of_order_are_not_searched_twice():
    at_counter = see("You arrive at countertop 1. On the countertop 1, you see a plate 1.", "examine countertop 1")
    nothing = see("Nothing happens.", "close cabinet 1")
    turns = [*TO_CABINET, (EMPTY_CABINET, "go to countertop 1"), (at_counter, "sing"), (nothing, "go to cabinet 1")]
    here_again = see("You arrive at cabinet 1. The cabinet 1 is open. In it, you see nothing.", "close cabinet 1")
    assert advise(CLEAN_MUG, *turns, now=here_again).command == "go to cabinet 2"
    done = (here_again, "go to cabinet 2"), (see("You arrive at cabinet 2. The cabinet 2 is closed."), "open cabinet 2")
    empty = see("You open the cabinet 2. The cabinet 2 is open. In it, you see nothing.")
    assert advise(CLEAN_MUG, *turns, *done, now=empty).command == "go to diningtable 1"


def test_an_object_that_is_seen_is_taken():
    advice = advise(CLEAN_MUG, *TO_CABINET, now=MUG_IN_CABINET)
    assert advice.command == "take mug 2 from cabinet 1"
    assert advice.reason.endswith("I am at cabinet 1. I look for a mug, seen as mug 2 in cabinet 1. So I take mug 2.")


def test_an_object_that_was_seen_is_fetched_and_a_door_shut_since_is_opened():
    left = (*TO_CABINET, (MUG_IN_CABINET, "close cabinet 1"))
    shut = see("You close the cabinet 1.", "open cabinet 1", "examine cabinet 1")
    assert advise(CLEAN_MUG, *left, now=shut).command == "open cabinet 1"
    gone = see("You arrive at shelf 1. On the shelf 1, you see nothing.", "examine shelf 1")
    advice = advise(CLEAN_MUG, *left, (shut, "go to shelf 1"), now=gone)
    assert advice.command == "go to cabinet 1"
    assert "I am at shelf 1. I look for a mug, seen as mug 2 in cabinet 1. So I go" in advice.reason


def test_the_object_is_first_cleaned_then_delivered():
    turns, now = holding("mug 2")
    assert advise(CLEAN_MUG, *turns, now=now).command == "go to sinkbasin 1"
    at_sink = see(
        "You arrive at sinkbasin 1. On the sinkbasin 1, you see nothing.",
        "clean mug 2 with sinkbasin 1",
        "move mug 2 to sinkbasin 1",
        "examine sinkbasin 1",
    )
    turns = (*turns, (now, "go to sinkbasin 1"))
    advice = advise(CLEAN_MUG, *turns, now=at_sink)
    assert advice.command == "clean mug 2 with sinkbasin 1"
    assert advice.reason.endswith("Is it clean? Not yet. So I clean mug 2 with sinkbasin 1.")
    cleaned = see("You clean the mug 2 using the sinkbasin 1.", "move mug 2 to sinkbasin 1", "examine sinkbasin 1")
    turns = (*turns, (at_sink, "clean mug 2 with sinkbasin 1"))
    assert advise(CLEAN_MUG, *turns, now=cleaned).command == "go to shelf 1"
    at_shelf = see("You arrive at shelf 1. On the shelf 1, you see nothing.", "move mug 2 to shelf 1")
    advice = advise(CLEAN_MUG, *turns, (cleaned, "go to shelf 1"), now=at_shelf)
    assert advice.command == "move mug 2 to shelf 1"
    assert advice.reason == (
        "I have to put a clean mug in shelf. I am at shelf 1. I hold mug 2. Is it a mug? Yes. Is it clean? Yes. "
        "So I move mug 2 to shelf 1."
    )


def test_a_wrong_object_is_put_away_here_if_it_can_be():
    turns, now = holding("plate 1")
    advice = advise(CLEAN_MUG, *turns, now=now)
    assert advice.command == "move plate 1 to cabinet 1"
    assert "I hold plate 1. Is it a mug? No. So I move" in advice.reason


def test_a_wrong_object_goes_back_where_it_came_from():
    turns, now = holding("plate 1")
    shut = see("You close the cabinet 1.", "open cabinet 1", "examine cabinet 1")
    turns = (*turns, (now, "close cabinet 1"))
    assert advise(CLEAN_MUG, *turns, now=shut).command == "open cabinet 1"
    at_fridge = see("You arrive at fridge 1. The fridge 1 is closed.", "open fridge 1", "examine fridge 1")
    assert advise(CLEAN_MUG, *turns, (shut, "go to fridge 1"), now=at_fridge).command == "go to cabinet 1"


def test_cooling_undoes_heating():
    turns, now = holding("mug 2")
    heated = see("You heat the mug 2 using the microwave 1.", "examine microwave 1")
    cooled = see("You cool the mug 2 using the fridge 1.", "examine fridge 1")
    turns = (*turns, (now, "heat mug 2 with microwave 1"))
    assert advise("put a hot mug in shelf.", *turns, now=heated).command == "go to shelf 1"
    turns = (*turns, (heated, "cool mug 2 with fridge 1"))
    assert advise("put a hot mug in shelf.", *turns, now=cooled).command == "go to microwave 1"
    assert advise("put a cool mug in shelf.", *turns, now=cooled).command == "go to shelf 1"


def test_the_second_of_two_objects_goes_to_the_first():
    room = see("Looking quickly around you, you see a shelf 2, a shelf 1, a countertop 1, and a sinkbasin 1.")
    both = see("You arrive at countertop 1. On the countertop 1, you see a cup 2, and a cup 1.")
    took = see("You pick up the cup 2 from the countertop 1.")
    turns = ((room, "go to countertop 1"), (both, "take cup 2 from countertop 1"), (took, "go to shelf 2"))
    at_shelf = see("You arrive at shelf 2. On the shelf 2, you see nothing.", "move cup 2 to shelf 2")
    advice = advise("put two cup in shelf.", *turns, now=at_shelf)
    assert advice.command == "move cup 2 to shelf 2"
    assert advice.reason.startswith("I have to put two cup in shelf. I am at shelf 2. I hold cup 2")
    put = see("You move the cup 2 to the shelf 2.", "take cup 2 from shelf 2")
    turns = (*turns, (at_shelf, "move cup 2 to shelf 2"))
    advice = advise("put two cup in shelf.", *turns, now=put)
    assert advice.command == "go to countertop 1"
    assert (
        "cup 2 is in place. I look for another cup than cup 2, seen as cup 1 on countertop 1. So I go" in advice.reason
    )
    left = see("You arrive at countertop 1. On the countertop 1, you see a cup 1.", "take cup 1 from countertop 1")
    second = see("You pick up the cup 1 from the countertop 1.", "go to shelf 2")
    turns = (*turns, (put, "go to countertop 1"), (left, "take cup 1 from countertop 1"))
    assert advise("put two cup in shelf.", *turns, now=second).command == "go to shelf 2"


def test_a_lamp_seen_on_the_way_is_remembered():
    room = see("Looking quickly around you, you see a bed 1, a desk 2, a desk 1, and a sidetable 1.")
    desk_1 = see("You arrive at desk 1. On the desk 1, you see a desklamp 1.", "use desklamp 1", "go to desk 2")
    desk_2 = see("You arrive at desk 2. On the desk 2, you see a book 1.", "take book 1 from desk 2")
    goal = "look at book under the desklamp."
    assert advise(goal, (room, "go to desk 1"), now=desk_1).command == "go to desk 2"
    turns = ((room, "go to desk 1"), (desk_1, "go to desk 2"))
    assert advise(goal, *turns, now=desk_2).command == "take book 1 from desk 2"
    took = see("You pick up the book 1 from the desk 2.", "go to desk 1")
    turns = (*turns, (desk_2, "take book 1 from desk 2"))
    assert advise(goal, *turns, now=took).command == "go to desk 1"
    advice = advise(goal, *turns, (took, "go to desk 1"), now=desk_1)
    assert advice.command == "use desklamp 1"
    assert advice.reason.endswith("I look for a desklamp, seen as desklamp 1 on desk 1. So I use desklamp 1.")


def test_the_wording_of_older_games_is_followed():
    turns, _ = holding("mug 2")
    at_shelf = see("You arrive at shelf 1. On the shelf 1, you see nothing.", "put mug 2 in/on shelf 1")
    turns = (*turns, (see("You pick up the mug 2 from the cabinet 1."), "go to shelf 1"))
    advice = advise("put a mug in shelf.", *turns, now=at_shelf)
    assert advice.command == "put mug 2 in/on shelf 1"
    assert advice.reason.endswith("So I put mug 2 in/on shelf 1.")
    belief = Belief()
    belief.observe("put mug 2 in/on shelf 1", "You put the mug 2 in/on the shelf 1.")
    assert belief.places == {"mug 2": "shelf 1"}


DRAWERS = ["drawer 1", "drawer 2", "drawer 3", "drawer 4", "drawer 5"]


@pytest.mark.parametrize(
    ("level", "reach"), [(0, []), (25, DRAWERS[:2]), (50, DRAWERS[:3]), (75, DRAWERS[:4]), (100, DRAWERS)]
)
def test_a_level_opens_so_many_of_the_likely_candidates_to_hints(level, reach):
    """Rounded up, so that even 25 % of five drawers are two; a pen is not likely in a toilet."""
    for drawer in DRAWERS:
        chosen = Guide(level=level, places={"pen 1": drawer}).choose("pen", [*DRAWERS, "toilet 1", "toilet 2"])
        assert chosen == (drawer if drawer in reach else "drawer 1")


@pytest.mark.parametrize(("level", "chosen"), [(75, "drawer 1"), (100, "toilet 2")])
def test_only_the_highest_level_points_to_unlikely_places(level, chosen):
    assert Guide(level=level, places={"pen 1": "toilet 2"}).choose("pen", [*DRAWERS, "toilet 1", "toilet 2"]) == chosen


def test_only_the_kind_that_is_searched_for_attracts():
    assert Guide(level=100, places={"pencil 1": "drawer 3"}).choose("pen", DRAWERS) == "drawer 1"


def test_a_choice_that_hidden_places_made_is_asserted_not_argued():
    advice = advise(CLEAN_MUG, level=100, locations={"mug 1": "diningtable 1"})
    assert advice == Action(
        reason="I have to put a clean mug in shelf. I look for a mug, not seen yet. A mug is often on a diningtable. "
        "Next I check diningtable 1.",
        command="go to diningtable 1",
    )


def test_where_nothing_can_be_advised_it_says_so():
    with pytest.raises(TeacherReplyError, match="mug"):
        advise(CLEAN_MUG, now=see("You are in the middle of a room. Looking quickly around you, you see nothing."))
    turns, now = holding("mug 2")
    opening = see("Looking quickly around you, you see a cabinet 1.")
    with pytest.raises(TeacherReplyError, match="shelf"):
        advise("put a mug in shelf.", (opening, turns[0][1]), *turns[1:], now=now)
    with pytest.raises(TeacherReplyError, match="not admissible"):
        advise(CLEAN_MUG, now=OPENING.with_(admissible=("look",)))
    with pytest.raises(TeacherReplyError, match="has no admissible commands"):
        advise(CLEAN_MUG, now=OPENING.with_(admissible=None))


# From here on: whole games, played by the native engine.


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    suite = AlfworldSuite(EnvironmentConfig(num_train=18, num_test=12))
    return suite, root, [spec for split in ("train", "test") for spec in suite.prepare(root, split, 11)]


def wander(environment, spec, num_steps, seed):
    """Take random actions, now and then an impossible one; the steps taken and what is seen at last."""
    rng, observation, steps = Random(seed), environment.reset(spec), []
    for index in range(num_steps):
        hands = [command for command in observation.admissible if not re.match("go|look|inv|help|exam", command)]
        command = rng.choice(hands) if hands and rng.random() < 0.6 else rng.choice(observation.admissible)
        command = "juggle the mugs" if rng.random() < 0.1 else command
        result = environment.step(command)
        steps.append(Step(index=index, observation=observation, action=Action(reason="", command=command)))
        observation = result.observation
        if result.terminated:
            break
    return steps, observation, bool(steps) and result.terminated


def test_walkthroughs_win(world):
    suite, root, specs = world
    environment = suite.make(root)
    for spec in specs:
        environment.reset(spec)
        walkthrough = AlfworldFacts.of(suite.privileged_state(root, spec)).walkthrough
        results = [environment.step(command) for command in walkthrough]
        assert all(result.valid for result in results)
        assert [result.success for result in results] == [False] * (len(results) - 1) + [True]


@pytest.mark.parametrize("level", LEVELS)
def test_the_expert_wins_within_twenty_actions(world, level):
    suite, root, specs = world
    environment = suite.make(root)
    for spec in specs:
        privileged = suite.privileged_state(root, spec)
        episode = demonstrate(environment, suite.oracle(), spec, privileged, level, 20)
        assert episode.success, (spec.instruction, [step.action.command for step in episode.steps])
        assert all(8 <= len(step.action.reason.split()) <= 80 for step in episode.steps)
    assert {spec.group for spec in specs} == set(TASK_TYPES)


def test_more_of_the_hidden_state_makes_shorter_episodes(world):
    suite, root, specs = world
    environment = suite.make(root)
    lengths = {}
    for level in (0, 50, 100):
        episodes = [
            demonstrate(environment, suite.oracle(), spec, suite.privileged_state(root, spec), level, 50)
            for spec in specs
        ]
        lengths[level] = sum(len(episode.steps) for episode in episodes)
    shortest = sum(len(AlfworldFacts.of(suite.privileged_state(root, spec)).walkthrough) for spec in specs)
    assert lengths[0] > lengths[50] > lengths[100] >= shortest


@pytest.mark.parametrize("level", [0, 50, 100])
def test_the_expert_wins_from_where_a_confused_student_left_off(world, level):
    suite, root, specs = world
    environment = suite.make(root)
    for seed, spec in enumerate(specs):
        steps, observation, over = wander(environment, spec, 10, seed)
        privileged = suite.privileged_state(root, spec)
        while not over:
            assert len(steps) < 40, (spec.instruction, [step.action.command for step in steps])
            action = suite.oracle().advise(spec, steps, observation, privileged, level)
            assert action.command in observation.admissible
            steps.append(Step(index=len(steps), observation=observation, action=action))
            result = environment.step(action.command)
            observation, over = result.observation, result.terminated
        assert result.success if steps[10:] else True


def test_at_level_0_the_advice_does_not_depend_on_what_was_not_seen(world):
    """Realizable by construction: hidden places are shuffled, and nothing changes."""
    suite, root, specs = world
    environment = suite.make(root)
    for seed, spec in enumerate(specs):
        steps, observation, over = wander(environment, spec, 8, seed)
        if over:
            continue
        privileged = suite.privileged_state(root, spec)
        facts = AlfworldFacts.of(privileged)
        places = list(facts.locations.values())
        Random(seed).shuffle(places)
        shuffled = facts.with_(locations=dict(zip(facts.locations, places, strict=True)))
        other = privileged.with_(facts=shuffled.model_dump(mode="json"))
        oracle = suite.oracle()
        assert oracle.advise(spec, steps, observation, privileged, 0) == oracle.advise(
            spec, steps, observation, other, 0
        )
