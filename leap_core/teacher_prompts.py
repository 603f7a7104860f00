"""What language models that teach are asked: corrections of an episode or of one step, reasons for an expert's log.

The templates are `prompts/<environment>/teacher/*.jinja`. Whether a teacher keeps to what it is told is not taken on
trust: `realizability` checks its replies.
"""

from collections.abc import Sequence
from functools import lru_cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leap_core.errors import UnknownNameError, WrongSpecError
from leap_core.prompts import PROMPTS_DIR
from leap_core.types import Level, Message, PrivilegedState, Step, Trajectory


class TeacherPrompts:
    """The prompts for teachers of one environment.

    `level` is how much of the privileged state may guide a teacher (the paper's ablation): at 0 it is not even shown,
    at 50 it chooses the actions and must not show in the reasons, at 100 reasons may tell it openly.
    """

    def __init__(self, environment: str) -> None:
        known = [path.parent.parent.name for path in PROMPTS_DIR.glob("*/teacher/step.jinja")]
        if environment not in known:
            folder = PROMPTS_DIR / environment / "teacher"
            raise UnknownNameError("environment with prompts for teachers", environment, known, f"Add {folder}.")
        self._jinja = Environment(  # prompts are plain text for a model, not HTML
            loader=FileSystemLoader(PROMPTS_DIR / environment / "teacher"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def correct_trajectory(
        self, trajectory: Trajectory, privileged: PrivilegedState, level: Level
    ) -> tuple[Message, ...]:
        """Ask for a summary of the mistakes and for a correction of every step, as JSON.

        Raises:
            WrongSpecError: the privileged state is for another spec.
        """
        return self._ask("trajectory", trajectory, trajectory.steps, privileged, level)

    def correct_step(
        self, trajectory: Trajectory, index: int, privileged: PrivilegedState, level: Level
    ) -> tuple[Message, ...]:
        """Ask for the reason and action of step `index`, in the form of a student's reply; nothing later is shown.

        Raises:
            WrongSpecError: the privileged state is for another spec.
        """
        return self._ask("step", trajectory, trajectory.steps[: index + 1], privileged, level)

    def annotate(self, trajectory: Trajectory) -> tuple[Message, ...]:
        """Ask for the reasons behind an expert's commands, as JSON; no hidden state is shown."""
        return self._messages("annotation", goal=trajectory.spec.instruction, steps=trajectory.steps)

    def _ask(
        self, name: str, trajectory: Trajectory, steps: Sequence[Step], privileged: PrivilegedState, level: Level
    ) -> tuple[Message, ...]:
        if privileged.spec_id != trajectory.spec.id:
            raise WrongSpecError(
                f"Trajectory {trajectory.id!r} is of spec {trajectory.spec.id!r}, but the privileged state is of "
                f"{privileged.spec_id!r}. Pair each trajectory with the state of its own spec."
            )
        text = privileged.text if level > 0 else ""
        return self._messages(name, goal=trajectory.spec.instruction, steps=steps, privileged=text, level=level)

    def _messages(self, name: str, **values: object) -> tuple[Message, ...]:
        system = self._jinja.get_template(f"{name}_system.jinja").render(values)
        user = self._jinja.get_template(f"{name}.jinja").render(values)
        return Message(role="system", content=system.strip()), Message(role="user", content=user.strip())


@lru_cache(maxsize=8)
def load_teacher_prompts(environment: str) -> TeacherPrompts:
    """Load the prompts for teachers of an environment once.

    Raises:
        UnknownNameError: it has none.
    """
    return TeacherPrompts(environment)
