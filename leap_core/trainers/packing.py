"""Prefix trees: steps of an episode in one training sequence, each shared token once.

The prompt of step t+1 begins with nearly all of the prompt of step t, so the rows of an episode repeat the same
history over and over. Here they are merged: where a row leaves the one before it, a branch begins; every token sees
its own ancestors only and stands at its own depth. Loss and gradients are those of the separate rows.

Nodes are stored parents first, each subtree in one piece. Node j is then an ancestor of node i, or i itself, exactly
if `j <= i < ends[j]`, so one number a token (`ends`) is the whole mask.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from leap_core.trainers.rows import EncodedRow

IGNORED = -100
"""Label of a token that no loss is computed on."""

_MOST_PADDING = 0.1
"""Sequences share a batch while it has not more than this share of padding beside its tokens."""


@dataclass(frozen=True, kw_only=True)
class TreeSequence:
    """One training sequence. `positions` are depths in the tree; `ends` is one beyond each node's last descendant."""

    input_ids: list[int]
    labels: list[int]
    positions: list[int]
    ends: list[int]
    num_rows: int = 1


def pack_rows(rows: Iterable[EncodedRow], max_length: int, max_rows: int | None = None) -> list[TreeSequence]:
    """Pack the rows of each episode, in the order of its steps; a tree over one of the limits becomes several.

    Args:
        rows: in any order; episodes come out in the order of their first row. None is longer than `max_length`.
        max_length: of one sequence, in tokens.
        max_rows: of one sequence; none: any number.
    """
    episodes: dict[str, list[EncodedRow]] = {}
    for row in rows:
        episodes.setdefault(row.episode, []).append(row)
    ordered = (sorted(episode, key=lambda row: row.step) for episode in episodes.values())
    return [sequence for episode in ordered for sequence in _pack_episode(episode, max_length, max_rows)]


def single_sequences(rows: Iterable[EncodedRow]) -> list[TreeSequence]:
    """Each row as a sequence of its own."""
    return [_Tree().add(row).sequence() for row in rows]


def group_by_length(sequences: Sequence[TreeSequence], max_rows: int) -> list[list[TreeSequence]]:
    """Put sequences of like length together, the longest first, so that little of a batch is padding.

    Args:
        sequences: in any order. None holds more than `max_rows` rows.
        max_rows: of one group.
    """
    groups: list[list[TreeSequence]] = []
    num_rows, num_tokens = 0, 0
    for sequence in sorted(sequences, key=lambda one: len(one.input_ids), reverse=True):
        num_rows, num_tokens = num_rows + sequence.num_rows, num_tokens + len(sequence.input_ids)
        width = len(groups[-1][0].input_ids) * (len(groups[-1]) + 1) if groups else 0
        if not groups or num_rows > max_rows or width > (1 + _MOST_PADDING) * num_tokens:
            groups.append([])
            num_rows, num_tokens = sequence.num_rows, len(sequence.input_ids)
        groups[-1].append(sequence)
    return groups


def _pack_episode(rows: Sequence[EncodedRow], max_length: int, max_rows: int | None) -> list[TreeSequence]:
    trees = [_Tree()]
    for row in rows:
        if trees[-1].size_with(row) > max_length or trees[-1].num_rows == max_rows:
            trees.append(_Tree())
        trees[-1].add(row)
    return [tree.sequence() for tree in trees]


class _Tree:
    """A tree that grows at its latest branch: only there can a row of the same episode share anything."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._labels: list[int] = []
        self._positions: list[int] = []
        self._ends: list[int] = []
        self._branch: list[int] = []
        self._nodes: list[int] = []
        self.num_rows = 0

    def size_with(self, row: EncodedRow) -> int:
        return len(self._ids) + row.length - self._shared(row)

    def add(self, row: EncodedRow) -> "_Tree":
        tokens = row.prompt + row.completion
        shared = self._shared(row)
        size = len(self._ids)
        self.num_rows += 1
        for node in self._nodes[shared:]:
            self._ends[node] = size
        # What a branch begins with is a prompt token, and has no label: nothing is predicted across branches.
        self._ids += tokens[shared:]
        self._labels += [IGNORED] * (len(row.prompt) - shared) + row.completion
        self._positions += range(shared, len(tokens))
        self._ends += [0] * (len(tokens) - shared)
        self._branch = tokens
        self._nodes = self._nodes[:shared] + list(range(size, len(self._ids)))
        return self

    def sequence(self) -> TreeSequence:
        ends = [end or len(self._ids) for end in self._ends]  # 0: nothing has left its branch yet
        return TreeSequence(
            input_ids=self._ids, labels=self._labels, positions=self._positions, ends=ends, num_rows=self.num_rows
        )

    def _shared(self, row: EncodedRow) -> int:
        limit = min(len(self._branch), len(row.prompt) - 1)
        if self._branch[:limit] == row.prompt[:limit]:
            return max(limit, 0)
        return next(i for i in range(limit) if self._branch[i] != row.prompt[i])


@dataclass(frozen=True)
class TreeCollator:
    """Batches tree sequences: `attention_mask` is rows x 1 x queries x keys, true where a query sees a key.

    With `float_mask` it is 0 and the smallest number instead, which eager attention adds to its scores.
    """

    pad_id: int
    float_mask: torch.dtype | None = None

    def __call__(self, features: Sequence[Mapping[str, list[int]]]) -> dict[str, torch.Tensor]:
        """Pad on the right; a padding token sees itself alone, since a query must see something."""
        width = max(len(feature["input_ids"]) for feature in features)
        places = torch.arange(width)
        ends = places.repeat(len(features), 1) + 1
        for row, feature in enumerate(features):
            ends[row, : len(feature["ends"])] = torch.tensor(feature["ends"])
        mask = (places.unsqueeze(1) >= places) & (places.unsqueeze(1) < ends.unsqueeze(1))
        mask = mask.unsqueeze(1)
        if self.float_mask is not None:
            lowest = torch.finfo(self.float_mask).min
            mask = torch.zeros(mask.shape, dtype=self.float_mask).masked_fill(~mask, lowest)
        return {
            "input_ids": _padded(features, "input_ids", width, self.pad_id),
            "labels": _padded(features, "labels", width, IGNORED),
            "position_ids": _padded(features, "positions", width, 0),
            "attention_mask": mask,
        }


@dataclass(frozen=True)
class PaddingCollator:
    """Batches sequences of one row each, for models that do not take a mask of our own."""

    pad_id: int

    def __call__(self, features: Sequence[Mapping[str, list[int]]]) -> dict[str, torch.Tensor]:
        """Pad on the right."""
        width = max(len(feature["input_ids"]) for feature in features)
        ones = [{"ones": [1] * len(feature["input_ids"])} for feature in features]
        return {
            "input_ids": _padded(features, "input_ids", width, self.pad_id),
            "labels": _padded(features, "labels", width, IGNORED),
            "attention_mask": _padded(ones, "ones", width, 0),
        }


def _padded(features: Sequence[Mapping[str, Any]], name: str, width: int, filler: int) -> torch.Tensor:
    return torch.tensor([feature[name] + [filler] * (width - len(feature[name])) for feature in features])
