"""A student that gives scripted replies: for tests of everything around a student."""

from collections.abc import Callable, Sequence
from pathlib import Path

from leap_core.config import ExecutionConfig, StudentConfig
from leap_core.errors import ConfigError
from leap_core.students.base import ActReply, ActRequest
from leap_core.types import Usage


class ScriptedStudent:
    """Answers by a function of the request, or by a list: its n-th reply in the n-th turn of every episode."""

    name = "scripted"

    def __init__(
        self,
        path: Path | str,
        config: StudentConfig,
        execution: ExecutionConfig,
        temperature: float,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Read the list from `student.params.replies`; a longer episode starts it again.

        Raises:
            ConfigError: there is no such list of texts.
        """
        replies = config.params.get("replies")
        if not isinstance(replies, list) or not replies or not all(isinstance(reply, str) for reply in replies):
            raise ConfigError(f"The scripted student needs student.params.replies, a list of texts; came: {replies!r}.")
        self._answer = _by_turn([str(reply) for reply in replies])

    @classmethod
    def answering(cls, answer: Callable[[ActRequest], str]) -> "ScriptedStudent":
        """A student that replies with `answer(request)`."""
        student = cls.__new__(cls)
        student._answer = answer
        return student

    def act(self, requests: Sequence[ActRequest]) -> list[ActReply]:
        """Answer each request, in order."""
        return [ActReply(text=self._answer(request), usage=Usage(num_requests=1)) for request in requests]

    def release(self, slots: Sequence[str]) -> None:
        """Nothing is held for an episode."""

    def close(self) -> None:
        """Nothing is held at all."""


def _by_turn(replies: Sequence[str]) -> Callable[[ActRequest], str]:
    def answer(request: ActRequest) -> str:
        turn = sum(message.role == "assistant" for message in request.messages)
        return replies[turn % len(replies)]

    return answer
