"""What every environment keeps to, whichever it is: run over all that are named in ENVIRONMENTS."""

import re
from random import Random
from typing import get_args

import pytest

from leap_core.config import EnvironmentConfig
from leap_core.envs import ENVIRONMENTS
from leap_core.envs.base import find_suite
from leap_core.envs.findings import examine
from leap_core.envs.workers import EnvironmentPool
from leap_core.errors import LeapError, TeacherReplyError
from leap_core.gate.giveaways import Giveaways
from leap_core.gate.realizability import Gate, leaks
from leap_core.loading import load_suite, open_pool
from leap_core.method.demonstrations import demonstrate
from leap_core.prompts import load_prompts, prompts_folder
from leap_core.types import (
    Action,
    CorrectionStatus,
    Figure,
    HiddenFacts,
    PrivilegedState,
    Step,
    StepCorrection,
    StopReason,
    Trajectory,
)

SPLITS = ("train", "dev", "test")
NUM_STEPS = 6
"""Of a random walk."""
MOST_ADVISED = 15
"""Steps that the expert advises on."""
ASTRAY = 0.35
"""How often its advice is not taken."""


class World:
    """A suite with the specs of all its splits, each prepared in a directory of its own, as the stages do."""

    def __init__(self, name, directory):
        self.config = EnvironmentConfig(name=name, num_train=12, num_dev=6, num_test=6)
        self.suite = load_suite(self.config)
        self.roots = {split: directory / split for split in SPLITS}
        self.specs = {split: self.suite.prepare(root, split, 3) for split, root in self.roots.items()}
        self._players, self._states = {}, {}

    def environment(self, spec):
        """A new environment."""
        return self.suite.make(self.roots[spec.split])

    def player(self, spec):
        """The environment that all tests share that need no new one."""
        if spec.split not in self._players:
            self._players[spec.split] = self.environment(spec)
        return self._players[spec.split]

    def hidden(self, spec) -> PrivilegedState:
        if spec.id not in self._states:
            self._states[spec.id] = self.suite.privileged_state(self.roots[spec.split], spec)
        return self._states[spec.id]

    def close(self):
        for player in self._players.values():
            player.close()

    def all_specs(self):
        return [spec for split in SPLITS for spec in self.specs[split]]


def marks_of(name):
    """Where commands are in free form, each is run or searched with, which takes its time."""
    return pytest.mark.slow if find_suite(name).sample_commands else ()


@pytest.fixture(scope="module", params=[pytest.param(name, marks=marks_of(name)) for name in ENVIRONMENTS])
def world(request, tmp_path_factory):
    try:
        made = World(request.param, tmp_path_factory.mktemp(request.param))
    except LeapError as error:
        if any(finding.is_bad for finding in examine(request.param)):
            pytest.skip(f"its doctor says that it cannot be played here: {error}")
        raise
    yield made
    made.close()


def commands_at(observation, spec):
    """What can be tried here."""
    return observation.admissible or find_suite(spec.env).sample_commands


def wander(environment, spec, seed):
    """Everything that is seen on a random walk."""
    rng, observation = Random(seed), environment.reset(spec)
    seen = [observation]
    for _ in range(NUM_STEPS):
        result = environment.step(rng.choice(commands_at(observation, spec)))
        assert result.valid
        assert 0.0 <= result.score <= 1.0
        assert result.terminated or not result.score_parts, "a score has parts once it is given"
        observation = result.observation
        seen.append(observation)
        if result.terminated:
            break
    return seen


def test_a_suite_goes_by_its_name_and_says_which_figure_decides(world):
    assert world.suite.name == world.config.name
    assert world.suite.figure in get_args(Figure)


def test_specs_name_their_environment_and_split(world):
    specs = world.all_specs()
    assert {split: len(found) for split, found in world.specs.items()} == {"train": 12, "dev": 6, "test": 6}
    assert len({spec.id for spec in specs}) == len(specs)
    for split, found in world.specs.items():
        assert {(spec.env, spec.split) for spec in found} == {(world.suite.name, split)}
    assert all(spec.instruction and spec.group for spec in specs)


