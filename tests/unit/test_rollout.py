"""Playing episodes: together or each for itself, why each ends, and failures that stay where they belong."""

import hashlib
from dataclasses import replace

import pytest
from answering import Answering
from corridor import ADMISSIBLE, Corridor, corridors

from leap_core.config import ExecutionConfig, StudentConfig
from leap_core.envs.workers import EnvironmentPool
from leap_core.errors import ConfigError
from leap_core.method.correction import needs_correction
from leap_core.method.evaluation import summarise
from leap_core.method.rollout import (
    RolloutSettings,
    check_episodes,
    find_overflow,
    play_episodes,
    turn_seed,
)
from leap_core.prompts import load_prompts
from leap_core.students.base import ActReply
from leap_core.students.scripted import ScriptedStudent
from leap_core.types import Action, StopReason, Usage
from tasks.playing import PlayedCounts

SETTINGS = RolloutSettings(iteration=1, seed=3, max_steps=6, max_consecutive_invalid=3, constrain=False, batch_size=2)


class Recording(Answering):
    """Keeps the requests of every turn, and what it was told to forget."""

    def act(self, requests):
        self.turns = [*getattr(self, "turns", []), list(requests)]
        return super().act(requests)

    def release(self, slots):
        self.released = [*getattr(self, "released", []), *slots]


def play(student, specs, num_workers=0, **changes):
    with EnvironmentPool(Corridor, num_workers) as pool:
        return play_episodes(student, pool, load_prompts("alfworld", "compact"), specs, replace(SETTINGS, **changes))


def scripted(*replies):
    return Recording(lambda request: replies[turn_of(request) % len(replies)])


def turn_of(request):
    return sum(message.role == "assistant" for message in request.messages)


def log(command):
    return f"REASON: because.\nACTION: {command}"


def by_spec(**commands):
    """A student that says the n-th of an episode's commands in its n-th turn."""

    def answer(request):
        return log(commands[request.slot][turn_of(request)])

    return Recording(answer)


def commands_of(trajectory):
    return [step.action.command for step in trajectory.steps]


def test_each_turn_tells_which_episodes_are_finished_and_how_far_the_others_are():
    student, told = by_spec(a=["right"], b=["left", "right", "right"], c=["right"]), []
    settings = replace(SETTINGS, max_steps=20)
    with EnvironmentPool(Corridor, 0) as pool:
        prompts = load_prompts("alfworld", "compact")
        specs, tell = corridors(a=1, b=1, c=1), lambda done, live: told.append(([one.spec.id for one in done], live))
        play_episodes(student, pool, prompts, specs, settings, tell)
    assert told == [(["a"], [1]), (["a", "c"], [2]), (["a", "c", "b"], [])]


def test_the_place_of_a_finished_episode_is_taken_by_the_next_spec():
    student = scripted(log("right"))
    episodes = play(student, corridors(a=1, b=3, c=2, d=1))
    assert [[request.slot for request in turn] for turn in student.turns] == [["a", "b"], ["b", "c"], ["b", "c"], ["d"]]
    assert [episode.id for episode in episodes] == ["i1/a", "i1/b", "i1/c", "i1/d"]
    assert [len(episode.steps) for episode in episodes] == [1, 3, 2, 1]
    assert sorted(student.released) == ["a", "b", "c", "d"]


class OutOfOrder(Recording):
    """Replies to one request at a time, the newest first; `waits` names episodes that are replied to only at last."""

    waits = ()

    def submit(self, requests):
        self.outstanding = [*getattr(self, "outstanding", []), *requests]

    def collect(self):
        chosen = next((one for one in reversed(self.outstanding) if one.slot not in self.waits), self.outstanding[-1])
        self.outstanding.remove(chosen)
        self.order = [*getattr(self, "order", []), chosen.slot]
        return {chosen.slot: self.act([chosen])[0]}


def test_where_replies_are_independent_no_episode_waits_for_another():
    student = OutOfOrder(lambda request: log("right"))
    student.waits = ("a",)
    specs = corridors(a=2, b=3, c=1, d=2)
    episodes = play(student, specs)
    assert student.order == ["b", "b", "b", "c", "d", "d", "a", "a"]
    assert episodes == play(scripted(log("right")), specs), "the same episodes, in the same order"
    assert sorted(student.released) == ["a", "b", "c", "d"]


def test_without_specs_there_are_no_episodes():
    student = scripted(log("right"))
    assert play(student, []) == []
    assert not hasattr(student, "turns")


def wanderer():
    """Goes left, right or astray by the seed of the turn and all that it was shown."""

    def answer(request):
        seen = f"{request.seed} {[message.content for message in request.messages]}"
        return (log("right"), log("right"), log("left"), log("fly"), "rubbish")[
            hashlib.sha256(seen.encode()).digest()[0] % 5
        ]

    return Answering(answer)


