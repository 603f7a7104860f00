"""The parts of a score: what an environment gives is what episodes, results, the report and the command line have."""

from dataclasses import replace

import pytest
from corridor import Corridor, corridors
from report_data import evaluation, report_data, trajectory

from flows.results.summary import line_of
from leap_core.config import ExecutionConfig, StudentConfig
from leap_core.envs.workers import EnvironmentPool
from leap_core.method.demonstrations import demonstrate
from leap_core.method.evaluation import summarise
from leap_core.method.rollout import RolloutSettings, play_episodes
from leap_core.prompts import load_prompts
from leap_core.report.episodes import episodes_json
from leap_core.report.model import EpisodeReport
from leap_core.report.page import render
from leap_core.students.scripted import ScriptedStudent
from leap_core.types import Action, EvaluationResult, PrivilegedState, Spec, StopReason, Trajectory

PARTS = {"way": 1.0, "speed": 1 / 3}
SETTINGS = RolloutSettings(
    iteration=1, seed=3, max_steps=4, max_consecutive_invalid=None, constrain=False, batch_size=2
)  # fmt: skip


class Judged(Corridor):
    """A corridor whose score has parts, and that doubts it."""

    def step(self, command):
        result = super().step(command)
        return replace(result, score_parts=PARTS, suspicion="steered") if result.terminated else result


class Expert:
    def advise(self, spec, history, observation, privileged, level):
        return Action(reason="on", command="right")


def play(*specs, environment=Judged, num_workers=1):
    config = StudentConfig(kind="scripted", params={"replies": ["REASON: on\nACTION: right"]})
    student = ScriptedStudent("anywhere", config, ExecutionConfig(), 0.0)
    with EnvironmentPool(environment, num_workers) as pool:
        return play_episodes(student, pool, load_prompts("alfworld", "compact"), specs, SETTINGS)


@pytest.mark.slow
def test_an_episode_has_those_of_the_result_that_ended_it():
    ended, broken_off = play(*corridors(a=2, b=9))
    assert (ended.score_parts, ended.suspicion) == (PARTS, "steered")
    assert (broken_off.stop_reason, broken_off.score_parts, broken_off.suspicion) == (StopReason.STEP_LIMIT, {}, None)


@pytest.mark.parametrize("wrong", [{"score": float("nan")}, {"score": 1.5}, {"score_parts": {"way": float("inf")}}])
def test_a_score_that_is_none_fails_its_own_episode_and_enters_no_mean(wrong):
    class Misjudged(Corridor):
        def step(self, command):
            return replace(super().step(command), **wrong)

    (played,) = play(*corridors(a=2), environment=Misjudged, num_workers=0)
    assert (played.stop_reason, played.score, played.success) == (StopReason.ENV_ERROR, None, None)
    assert "must be in [0, 1]" in played.error


@pytest.mark.parametrize(("length", "parts", "suspicion"), [(2, PARTS, "steered"), (9, {}, None)])
def test_so_has_a_demonstration(length, parts, suspicion):
    hidden = PrivilegedState(spec_id="a", text="", source="test")
    played = demonstrate(Judged(), Expert(), corridors(a=length)[0], hidden, 100, 4)
    assert (played.score_parts, played.suspicion) == (parts, suspicion)


def episode(number, parts, score, stop=StopReason.TERMINATED):
    spec = Spec(id=f"test/{number}", env="webshop", split="test", instruction="buy", group="x")
    return Trajectory(
        id=f"i1/{number}", spec=spec, iteration=1, student="s", steps=(), final_observation="", stop_reason=stop,
        score=score, success=None if score is None else score == 1, score_parts=parts,
        error="it broke" if score is None else None,
    )  # fmt: skip


def test_an_episode_that_was_broken_off_counts_as_nothing_and_a_part_not_asked_for_does_not_count():
    played = [
        episode(0, {"type": 1.0, "options": 0.5}, 1.0),
        episode(1, {"type": 0.5}, 0.5),
        episode(2, {}, 0.0, StopReason.STEP_LIMIT),
        episode(3, {}, None, StopReason.ENV_ERROR),  # has no score and enters no mean
    ]
    means = summarise(played, 1, "test", 0.95).mean_parts
    assert means == {"type": 0.5, "options": 0.25}
    assert list(means) == ["type", "options"]


def test_a_result_is_written_without_them_where_there_are_none():
    result = summarise([episode(0, {"type": 1.0, "price": 0.0}, 0.5)], 1, "test", 0.95)
    assert EvaluationResult.model_validate(result.model_dump(mode="json")) == result
    plain = summarise([episode(0, {}, 1.0)], 1, "test", 0.95)
    assert "mean_parts" not in plain.model_dump(mode="json")
    assert EvaluationResult.model_validate_json(plain.model_dump_json()) == plain


def test_people_are_shown_them():
    result = evaluation(1, "test", mean_parts={"type": 0.9123, "price": 1.0})
    assert "(type 0.912, price 1.000)" in line_of(result)
    assert "(" not in line_of(evaluation(1))
    page = render(report_data(test=[result]))
    assert '<th scope="col" class="n">Type</th><th scope="col" class="n">Price</th>' in page
    assert '<td class="n">0.912</td>' in page
    assert '<td class="n">–</td>' in page
    assert '<th scope="col" class="n">Price</th>' not in render(report_data())


def test_the_report_shows_those_of_an_episode_and_what_is_doubtful():
    def shown(**changes):
        return episodes_json([EpisodeReport(iteration=1, split="train", trajectory=trajectory(1, **changes))])

    judged = shown(score_parts={"type": 0.9123, "price": 1.0}, suspicion="changed by /.gitignore")
    assert "type 0.912, price 1.000" in judged
    assert "changed by /.gitignore" in judged
    assert "Suspicion" not in shown()