def test_preparing_again_gives_the_same_specs(world, tmp_path):
    for split in SPLITS:
        assert world.suite.prepare(tmp_path / split, split, 3) == world.specs[split]


def test_splits_share_no_game(world):
    games = {
        split: {(world.player(spec).reset(spec).text, str(world.hidden(spec).facts)) for spec in found}
        for split, found in world.specs.items()
    }
    for split, found in games.items():
        assert len(found) == len(world.specs[split])
        assert all(found.isdisjoint(games[other]) for other in SPLITS if other != split)


def test_same_spec_plays_the_same(world):
    for spec in world.specs["train"][:4]:
        environment = world.environment(spec)
        first = wander(environment, spec, seed=1)
        assert wander(environment, spec, seed=1) == first
        assert wander(world.environment(spec), spec, seed=1) == first


def test_every_admissible_command_executes(world):
    spec = world.specs["dev"][0]
    environment = world.environment(spec)
    for command in commands_at(environment.reset(spec), spec):
        environment.reset(spec)
        assert environment.step(command).valid


def test_wrong_command_is_an_answer(world):
    spec = world.specs["dev"][0]
    environment = world.environment(spec)
    before = environment.reset(spec)
    for command in ("", " ", "juggle the mugs", "{r.name}", "\n", "?" * 5000, "go to 🧊"):
        result = environment.step(command)
        assert not result.valid
        assert not result.terminated
        assert result.observation.text
        assert result.observation.admissible == before.admissible


def test_oracle_wins_with_all_that_it_may_know(world):
    oracle = world.suite.oracle()
    assert oracle.levels == tuple(sorted(oracle.levels))
    for spec in world.all_specs():
        played = demonstrate(world.player(spec), oracle, spec, world.hidden(spec), oracle.levels[-1], 50)
        assert played.success, f"{spec.id}: {[step.action.command for step in played.steps]}"
        assert all(re.fullmatch("[a-z]+( [a-z]+)*", name) for name in played.score_parts), played.score_parts
        assert all(0.0 <= value <= 1.0 for value in played.score_parts.values()), played.score_parts
        assert played.suspicion is None


def test_oracle_acts_at_each_of_its_levels(world):
    """A command that the environment refuses is an error of `demonstrate`."""
    oracle, spec = world.suite.oracle(), world.specs["train"][0]
    for level in oracle.levels:
        assert demonstrate(world.player(spec), oracle, spec, world.hidden(spec), level, 50).steps


def advised(world, spec, level, seed):
    """An episode of a player led astray now and then, and the expert's correction of each step that it has one for."""
    rng, oracle, environment = Random(seed), world.suite.oracle(), world.player(spec)
    steps, corrections, observation = [], [], environment.reset(spec)
    for index in range(MOST_ADVISED):
        command = rng.choice(commands_at(observation, spec))
        try:
            action = oracle.advise(spec, steps, observation, world.hidden(spec), level)
        except TeacherReplyError:  # a detour has led where it knows no way
            pass
        else:
            corrections.append(
                StepCorrection(
                    step=index, reason=action.reason, command=action.command, status=CorrectionStatus.CHANGED
                )
            )
            command = command if rng.random() < ASTRAY else action.command
        steps.append(Step(index=index, observation=observation, action=Action(reason="", command=command)))
        result = environment.step(command)
        observation = result.observation
        if result.terminated:
            break
    trajectory = Trajectory(
        id=spec.id, spec=spec, iteration=1, student="x", steps=tuple(steps), final_observation=observation.text,
        stop_reason=StopReason.STEP_LIMIT, score=0.0, success=False,
    )  # fmt: skip
    return trajectory, corrections