MANY = corridors(**{f"s{n}": 1 + n % 3 for n in range(9)})


@pytest.mark.parametrize(("batch_size", "num_workers"), [(1, 0), (2, 0), (4, 2), (9, 1), (50, 0)])
def test_neither_the_batch_nor_the_workers_change_an_episode(batch_size, num_workers):
    expected = play(wanderer(), MANY, batch_size=3)
    assert len({stop.stop_reason for stop in expected}) > 1
    assert len({tuple(commands_of(episode)) for episode in expected}) > 4
    assert play(wanderer(), MANY, num_workers, batch_size=batch_size) == expected


def test_no_two_turns_share_a_seed():
    student = scripted(log("left"))
    for iteration in (1, 2):
        play(student, corridors(a=9, b=9), iteration=iteration)
    seeds = [request.seed for turn in student.turns for request in turn]
    assert len(set(seeds)) == len(seeds) == 2 * 2 * SETTINGS.max_steps
    assert student.turns[1][1].seed == turn_seed(SETTINGS.seed, 1, "b", 1)
    assert turn_seed(4, 1, "b", 1) not in seeds


def test_the_student_is_shown_what_it_did_and_saw():
    student = by_spec(a=["right", "fly", "right"])
    play(student, corridors(a=2))
    told = [message.content for message in student.turns[2][0].messages]
    assert told[1::2] == ["ACTION: right", "ACTION: fly"]
    assert ["a: place 0." in told[0], "a: place 1 after 'right'." in told[2], "after 'fly'" in told[4]] == [True] * 3


@pytest.mark.parametrize(("constrain", "admissible"), [(True, ADMISSIBLE), (False, None)])
def test_commands_are_constrained_only_where_it_is_asked_for(constrain, admissible):
    student = scripted(log("right"))
    play(student, corridors(a=1), constrain=constrain)
    assert student.turns[0][0].admissible == admissible


def test_each_step_holds_what_was_seen_said_and_spent():
    episode = play(scripted(log("left"), log("right")), corridors(a=1))[0]
    assert [step.index for step in episode.steps] == list(range(6))
    assert [step.observation.text for step in episode.steps[:3]] == [
        *("a: place 0.", "a: place -1 after 'left'.", "a: place 0 after 'right'.")
    ]
    assert episode.steps[1].action == Action(reason="because.", command="right")
    assert episode.steps[1].reply == log("right")
    assert episode.final_observation == "a: place 0 after 'right'."
    assert (episode.student, episode.iteration, episode.usage) == ("scripted", 1, Usage(num_requests=6))


@pytest.mark.parametrize(
    ("commands", "stop", "num_steps", "score"),
    [
        (["right"] * 4, StopReason.TERMINATED, 4, 1.0),
        (["left", *["right"] * 5], StopReason.TERMINATED, 6, 1.0),  # with the last step that it has
        (["right", "jump"], StopReason.TERMINATED, 2, 0.25),  # the environment's end is not success
        (["right", "left"] * 3, StopReason.STEP_LIMIT, 6, 0.0),
        (["right", "right", "fly", "sing", "fly"], StopReason.INVALID_LIMIT, 5, 0.5),
        (["fly", "fly", "right", "fly", "fly", "right"], StopReason.STEP_LIMIT, 6, 0.5),  # never three in a row
        (["fly", "fly", "right", "fly", "fly", "fly"], StopReason.STEP_LIMIT, 6, 0.25),
    ],
)
def test_why_an_episode_ends(commands, stop, num_steps, score):
    episode = play(by_spec(a=commands), corridors(a=4))[0]
    assert (episode.stop_reason, len(episode.steps), episode.score) == (stop, num_steps, score)
    assert episode.success is (score == 1.0)
    assert episode.error is None


def test_without_a_limit_invalid_actions_end_no_episode():
    episode = play(scripted(log("fly")), corridors(a=1), max_consecutive_invalid=None)[0]
    assert (episode.stop_reason, len(episode.steps)) == (StopReason.STEP_LIMIT, 6)
    assert [step.valid for step in episode.steps] == [False] * 6


@pytest.mark.parametrize(
    "unparseable", ["", "\n\n", "right", "REASON: I think", "REASON: x\nACTION:", "�" * 5000, "{{ 1/0 }}"]
)
def test_an_unparseable_reply_is_recorded_as_invalid_and_the_episode_goes_on(unparseable):
    episode = play(scripted(log("right"), unparseable, log("right")), corridors(a=2))[0]
    assert [step.valid for step in episode.steps] == [True, False, True]
    assert episode.steps[1].reply == unparseable
    assert episode.steps[1].action == Action(reason="", command="")
    assert (episode.stop_reason, episode.success, episode.error) == (StopReason.TERMINATED, True, None)


