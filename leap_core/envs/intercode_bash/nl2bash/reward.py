"""The original's reward: 0.01 and three parts of at most 0.33, each rounded to two digits.

It compares what the student has done with what the gold command does in a fresh copy: which files differ from the
first state, whether new files are the same, and how alike the last output is to the gold command's.
"""

import math
import re
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

BASE = 0.01
PART = 0.33
NEW_FILE = ("A", "??", "C")
"""Statuses in `git status --short` whose files are compared by content. Changed and removed ones are not."""
_FALLS_APART = re.compile(r'"[^"]* (?:\?\?|[ACDMRTU]{1,2}) ')
"""In a line of `git status`: a name with something in it that looks like the status of another."""
_TERM = re.compile(r"\b\w\w+\b")

Change = tuple[str, str]
"""A path and its status, as `parse_status` reads them."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """A reward and its parts; `missing` and `extra` are the changes that only the gold command or the student made."""

    file_diff: float
    file_changes: float
    answer: float
    missing: tuple[Change, ...]
    extra: tuple[Change, ...]

    @property
    def parts(self) -> dict[str, float]:
        """The parts by the names that people read. They add up to the total."""
        return {
            "base": BASE,
            "file differences": self.file_diff,
            "contents of new files": self.file_changes,
            "answer": self.answer,
        }

    @property
    def total(self) -> float:
        """In [0.01, 1]; added up in the original's order, so that 1 is exactly 1."""
        return BASE + self.file_diff + self.file_changes + self.answer

    @property
    def success(self) -> bool:
        """Whether nothing is missing from it."""
        return self.total >= 1.0


def score(
    agent_status: str | None,
    gold_status: str | None,
    same_content: Callable[[Sequence[str]], int],
    agent_output: str,
    gold_output: str | None,
) -> Score:
    """Put the three parts together.

    Args:
        agent_status: `git status --short` where the student worked. None where what it left behind keeps git from
            answering in time; the original would hang, here it gives nothing for files.
        gold_status: the same where the gold command ran.
        same_content: how many of some new files of both have the same content.
        agent_output: the last output that the student saw.
        gold_output: None where it is not text.
    """
    answer = round(PART * answer_similarity(agent_output, gold_output), 2)
    if agent_status is None or gold_status is None:
        return Score(file_diff=0.0, file_changes=0.0, answer=answer, missing=(), extra=())
    agent, gold = set(parse_status(agent_status)), set(parse_status(gold_status))
    missing, extra = tuple(sorted(gold - agent)), tuple(sorted(agent - gold))
    shared = sorted(path for path, status in agent & gold if status in NEW_FILE)
    return Score(
        file_diff=round(PART * (1 - math.erf(len(missing) + len(extra))), 2),
        file_changes=round(PART * (same_content(shared) / len(shared)), 2) if shared else PART,
        answer=answer,
        missing=missing,
        extra=extra,
    )


def suspect(
    agent_steering: str | None, gold_steering: str | None, agent_status: str | None, gold_status: str | None
) -> str | None:
    """What the student left behind that may have misled the comparison; None where nothing did.

    Args:
        agent_steering: what decides which changes git sees where the student worked, as `Sandbox.steering` tells it.
        gold_steering: the same where the gold command ran; what is there too is part of the task.
        agent_status: `git status --short` where the student worked.
        gold_status: the same where the gold command ran.
    """
    if agent_steering is None or gold_steering is None:
        return "the files that git looks at first could not be read"
    changed = set(agent_steering.splitlines()) ^ set(gold_steering.splitlines())
    paths = sorted({line.rpartition(" ")[2] for line in changed})
    odd = [line for line in (agent_status or "").splitlines() if _FALLS_APART.search(line)]
    odd = [line for line in odd if line not in (gold_status or "").splitlines()]
    reasons = [f"what git looks at was changed by {', '.join(paths)}"] if paths else []
    reasons += [f"a name falls apart into several: {odd[0]}"] if odd else []
    return "; ".join(reasons) or None


def parse_status(status: str) -> list[Change]:
    """Read `git status --short` as the original does: words, two by two, status first.

    A path with a space is quoted by git and falls apart into several words, which shifts what follows. Where a word is
    left over, the original fails with an exception; here it is a status without a path.
    """
    words = status.split()
    return [(path, kind) for kind, path in zip(words[::2], [*words[1::2], ""], strict=False)]


def words_to_hash(path: str) -> list[str] | None:
    """What `md5sum` is called with for a path of `git status`; None where the original calls another program.

    Where there is no dot in a path it calls `md5deep`, which its image does not have: the same error on both sides, so
    such a path always counts as the same.

    Raises:
        ValueError: a quotation is not closed; the original fails with an exception.
    """
    return shlex.split(path) if "." in path else None


def answer_similarity(first: str, second: str | None) -> float:
    """The cosine between the TF-IDF vectors of two texts, in [0, 1], as scikit-learn's `TfidfVectorizer` has it.

    Terms are words of two or more letters or digits, in lower case; the inverse document frequency is smoothed. Where
    neither text has a term, or one is no text: 1 if they are equal, else 0.
    """
    if second is None:
        return 0.0
    counts = [Counter(_TERM.findall(text.lower())) for text in (first, second)]
    terms = set(counts[0]) | set(counts[1])
    if not terms:
        return float(first == second)
    weights = {term: math.log(3 / (1 + sum(term in count for count in counts))) + 1 for term in terms}
    vectors = [{term: number * weights[term] for term, number in count.items()} for count in counts]
    norms = [math.sqrt(math.fsum(value * value for value in vector.values())) for vector in vectors]
    product = math.fsum(value * vectors[1].get(term, 0.0) for term, value in vectors[0].items())
    return product / (norms[0] * norms[1]) if all(norms) else 0.0
