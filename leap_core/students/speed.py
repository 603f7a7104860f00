"""How fast a student plays on this machine: a few seconds of it, on made-up prompts."""

import time
from collections.abc import Sequence
from pathlib import Path

from leap_core.config import ExecutionConfig, StudentConfig
from leap_core.students.base import ActRequest, Student
from leap_core.students.encoding import encode_completion, encode_prompt
from leap_core.types import Message, Record

_REPLY_TOKENS = 12
_WORDS = "go to the desk and look at what is on it then take the mug with the lamp "
_FIRST, _NEXT = 6, 1
"""How often the words stand in a first prompt, and in what is new in the next turn."""

Turn = tuple[Sequence[Message], str]
"""What a student is asked in one turn, and what it replies."""


class PlayingSpeed(Record):
    """Of `rows` episodes together: new tokens of prompts read in a second, and seconds for a token of each reply.

    `load_s` is how long the model takes to load.
    """

    rows: int
    prompt_tokens_a_s: float
    reply_token_s: float
    load_s: float

    def seconds(self, steps: float, episodes: int, prompt_tokens: float, reply_tokens: float) -> float:
        """How long so many steps of so many episodes take, with so many new tokens in a step (see `StepLengths`)."""
        together = max(min(self.rows, episodes), 1)
        reading = steps * prompt_tokens / self.prompt_tokens_a_s
        return self.load_s + reading + steps / together * reply_tokens * self.reply_token_s


def measure_playing(model: Path | str, config: StudentConfig, execution: ExecutionConfig) -> PlayingSpeed:
    """Load the student and let `execution.batch_size` rows take two turns, the first with long prompts.

    Raises:
        StudentError: it cannot be loaded.
    """
    from leap_core.students.hf import HfStudent

    started = time.perf_counter()
    short = config.with_(max_new_tokens=_REPLY_TOKENS, top_p=1.0)
    student = HfStudent(model, short, execution, temperature=1.0)
    load_s, rows = time.perf_counter() - started, execution.batch_size
    student.act(_requests(rows, ["warm"]))
    student.release([str(row) for row in range(rows)])
    try:
        return compare_turns(rows, load_s, *(_timed(student, rows, turn) for turn in range(2)))
    finally:
        student.close()


class TurnTiming(Record):
    """A turn of all rows: the tokens of their prompts, also those that were known, and of the longest reply."""

    seconds: float
    prompt_tokens: int
    reply_tokens: int


def _timed(student: Student, rows: int, turn: int) -> TurnTiming:
    texts = [_WORDS * _FIRST, *[_WORDS * _NEXT] * turn]
    started = time.perf_counter()
    replies = student.act(_requests(rows, texts))
    return TurnTiming(
        seconds=time.perf_counter() - started,
        prompt_tokens=sum(reply.usage.prompt_tokens for reply in replies),
        reply_tokens=max(reply.usage.completion_tokens for reply in replies),
    )


def compare_turns(rows: int, load_s: float, first: TurnTiming, then: TurnTiming) -> PlayingSpeed:
    """Solve for the two speeds: the turns differ in how many tokens of prompts are new, not in what is written."""
    new = max(then.prompt_tokens - first.prompt_tokens, 1)
    # Seconds for one token of a prompt; where noise would make it less than nothing, the first turn's whole time.
    ratio = then.reply_tokens / max(first.reply_tokens, 1)
    token_s = (then.seconds - ratio * first.seconds) / (new - ratio * first.prompt_tokens)
    if not 0 < token_s < first.seconds / first.prompt_tokens:
        token_s = first.seconds / first.prompt_tokens / 2
    reply_s = (first.seconds - token_s * first.prompt_tokens) / max(first.reply_tokens, 1)
    return PlayingSpeed(rows=rows, prompt_tokens_a_s=1 / token_s, reply_token_s=reply_s, load_s=load_s)


def _requests(rows: int, texts: Sequence[str]) -> list[ActRequest]:
    """One for each row: all texts but the last have been answered."""
    return [
        ActRequest(slot=str(row), messages=tuple(_messages(row, texts)), admissible=None, seed=row)
        for row in range(rows)
    ]


def _messages(row: int, texts: Sequence[str]) -> list[Message]:
    messages = [Message(role="user", content=f"{row} {texts[0]}")]
    for text in texts[1:]:
        messages += [Message(role="assistant", content="go"), Message(role="user", content=text)]
    return messages


class StepLengths(Record):
    """Means over steps: of those tokens of a prompt that the step before did not have, and of the tokens of a reply.

    Replies that end are replaced by others while the rest is written, so it is the mean that counts.
    """

    prompt_tokens: float
    reply_tokens: float


def lengths_of(tokenizer: object, episodes: Sequence[Sequence[Turn]], *, constrain: bool) -> StepLengths:
    """Measure the steps of episodes that have some, as this tokenizer writes them.

    With `constrain`, only reasons are counted of replies: most tokens of a command follow from those before it, and are
    read with them.
    """
    from leap_core.students.decoding import HEADING
    from leap_core.students.slots import common_prefix

    num_new, num_written, num_steps = 0, 0, 0
    for episode in episodes:
        before: list[int] = []
        for messages, reply in episode:
            prompt = encode_prompt(tokenizer, messages)
            num_new += len(prompt) - common_prefix(before, prompt)
            written = reply.partition(f"\n{HEADING}")[0] if constrain else reply
            num_written += len(encode_completion(tokenizer, written))
            num_steps += 1
            before = prompt
    return StepLengths(prompt_tokens=num_new / num_steps, reply_tokens=num_written / num_steps)
