"""ALFWorld with a hidden state that can be recognised wherever it turns up, and a teacher that gives it away."""

from leap_core.envs.alfworld.privileged import AlfworldFacts
from leap_core.envs.alfworld.suite import AlfworldSuite
from leap_core.teachers.oracle import OracleTeacher

IN_TEXT, IN_FACTS = "zyzzyva", "quokka 17"


class MarkedSuite(AlfworldSuite):
    """Generated games whose hidden state holds two words that occur nowhere else."""

    def privileged_state(self, root, spec):
        state = super().privileged_state(root, spec)
        facts = AlfworldFacts.of(state).with_(essential_objects=(IN_FACTS,))
        return state.with_(text=f"{IN_TEXT}.\n{state.text}", facts=facts.model_dump(mode="json"))


class TalkativeTeacher(OracleTeacher):
    """At every second step it gives a reason that quotes the hidden state: once its text, once its facts."""

    name = "talkative"

    def correct_episode(self, trajectory, privileged):
        correction = super().correct_episode(trajectory, privileged)
        steps = list(correction.steps)
        for number, told in ((1, privileged.text), (3, f"I look for the {IN_FACTS}.")):
            steps[number::4] = [step.with_(reason=told) for step in steps[number::4]]
        return correction.with_(steps=tuple(steps))
