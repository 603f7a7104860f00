"""Frequent phrases as single tokens: a tiny model then reads and writes a fraction of the tokens.

A phrase is what stands between two content words or ends of sentences: " Next I check" in "Next I check cabinet 3."
Content words (kinds of entities, and entities themselves) stay apart, because the model has to copy them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

_MAX_PHRASES = 256
_MIN_COUNT = 8
_ENTITY = re.compile(r" ?([a-z]+) [0-9]+")
_APART = re.compile(r"\s+|.*:$|.*[0-9].*", re.DOTALL)
"""Pieces that no phrase may hold: line breaks, headings, numbers."""

_ENDS = (".", "?")
"""A phrase ends with its sentence, so that an answer is the same token whatever follows it."""


def find_phrases(texts: Iterable[str], cut: Callable[[str], Sequence[str]]) -> list[str]:
    """The most frequent phrases of two or more pieces, longest first.

    Args:
        texts: where they are sought, in any order; texts that occur twice count once.
        cut: splits a text into pieces, whole words and entities among them.
    """
    pieces_of = [cut(text) for text in sorted(set(texts))]
    entities = (_ENTITY.fullmatch(piece) for pieces in pieces_of for piece in pieces)
    kinds = {match[1] for match in entities if match}
    counts = Counter(run for pieces in pieces_of for run in _runs(pieces, kinds))
    frequent = sorted(
        (run for run, count in counts.items() if count >= _MIN_COUNT), key=lambda run: (-counts[run], run)
    )
    return sorted(frequent[:_MAX_PHRASES], key=lambda run: (-len(run), run))


def phrase_pattern(phrases: Sequence[str]) -> str:
    """A regular expression for any of `phrases`, where it is not the beginning of a longer word."""
    return "|".join(re.escape(phrase) + (r"(?![\p{L}0-9])" if phrase[-1].isalnum() else "") for phrase in phrases)


def _runs(pieces: Sequence[str], kinds: set[str]) -> Iterable[str]:
    """The longest runs, of two pieces or more, in which no piece is a content word or has to stand apart."""
    run: list[str] = []
    for piece in [*pieces, "\n"]:
        if piece.strip() not in kinds and not _APART.fullmatch(piece):
            run.append(piece)
            if piece not in _ENDS:
                continue
        if len(run) > 1:
            yield "".join(run)
        run = []
