"""What teachers are asked: Jinja templates for each environment, in `envs/<environment>/prompts/teacher/<set>/`.

A set has `system.jinja`; the record of an episode, the form of the reply and the rest are in `shared_prompts/`, and a
set may have its own in their place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from leap_core.envs.base import find_suite
from leap_core.errors import UnknownNameError
from leap_core.prompts import prompts_folder
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.teachers.templates import Templates
from leap_core.types import Level, Message, PrivilegedState, Step, Trajectory

SHARED = Path(__file__).parent / "shared_prompts"


@dataclass(frozen=True, kw_only=True)
class ShownStep:
    """One step as templates see it; `number` counts from 1."""

    number: int
    observation: str
    admissible: tuple[str, ...] | None
    reason: str
    command: str

    @classmethod
    def of(cls, step: Step) -> "ShownStep":
        """Take over what a teacher may read of a step."""
        return cls(
            number=step.index + 1,
            observation=step.observation.text.strip(),
            admissible=step.observation.admissible,
            reason=step.action.reason.strip(),
            command=step.action.command.strip(),
        )


class TeacherPrompts:
    """The templates that teachers of one environment are prompted with."""

    def __init__(self, environment: str, name: str) -> None:
        folder = prompts_folder(environment, "teacher") / name
        if not (folder / "system.jinja").is_file():
            known = [path.parent.name for path in folder.parent.glob("*/system.jinja")]
            advice = f"Add {folder / 'system.jinja'}."
            raise UnknownNameError(f"prompt set of teachers for {environment}", name, known, advice)
        self.is_sparing = find_suite(environment).sparing
        self._systems: dict[tuple[Level, bool], Message] = {}
        self._templates = Templates([folder, SHARED])

    @property
    def digest(self) -> str:
        """The sha256 of all templates that this set can use, by name."""
        return self._templates.digest

    def correct(
        self, episode: PrivilegedEpisode, level: Level, window: range, num_left_out: int
    ) -> tuple[Message, ...]:
        """Ask for corrections of the steps in `window`, after the steps before it.

        The first `num_left_out` steps are not shown, for want of room. Steps after the window never are. `level` says
        how far the hidden state may guide the corrections; at 0 it is not shown.
        """
        trajectory, steps = episode.trajectory, episode.trajectory.steps
        is_last = window.stop == len(steps)
        user = self._templates.render(
            "correct.jinja",
            goal=trajectory.spec.instruction,
            hidden=_shown(episode.privileged, level),
            num_left_out=num_left_out,
            before=[ShownStep.of(step) for step in steps[num_left_out : window.start]],
            steps=[ShownStep.of(steps[index]) for index in window],
            ending=trajectory.final_observation.strip() if is_last else "",
            first=window.start + 1,
            last=window.stop,
            sparing=self.is_sparing,
        )
        free = all(steps[index].observation.admissible is None for index in window)
        return self._system(level, free), Message(role="user", content=user)

    def again(self, complaints: Sequence[str], steps: Sequence[int]) -> str:
        """Say why a reply cannot be used, and which steps (counted from 0) are still wanted."""
        numbers = ", ".join(str(index + 1) for index in steps)
        which = f"This time list only step{'s' if len(steps) > 1 else ''} {numbers}."
        return self._templates.render("again.jinja", complaints=list(complaints), which=which)

    def annotate(self, trajectory: Trajectory, index: int) -> tuple[Message, ...]:
        """Ask for the reason behind the command of one step; nothing that came after it is shown."""
        shown = [ShownStep.of(step) for step in trajectory.steps[: index + 1]]
        user = self._templates.render(
            "annotate.jinja", goal=trajectory.spec.instruction, before=shown[:-1], step=shown[-1]
        )
        system = self._templates.render("annotate_system.jinja")
        return Message(role="system", content=system), Message(role="user", content=user)

    def beside(self, state: PrivilegedState, level: Level) -> str:
        """What the student's own prompt is preceded by where the student is its own teacher; empty at level 0."""
        return self._templates.render("self.jinja", level=level, hidden=_shown(state, level))

    def _system(self, level: Level, free_actions: bool) -> Message:
        """What all calls of one level begin with; rendered once."""
        if (level, free_actions) not in self._systems:
            text = self._templates.render("system.jinja", level=level, free_actions=free_actions)
            self._systems[level, free_actions] = Message(role="system", content=text)
        return self._systems[level, free_actions]


def _shown(state: PrivilegedState, level: Level) -> str:
    """What a teacher reads of a hidden state: all of it, or at level 0 nothing (paper, realizability ablation)."""
    return state.text.strip() if level else ""


@lru_cache(maxsize=32)
def load_teacher_prompts(environment: str, name: str) -> TeacherPrompts:
    """Load a prompt set once.

    Raises:
        UnknownNameError: no such set for this environment.
    """
    return TeacherPrompts(environment, name)
