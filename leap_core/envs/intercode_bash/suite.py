"""InterCode Bash's specs: the tasks of an InterCode checkout, or the bundled ones."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from leap_core.config import EnvironmentConfig
from leap_core.disk.files import write_json
from leap_core.envs.base import Environment, Oracle, Suite
from leap_core.envs.folders import find_folder
from leap_core.envs.intercode_bash.environment import FindTask, IntercodeBashEnvironment, archive_path
from leap_core.envs.intercode_bash.nl2bash.benchmark import (
    HOW_TO_GET,
    BashTask,
    Benchmark,
    read_bundled,
    read_intercode,
    split_by_file_system,
    split_by_fraction,
)
from leap_core.envs.intercode_bash.oracle import IntercodeBashOracle
from leap_core.envs.intercode_bash.params import IntercodeBashParams
from leap_core.envs.intercode_bash.privileged import reveal
from leap_core.envs.intercode_bash.sandbox.backends import load_backend, require
from leap_core.envs.intercode_bash.sight import see
from leap_core.envs.sight import Sight
from leap_core.errors import LeapError
from leap_core.types import Figure, PrivilegedState, Spec, Split, Trajectory

GOLDS_FILE = "golds.json"
_GOLDS = TypeAdapter(dict[str, str])


class IntercodeBashSuite(Suite):
    """The suite named "intercode_bash"."""

    name = "intercode_bash"
    version = 2
    figure: Figure = "score"
    sample_commands = ("ls -A", "pwd", "echo hello", "cd /tmp", "touch /tmp/new; ls /tmp")

    def __init__(self, config: EnvironmentConfig) -> None:
        """Check the settings.

        Raises:
            ConfigError: an unknown backend, parameter or value.
        """
        self._config = config
        self._params = IntercodeBashParams.read(config)
        self._backend = load_backend(self._params.backend, {"rootfs": self._params.rootfs, "image": self._params.image})

    def check_data(self) -> None:
        """Raise LeapError where `environment.data` leads nowhere."""
        if self._config.data is not None:
            self._read()

    def prepare(self, root: Path, split: Split, seed: int) -> list[Spec]:
        """Build the file systems of a split in sandboxes, below `root`; return its specs. The seed changes nothing.

        Raises:
            SandboxUnavailableError: no sandbox works here.
            LeapError: the data is missing or damaged, or a set-up script fails.
        """
        benchmark = self._read()
        tasks = self._choose(benchmark.tasks, split)[: self._config.num_specs(split)]
        for name in sorted({task.file_system for task in tasks}):
            self._backend.build(benchmark.file_systems[name], archive_path(root, name))
        write_json(root / GOLDS_FILE, {_id(task, split): task.gold for task in tasks})
        return [
            Spec(
                id=_id(task, split),
                env=self.name,
                split=split,
                instruction=task.query,
                group=task.file_system,
                params={"file_system": task.file_system},
            )
            for task in tasks
        ]

    @staticmethod
    def sights(trajectory: Trajectory, privileged: PrivilegedState) -> list[Sight]:
        """What was seen by each step of an episode, and what is hidden of it."""
        return see(trajectory, privileged)

    def make(self, root: Path) -> Environment:
        """Make an environment that can play any spec of `root`.

        Raises:
            SandboxUnavailableError: no sandbox works here.
        """
        require(self._backend)
        return IntercodeBashEnvironment(
            self._backend, _find_task(root), self._params.command_timeout_s, self._params.observation_limit
        )

    def privileged_state(self, root: Path, spec: Spec) -> PrivilegedState:
        """The gold command of `spec`, and what it does in a fresh copy.

        Raises:
            WrongSpecError: the spec is not of `root`.
            EnvironmentCrashError: the sandbox failed.
        """
        params = self._params
        return reveal(spec, _find_task(root)(spec), self._backend, params.command_timeout_s, params.observation_limit)

    def oracle(self) -> Oracle:
        """The rule-based expert."""
        return IntercodeBashOracle()

    def _read(self) -> Benchmark:
        data = self._config.data
        return read_bundled() if data is None else read_intercode(find_folder(data, HOW_TO_GET))

    def _choose(self, tasks: tuple[BashTask, ...], split: Split) -> list[BashTask]:
        """The tasks of a split, in an order of their own."""
        params = self._params
        if self._config.data is None:
            return [task for task in tasks if task.split == split]
        if params.split_by == "fraction":
            return split_by_fraction(tasks, split, params.train_fraction, params.dev_fraction)
        return split_by_file_system(tasks, split, params.dev_fraction)


def _id(task: BashTask, split: Split) -> str:
    return f"{split}/{task.id}"


def _find_task(root: Path) -> FindTask:
    path = root / GOLDS_FILE
    try:
        return FindTask(root, _GOLDS.validate_json(path.read_bytes()))
    except (OSError, ValidationError) as error:
        raise LeapError(f"Cannot read {path}: {error}. Prepare the specs again.") from error
