"""A student that answers by a function of the request."""

from leap_core.students.scripted import ScriptedStudent


class Answering(ScriptedStudent):
    """Replies with `answer(request)`."""

    def __init__(self, answer):
        self._answer = answer