def test_all_that_its_expert_says_passes_the_gate(world):
    for level in world.suite.oracle().levels:
        for seed, spec in enumerate(world.all_specs()):
            trajectory, corrections = advised(world, spec, level, seed)
            gate = Gate(trajectory, world.hidden(spec))
            assert corrections
            for correction in corrections:
                assert gate.why_rejected(correction, correction.step) == "", correction


def test_there_is_one_sight_for_each_step_if_there_are_any(world):
    for spec in world.specs["dev"]:
        trajectory, _ = advised(world, spec, world.suite.oracle().levels[-1], 0)
        assert len(world.suite.sights(trajectory, world.hidden(spec))) in (0, len(trajectory.steps))


def test_another_hidden_state_is_one_of_the_same_spec_and_the_same_again(world):
    oracle = world.suite.oracle()
    for spec in world.specs["train"][:4]:
        true = world.hidden(spec)
        first = Step(index=0, observation=world.player(spec).reset(spec), action=Action(reason="", command=""))
        one, again = (
            world.suite.counterfactual(world.roots["train"], spec, true, [first], Random(0)) for _ in range(2)
        )
        assert one == again
        if one is None:  # the environment can make none
            continue
        assert one.spec_id == spec.id
        assert type(HiddenFacts.of(one)) is type(HiddenFacts.of(true))
        assert oracle.advise(spec, [], first.observation, one, oracle.levels[-1]).command


def test_privileged_text_is_not_observed(world):
    for spec in world.specs["train"]:
        state = world.hidden(spec)
        assert state.spec_id == spec.id
        secrets = [line for line in state.text.splitlines() if spec.instruction not in line]
        assert secrets
        for observation in wander(world.player(spec), spec, seed=2):
            assert not any(line in observation.text for line in secrets)


def test_no_thing_that_is_hidden_is_named_at_the_start(world):
    """In whatever words: where facts say what is where, nothing of that is in sight before the first step."""
    for spec in world.specs["train"]:
        first, state = world.player(spec).reset(spec), world.hidden(spec)
        told = "; ".join((spec.instruction, first.text, *(first.admissible or ())))
        things = [place.thing for place in Giveaways.of(HiddenFacts.of(state)).places]
        assert leaks(told, "", things) == []


def test_privileged_text_is_in_no_prompt_of_a_student(world):
    for name in student_prompt_sets(world.suite.name):
        prompts = load_prompts(world.suite.name, name)
        for spec in world.specs["train"][:6]:
            secrets = [line for line in world.hidden(spec).text.splitlines() if spec.instruction not in line]
            history, observations = [], wander(world.player(spec), spec, seed=4)
            for index, observation in enumerate(observations):
                messages = prompts.student_messages(spec, history, observation)
                shown = "\n".join(message.content for message in messages)
                assert not [line for line in secrets if line in shown]
                command = commands_at(observation, spec)[0]
                action = Action(reason="I try this.", command=command)
                history.append(Step(index=index, observation=observation, action=action))


def student_prompt_sets(environment):
    found = sorted(path.parent.name for path in prompts_folder(environment, "student").glob("*/turn.jinja"))
    assert found
    return found


def test_closing_twice_is_fine(world):
    spec = world.specs["test"][0]
    environment = world.environment(spec)
    environment.reset(spec)
    environment.close()
    environment.close()
    assert environment.reset(spec).text


def test_worker_processes_play_the_same(world):
    specs = world.specs["train"][:5]
    root = world.roots["train"]
    seen = {spec.id: world.player(spec).reset(spec) for spec in specs}
    commands = {spec.id: commands_at(seen[spec.id], spec)[0] for spec in specs}

    def play(pool: EnvironmentPool):
        with pool:
            first = pool.reset_many([(spec.id, spec) for spec in specs])
            return first, pool.step_many([(spec.id, commands[spec.id]) for spec in specs])

    assert play(open_pool(world.config, root, 2)) == play(open_pool(world.config, root, 0))