def test_nothing_but_unparseable_replies_stops_each_episode_at_the_limit():
    episodes = play(scripted("bla"), corridors(a=1, b=1, c=1))
    assert {(episode.stop_reason, len(episode.steps), episode.score) for episode in episodes} == {
        (StopReason.INVALID_LIMIT, 3, 0.0)
    }


class Accepting(Corridor):
    """Takes every command for a good one, even none."""

    def result(self, command, terminated):
        return replace(super().result(command, terminated), valid=True)


def test_an_unreadable_reply_is_invalid_whatever_the_environment_makes_of_it():
    with EnvironmentPool(Accepting, 0) as pool:
        episode = play_episodes(
            scripted("bla", log("fly")), pool, load_prompts("alfworld", "compact"), corridors(a=1), SETTINGS
        )[0]
    assert [step.valid for step in episode.steps] == [False, True] * 3


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_failing_environment_fails_its_own_episode_alone(num_workers):
    specs = corridors(a=2, b=2, c=2, d=2)
    specs[2] = specs[2].with_(instruction="locked")
    student = by_spec(a=["right", "right"], b=["right", "dig"], d=["right", "right"])
    a, b, c, d = play(student, specs, num_workers)
    for episode in (a, d):
        assert (episode.stop_reason, episode.score, episode.error) == (StopReason.TERMINATED, 1.0, None)
    assert (b.stop_reason, b.error, commands_of(b)) == (
        StopReason.ENV_ERROR, "RuntimeError: the roof came down", ["right"]
    )  # fmt: skip
    assert (c.stop_reason, c.error, c.steps) == (StopReason.ENV_ERROR, "ValueError: no way in", ())
    assert [episode.score for episode in (b, c)] == [episode.success for episode in (b, c)] == [None, None]
    assert sorted(student.released) == ["a", "b", "c", "d"]


class Mute(Recording):
    """Has no answer to one episode from its second turn on."""

    def act(self, requests):
        replies = super().act(requests)
        return [
            ActReply(text="", usage=Usage(num_requests=1), error="out of memory")
            if request.slot == "b" and len(request.messages) > 1
            else reply
            for request, reply in zip(requests, replies, strict=True)
        ]


class Overflowing(Recording):
    """Of every twentieth episode the second prompt is longer than what it reads."""

    def act(self, requests):
        replies = super().act(requests)
        return [
            ActReply(text="", usage=Usage(), out_of_context=True)
            if int(request.slot) % 20 == 0 and len(request.messages) > 1
            else reply
            for request, reply in zip(requests, replies, strict=True)
        ]


def test_episodes_that_run_out_of_context_are_failed_ones_and_are_corrected():
    """30 of 60 solved, 3 of them out of context: that is 50 %, not 30 of 57."""
    student = Overflowing(lambda request: log("right" if int(request.slot) % 2 else "left"))
    played = play(student, corridors(**{str(n): 2 for n in range(60)}))
    check_episodes(played, max_error_share=0.0)
    result = summarise(played, 1, "dev", 0.95)
    assert (result.success, result.num_episodes, result.num_errors, result.num_out_of_context) == (0.5, 60, 0, 3)
    assert PlayedCounts.of(played).out_of_context_episodes == 3
    cut = [one for one in played if one.stop_reason is StopReason.CONTEXT_LIMIT]
    assert [(one.score, one.success, one.error, len(one.steps)) for one in cut] == [(0.0, False, None, 1)] * 3
    assert all(needs_correction(one, 0.0) for one in cut)


class Narrow(Recording):
    """Cannot read anything."""

    def act(self, requests):
        return [ActReply(text="", usage=Usage(), out_of_context=True) for _ in requests]


def test_where_most_episodes_run_out_of_context_it_is_said():
    found = find_overflow(play(Narrow(lambda request: log("right")), corridors(a=2, b=2)))
    assert "In 2 of 2 episodes a prompt was longer than the model reads, the first time after 0 steps" in found
    assert find_overflow(play(Recording(lambda request: log("right")), corridors(a=2, b=2))) is None


def test_a_student_without_an_answer_fails_that_episode_alone():
    student = Mute(lambda request: log("right"))
    a, b, c = play(student, corridors(a=3, b=3, c=3))
    assert [episode.success for episode in (a, c)] == [True, True]
    assert (b.stop_reason, b.error, b.score, b.success) == (StopReason.STUDENT_ERROR, "out of memory", None, None)
    assert commands_of(b) == ["right"]
    assert sorted(student.released) == ["a", "b", "c"]


@pytest.mark.parametrize("replies", [None, [], "text", ["text", 3]])
def test_a_script_must_be_a_list_of_texts(replies):
    config = StudentConfig(kind="scripted", params={"replies": replies})
    with pytest.raises(ConfigError, match=r"student\.params\.replies"):
        ScriptedStudent("anywhere", config, ExecutionConfig(), 0.0)
