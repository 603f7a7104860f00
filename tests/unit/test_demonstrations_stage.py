"""The stage `demonstrations` resumes with the same bytes; whatever plays an environment closes it."""

import pytest

from flows.command.doctor import diagnose_environment
from leap_core.config import EnvironmentConfig, ExecutionConfig, LeapConfig
from leap_core.envs import ENVIRONMENTS
from leap_core.envs.alfworld.suite import AlfworldSuite
from leap_core.method.tables import read_trajectories, write_privileged, write_specs
from leap_core.pace import keep_silent
from leap_core.types import PrivilegedState
from tasks.base_student import BASE, BaseIdentity
from tasks.demonstrations import DEMONSTRATIONS, DemonstrationsIdentity
from tasks.identity import PlayedEnvironment
from tasks.random_play import RANDOM_PLAY, RandomPlayIdentity
from tasks.stage import StageWork

NUM_EPISODES = 7
CONFIG = LeapConfig(
    environment=EnvironmentConfig(num_train=NUM_EPISODES),
    demonstrations={"num_episodes": NUM_EPISODES},
    rollout={"num_episodes": 1},
    execution=ExecutionConfig(shard_size=2),
)


def identity(max_steps=20):
    environment = PlayedEnvironment.of(CONFIG.environment.with_(max_steps=max_steps))
    return DemonstrationsIdentity(environment=environment, num_episodes=NUM_EPISODES, level=0, prompt="default")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    suite = AlfworldSuite(CONFIG.environment)
    specs = suite.prepare(root, "train", 0)
    write_specs(root, specs)
    write_privileged(root, [suite.privileged_state(root, spec) for spec in specs])
    return root


@pytest.fixture
def collect(inputs, tmp_path):
    """Do the stage's work; `stop_after` cuts it off after so many episodes. Returns its report and what it told."""

    def collect(attempt, scratch="scratch", stop_after=None, **settings):
        told = []

        def progress(line, *, done, left):
            told.append(line)
            if len(told) == stop_after:
                raise KeyboardInterrupt

        for directory in (tmp_path / attempt, tmp_path / scratch):
            directory.mkdir(exist_ok=True)
        work = StageWork(
            identity=identity(**settings),
            config=CONFIG,
            inputs={"specs": inputs, "privileged": inputs},
            output=tmp_path / attempt,
            scratch=tmp_path / scratch,
            log=print,
            progress=progress,
        )
        return DEMONSTRATIONS.work(work), told

    return collect


def files(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("stop_after", [1, 2, 5, NUM_EPISODES])
def test_work_that_was_cut_off_goes_on_and_ends_with_the_same_bytes(collect, tmp_path, stop_after):
    undisturbed, _ = collect("undisturbed", scratch="other")
    with pytest.raises(KeyboardInterrupt):
        collect("cut-off", stop_after=stop_after)
    assert files(tmp_path / "cut-off") == {}
    report, told = collect("resumed")
    whole_shards = (stop_after - 1) // 2 * 2
    assert len(told) == NUM_EPISODES - whole_shards
    assert (undisturbed.resumed, report.resumed) == (False, whole_shards > 0)
    assert report.counts == undisturbed.counts
    assert files(tmp_path / "resumed") == files(tmp_path / "undisturbed") != {}


def test_an_expert_that_fails_is_counted_and_not_cloned_resumed_or_not(collect, tmp_path):
    """Within so few steps only some of the goals can be reached."""
    with pytest.raises(KeyboardInterrupt):
        collect("cut-off", stop_after=6, max_steps=6)
    for attempt in ("resumed", "again"):
        report, _ = collect(attempt, max_steps=6)
        cloned = read_trajectories(tmp_path / attempt)
        assert all(episode.success for episode in cloned)
        assert report.counts.failed_episodes == NUM_EPISODES - len(cloned)
        assert 0 < len(cloned) < NUM_EPISODES


class CrashError(Exception):
    """What an environment should never do."""


class CrashingEnvironment:
    num_open = 0

    def __init__(self):
        CrashingEnvironment.num_open += 1

    def reset(self, spec):
        raise CrashError

    def close(self):
        CrashingEnvironment.num_open -= 1


class CrashingSuite(AlfworldSuite):
    def make(self, root):
        return CrashingEnvironment()

    def privileged_state(self, root, spec):
        return PrivilegedState(spec_id=spec.id, text="", source="test")


BASE_IDENTITY = BaseIdentity(
    kind="hf", source="tiny", params={}, prompt="default", max_steps=5, num_vocabulary_specs=1, seed=0
)


@pytest.mark.parametrize(
    ("stage", "identity"),
    [
        (DEMONSTRATIONS, identity()),
        (BASE, BASE_IDENTITY),
        (RANDOM_PLAY, RandomPlayIdentity(episodes_per_spec=1, prompt="default", seed=0)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_an_environment_is_closed_when_the_work_fails(inputs, tmp_path, monkeypatch, stage, identity):
    monkeypatch.setitem(ENVIRONMENTS, "alfworld", f"{__name__}:CrashingSuite")
    work = StageWork(
        identity=identity,
        config=CONFIG,
        inputs={"specs": inputs, "privileged": inputs},
        output=tmp_path,
        scratch=tmp_path,
        log=print,
        progress=keep_silent,
    )
    with pytest.raises(CrashError):
        stage.work(work)
    assert CrashingEnvironment.num_open == 0


def test_doctor_closes_what_it_plays(monkeypatch):
    monkeypatch.setitem(ENVIRONMENTS, "alfworld", f"{__name__}:CrashingSuite")
    with pytest.raises(CrashError):
        diagnose_environment("alfworld")
    assert CrashingEnvironment.num_open == 0
