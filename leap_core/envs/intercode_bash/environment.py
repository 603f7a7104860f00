"""One live InterCode Bash episode at a time, as the student sees it."""

import codecs
import re
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from leap_core.envs.base import StepResult
from leap_core.envs.intercode_bash.nl2bash.commands import MALFORMED, SKIP, SUBMIT, TIMED_OUT, plan, split_as_docker
from leap_core.envs.intercode_bash.nl2bash.reward import Score, score, suspect, words_to_hash
from leap_core.envs.intercode_bash.sandbox.backends import Backend, CommandResult, Sandbox, Stopped
from leap_core.errors import EnvironmentCrashError, WrongSpecError
from leap_core.types import Observation, Spec

NOT_FOUND = (126, 127)
"""Exit statuses by which a shell says that it could not run the command at all."""
FILE_AGE_S = 1800
INSPECTION_TIMEOUT_S = 10.0
"""For each look at what a command has left behind."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the environment knows of a spec and the student does not. `archive` holds the first state of the files."""

    file_system: str
    archive: Path
    gold: str


@dataclass(frozen=True, kw_only=True)
class GoldOutcome:
    """What the gold command does in a fresh copy. `output` is None where it is not text, as in the original."""

    output: str | None
    status: str | None


class IntercodeBashEnvironment:
    """Plays tasks in sandboxes. The limit on steps is the caller's to keep; only `submit` gives a score.

    Args:
        backend: makes the sandboxes.
        find_task: what a spec stands for; raises WrongSpecError for one that is not of this environment.
        command_timeout_s: for each command.
        observation_limit: characters of an output that the student sees; the score is of all of it.
    """

    def __init__(
        self, backend: Backend, find_task: "FindTask", command_timeout_s: float, observation_limit: int
    ) -> None:
        self._backend = backend
        self._find_task = find_task
        self._timeout_s = command_timeout_s
        self._observation_limit = observation_limit
        self._episode: _Episode | None = None

    def reset(self, spec: Spec) -> Observation:
        """Start `spec` in a fresh copy of its file system. The first observation is the task, as in the original.

        Raises:
            WrongSpecError: it is not a spec of InterCode Bash.
            EnvironmentCrashError: the sandbox could not be made.
        """
        self.close()
        task = self._find_task(spec)
        born = birthday()
        sandbox = self._backend.open(task.file_system, task.archive, born)
        self._episode = _Episode(task=task, sandbox=sandbox, born=born, last_output=spec.instruction)
        return self._observe(spec.instruction)

    def step(self, command: str) -> StepResult:
        """Execute one command, `submit` or `skip`.

        `valid` is False where nothing came to run: no command, one that is malformed or not found, or one that was
        stopped. One that ran and failed is valid.

        Raises:
            EnvironmentCrashError: no episode was started, or the sandbox failed.
        """
        episode = self._episode
        if episode is None:
            raise EnvironmentCrashError("There is no episode to step in: call reset first.")
        if command.strip() == "":
            return self._answer("No command was given.", valid=False)
        if command == SKIP:
            return self._answer("skipped", terminated=True)
        if command.startswith(SUBMIT):
            return self._submit(episode)
        output, valid = self._execute(episode, command)
        episode.last_output = output
        return self._answer(output, valid=valid)

    def close(self) -> None:
        """Forget the episode and its files. Safe to call twice."""
        if self._episode is not None:
            self._episode.sandbox.close()
            self._episode = None

    def _execute(self, episode: "_Episode", command: str) -> tuple[str, bool]:
        """Run a command in the student's sandbox; its output as the original words it, and whether it came to run."""
        try:
            execution = plan(command, episode.directory)
            result = episode.sandbox.run(execution.argv, execution.directory, self._timeout_s)
        except ValueError:
            return MALFORMED, False
        if result.stopped is not None:
            return _why_stopped(result), False
        output = decode(result)
        if output is None:
            return MALFORMED, False
        if result.exit_status == 0:
            episode.directory = execution.next_directory
        return output, result.exit_status not in NOT_FOUND

    def _submit(self, episode: "_Episode") -> StepResult:
        """End the episode with its score."""
        reached, suspicion = self._judge(episode)
        told = ", ".join(f"{name} {value:.2f}" for name, value in reached.parts.items())
        return StepResult(
            observation=Observation(text=f"Submitted. Score {reached.total:.2f}: {told}."),
            terminated=True,
            score=reached.total,
            success=reached.success,
            score_parts=reached.parts,
            suspicion=readable(suspicion, self._observation_limit) if suspicion else None,
        )

    def _judge(self, episode: "_Episode") -> tuple[Score, str | None]:
        """Compare with what the gold command does in a fresh copy that is as old as the student's.

        The score is the original's, whatever it may be misled by; what may mislead it is told beside it.
        """
        with closing(self._backend.open(episode.task.file_system, episode.task.archive, episode.born)) as fresh:
            gold = run_gold(fresh, episode.task.gold, self._timeout_s)

            def same_content(paths: Sequence[str]) -> int:
                return _count_same(episode.sandbox, fresh, paths)

            status = episode.sandbox.changes(INSPECTION_TIMEOUT_S)
            steering, gold_steering = (one.steering(INSPECTION_TIMEOUT_S) for one in (episode.sandbox, fresh))
            suspicion = suspect(steering, gold_steering, status, gold.status)
            return score(status, gold.status, same_content, episode.last_output, gold.output), suspicion

    def _answer(self, text: str, *, valid: bool = True, terminated: bool = False) -> StepResult:
        return StepResult(observation=self._observe(text), terminated=terminated, score=0.0, success=False, valid=valid)

    def _observe(self, output: str) -> Observation:
        return Observation(text=readable(output, self._observation_limit))


