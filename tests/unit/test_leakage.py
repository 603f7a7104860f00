"""Bits that only the hidden state explains: by a scorer that likes the words which its prompt holds."""

import math
import re

import pytest
from student_models import make_small_tiny

from leap_core.config import EnvironmentConfig, ExecutionConfig, StudentConfig
from leap_core.envs.base import Suite
from leap_core.envs.toy.suite import ToySuite
from leap_core.method.counterfactuals import Counterfactuals, Others
from leap_core.method.dataset import TrainingRow
from leap_core.method.leakage import Fits, MeasuredReply, judge_command, leakage_row, measure
from leap_core.method.second_gates import Agreement, objections, summarise_leakage, with_measures
from leap_core.students.base import ReplyScore
from leap_core.students.scoring import Scorer
from leap_core.types import Action, Message, PrivilegedState, Step, StopReason, Trajectory

LIKELY, UNLIKELY = math.log(0.5), math.log(0.125)


class CopyingScorer:
    """A word that stands in the prompt has a probability of 1/2, any other of 1/8."""

    most = 10_000

    def score(self, groups):
        return [[self._score(reply) for reply in group] for group in groups]

    def text_of(self, ids):
        return "".join(map(chr, ids)) if not ids else "".join(self._pieces[id] for id in ids)

    def _score(self, reply):
        prompt = " ".join(message.content for message in reply.messages)
        self._pieces = re.findall(r"\s*\S+", reply.text)
        if len(prompt) > self.most:
            return None
        words = set(re.findall(r"\w+", prompt))
        logprobs = [LIKELY if piece.strip(" \n.,") in words else UNLIKELY for piece in self._pieces]
        return ReplyScore(ids=tuple(range(len(self._pieces))), logprobs=tuple(logprobs))


PROMPT = (Message(role="user", content="You see cabinets and drawers. Find the mug."),)


def reply(reason, command="look", hidden="The mug is in drawer seven.", others=("The mug is in cabinet nine.",)):
    return MeasuredReply(
        messages=PROMPT, hidden=hidden, others=others, completion=f"REASON: {reason}\nACTION: {command}"
    )


def test_what_the_true_state_alone_makes_likely_measures_bits():
    (leak,) = measure(CopyingScorer(), [reply("It must be drawer seven there.")])
    assert leak.telling == "drawer seven"
    assert leak.telling_bits == pytest.approx(4.0)  # two words, each four times as likely: two bits
    assert leak.bits == pytest.approx(4.0 / leak.num_tokens)
    assert leak.reason_bits == pytest.approx(4.0 / 7)
    assert leak.command_bits == 0
    assert leak.logprob_true - leak.logprob_other == pytest.approx(4.0 * math.log(2))
    assert leak.student_logprob <= leak.logprob_other < leak.logprob_true


def test_what_was_seen_or_follows_from_both_measures_none():
    (clean,) = measure(CopyingScorer(), [reply("Find the mug in cabinets and drawers.")])
    assert (clean.bits, clean.telling, clean.telling_bits) == (0, "", 0)


def test_a_command_is_measured_apart_from_its_reason():
    (one,) = measure(CopyingScorer(), [reply("Find the mug.", "seven")])
    assert (one.reason_bits, one.command_bits) == (0, pytest.approx(1.0))  # two bits over the label and the word
    assert one.telling == ""


def test_others_are_averaged_over():
    others = ("The mug is in cabinet nine.", "The mug is in drawer seven, too.")
    (one,) = measure(CopyingScorer(), [reply("It is seven.", others=others)])
    assert one.num_others == 2
    assert one.telling_bits == pytest.approx(1.0)


def test_where_nothing_else_may_be_true_nothing_leaks():
    (one,) = measure(CopyingScorer(), [reply("It is seven.", others=())])
    assert (one.bits, one.num_others, one.logprob_other) == (0, 0, one.logprob_true)


def test_a_prompt_that_is_too_long_with_a_hidden_state_is_not_measured():
    scorer = CopyingScorer()
    scorer.most = 60
    (one,) = measure(scorer, [reply("It is seven.", hidden="The mug is in drawer seven. " * 9)])
    assert one is None
    row = leakage_row("e", 0, Others(states=(), are_made=True), one, Fits())
    assert (row.bits, row.num_tokens, row.telling) == (None, None, "")


def test_a_real_model_measures(tmp_path):
    scorer = Scorer(make_small_tiny(tmp_path), StudentConfig(precision="fp32"), ExecutionConfig(device="cpu"))
    leak, same = measure(
        scorer,
        [
            reply("need mug 1", "go to cabinet 1", "mug 1 cabinet 2", ("mug 1 cabinet 1",)),
            reply("need mug 1", "go to cabinet 1", "mug 1", ("mug 1",)),
        ],
    )
    assert leak.bits != 0
    assert same.bits == pytest.approx(0, abs=1e-6)
    parts = leak.logprob_true - leak.logprob_other
    assert leak.bits == pytest.approx(parts / leak.num_tokens / math.log(2))