@dataclass(kw_only=True)
class _Episode:
    """One live episode. `last_output` is what the score compares with the gold command's."""

    task: Task
    sandbox: Sandbox
    born: int
    last_output: str
    directory: str = "/"


def birthday() -> int:
    """The date of the files of a copy that is made now, in seconds since 1970: as if its image had been built before.

    Some tasks ask for files older than five minutes, others for ones not older than an hour.
    """
    return int(time.time()) - FILE_AGE_S


@dataclass(frozen=True)
class FindTask:
    """Looks up what a spec stands for in `root`, a published specs artifact; `golds` are by the ids of specs."""

    root: Path
    golds: dict[str, str]

    def __call__(self, spec: Spec) -> Task:
        """Return the task of a spec; raise WrongSpecError if it is not of this directory."""
        file_system = spec.params.get("file_system")
        if not isinstance(file_system, str) or spec.id not in self.golds:
            raise WrongSpecError(
                f"Spec {spec.id!r} (environment {spec.env!r}) is not one of those in {self.root}. Use specs that were "
                "made for intercode_bash, with the directory that they were made in."
            )
        return Task(file_system=file_system, archive=archive_path(self.root, file_system), gold=self.golds[spec.id])


def archive_path(root: Path, file_system: str) -> Path:
    """Where the first state of a file system is kept."""
    return root / "file_systems" / f"{file_system}.tar"


def run_gold(fresh: Sandbox, gold: str, timeout_s: float) -> GoldOutcome:
    """Run the gold command in a fresh copy, as the original does: quoted like any command, but `cd` is not special."""
    try:
        result = fresh.run(split_as_docker(gold), "/", timeout_s)
    except ValueError:
        return GoldOutcome(output=None, status=fresh.changes(INSPECTION_TIMEOUT_S))
    output = _why_stopped(result) if result.stopped else decode(result)
    return GoldOutcome(output=output, status=fresh.changes(INSPECTION_TIMEOUT_S))


def decode(result: CommandResult) -> str | None:
    """The output as text; None where it is not UTF-8. Of one that was cut off, a torn last character is dropped."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(result.output, final=result.num_dropped == 0)
    except UnicodeDecodeError:
        return None


def readable(output: str, limit: int) -> str:
    r"""The output as a student reads it: at most `limit` characters, control characters but \n and \t spelled out."""
    shown = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", output[:limit])
    return shown if len(output) <= limit else f"{shown}\n[cut off here: at least {len(output) - limit} more characters]"


def _why_stopped(result: CommandResult) -> str:
    return TIMED_OUT if result.stopped is Stopped.TIMEOUT else "Command stopped: it used too much memory"


def _count_same(first: Sandbox, second: Sandbox, paths: Sequence[str]) -> int:
    """How many of some paths hold the same in both sandboxes."""
    to_hash: list[list[str]] = []
    num_same = 0
    for path in paths:
        try:
            words = words_to_hash(path)
        except ValueError:
            continue
        if words is None:
            num_same += 1
        else:
            to_hash.append(words)
    if not to_hash:
        return num_same
    ours, theirs = (sandbox.digests(to_hash, INSPECTION_TIMEOUT_S) for sandbox in (first, second))
    return num_same + sum(one is not None and one == other for one, other in zip(ours, theirs, strict=True))