@pytest.fixture
def toy(tmp_path):
    """The toy's suite, and an episode of it in which the first door was opened in vain."""
    suite = ToySuite(EnvironmentConfig(name="toy", num_train=60))
    specs = suite.prepare(tmp_path, "train", 0)
    states = {spec.id: suite.privileged_state(tmp_path, spec) for spec in specs}
    spec = next(spec for spec in specs if spec.params["behind"][0] != spec.params["wanted"])
    environment = suite.make(tmp_path)
    steps = [Step(index=0, observation=environment.reset(spec), action=Action(reason="", command="open"))]
    steps.append(Step(index=1, observation=environment.step("open").observation, action=steps[0].action))
    episode = Trajectory(
        id="e", spec=spec, iteration=1, student="s", steps=tuple(steps), final_observation="",
        stop_reason=StopReason.STEP_LIMIT, score=0.0, success=False,
    )  # fmt: skip
    hidden = Counterfactuals(suite=suite, root=tmp_path, specs=specs, states=states, num=3, seed=0)
    return suite, episode, hidden


def test_others_agree_with_what_was_seen_and_are_the_same_again(toy):
    _, episode, hidden = toy
    true = hidden.states[episode.spec.id]
    seen = true.text.splitlines()[0]
    others = hidden.of(episode, 1)
    assert others.are_made
    assert 1 <= len(others.states) <= 3
    assert len(set(others.texts) | {true.text}) == len(others.states) + 1
    assert all(seen in state.text and state.spec_id == episode.spec.id for state in others.states)
    assert hidden.of(episode, 1) == others


class MakesNone(ToySuite):
    """An environment that can make no other hidden state."""

    counterfactual = Suite.counterfactual


def test_without_any_those_of_other_specs_of_the_kind_are_borrowed(toy, tmp_path):
    _, episode, hidden = toy
    states = {id: state.with_(text=f"Task: {id}\n{state.text}") for id, state in hidden.states.items()}
    plain = Counterfactuals(
        suite=MakesNone(EnvironmentConfig(name="toy", num_train=60)), root=tmp_path, specs=hidden.specs,
        states=states, num=3, seed=0,
    )  # fmt: skip
    others = plain.of(episode, 1)
    kin = [states[spec.id] for spec in hidden.specs if spec.group == episode.spec.group and spec.id != episode.spec.id]
    assert not others.are_made
    assert others.texts
    for text in others.texts:
        first, _, rest = text.partition("\n")
        assert first == f"Task: {episode.spec.id}"
        assert any(state.text.endswith(rest) for state in kin)
    assert judge_command(plain.suite.oracle(), episode, 1, "open", states[episode.spec.id], others) == Fits()


def test_a_command_is_held_against_the_expert_in_the_true_state_and_in_others(toy):
    suite, episode, _ = toy
    wanted, closed = f"{episode.spec.group} 1", "door 2"
    true = PrivilegedState(spec_id=episode.spec.id, text="true", facts={"locations": {wanted: "door 4"}}, source="test")
    others = Others(
        states=tuple(true.with_(text=door, facts={"locations": {wanted: door}}) for door in (closed, "door 1")),
        are_made=True,
    )
    fits = judge_command(suite.oracle(), episode, 1, "go right", true, others)
    assert fits == Fits(true=True, other=0.5, seen=True)
    row = leakage_row("e", 1, others, None, fits)
    assert not row.command_leaks
    assert leakage_row("e", 1, others, None, Fits(true=True, other=0.0, seen=False)).command_leaks
    assert not leakage_row("e", 1, others, None, Fits(true=True, other=0.0, seen=True)).command_leaks


def rows():
    """Four corrections; the rules take the first two for leaks, and bits above 0.1 the second and third."""
    others = Others(states=(PrivilegedState(spec_id="s", text="t", source="x"),) * 2, are_made=True)
    (measured,) = measure(CopyingScorer(), [reply("It must be drawer seven there.")])
    fits = Fits(true=True, other=0.0, seen=False)
    values = (0.0, 0.5, 0.3, 0.1)
    found = [leakage_row("e", step, others, measured, fits) for step in range(4)]
    return [row.with_(bits=2 * bits, reason_bits=bits) for row, bits in zip(found, values, strict=True)]


def test_objections_begin_above_the_threshold():
    assert objections(rows(), 0.1) == {("e", 1): "bits", ("e", 2): "bits"}
    assert objections(rows(), None) == {}
    assert objections([row.with_(bits=None, reason_bits=None) for row in rows()], 0.1) == {}


def test_a_summary_is_over_what_the_rules_let_pass():
    leaks = {("e", 0), ("e", 1), ("elsewhere", 0)}
    found = summarise_leakage(rows(), leaks, 0.1, seconds=2.0)
    assert (found.num_measured, found.num_open, found.num_command_leaks) == (4, 2, 2)
    assert (found.mean_bits, found.reason_bits) == (pytest.approx(0.4), pytest.approx(0.2))
    assert found.above == 0.5
    assert (found.command_fits_true, found.command_fits_other) == (1.0, 0.0)
    assert found.agreement == Agreement(both=1, rules_alone=1, bits_alone=1, neither=1)
    assert [one.step for one in found.telling] == [2, 3]
    without = summarise_leakage(rows(), leaks, None, seconds=2.0)
    assert (without.above, without.agreement) == (None, None)


def test_of_nothing_there_is_a_summary_too():
    found = summarise_leakage([], set(), 0.1, seconds=0.0)
    assert (found.num_measured, found.mean_bits, found.above, found.telling) == (0, None, None, ())


def test_rows_to_train_on_hold_what_was_measured():
    def row(step):
        return TrainingRow(
            iteration=1, episode="e", step=step, part="train", prompt=PROMPT, completion=PROMPT, rejected=None
        )

    first, last = with_measures([row(2), row(9)], rows())
    assert (first.bits, first.reason_bits, first.student_logprob) == (0.6, 0.3, rows()[2].student_logprob)
    assert (last.bits, last.reason_bits, last.student_logprob) == (None, None, None)
