"""Search over all products: BM25 as Lucene computes it, over memory-mapped files that processes share.

The original asks Anserini for 50 products with k1 = 0.9 and b = 0.4. What Lucene does there and a plain BM25 does not:
the length of a document is kept in one byte, and Anserini puts products of equal score in the order of their asins.
"""

import math
import sqlite3
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leap_core.envs.webshop.shop.analysis import stem, terms_of, tokens_of

K1, B = np.float32(0.9), np.float32(0.4)
NUM_RESULTS = 50
"""The original shows no more."""
DOCUMENTS_FILE, SCORES_FILE, RANKS_FILE = INDEX_FILES = ("documents.npy", "scores.npy", "ranks.npy")
TERMS_TABLE = "CREATE TABLE terms (term TEXT PRIMARY KEY, start INTEGER NOT NULL, num INTEGER NOT NULL) WITHOUT ROWID"

_CHUNK_TOKENS = 8_000_000
_EXACT_LENGTHS = 24
"""Lucene stores lengths up to this exactly, and four significant bits of the excess of longer ones."""
_BLOCK = 1024


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """Postings of successive documents, by term and then by document; `counts` are how many each term has."""

    terms: NDArray[np.int32]
    counts: NDArray[np.int32]
    documents: NDArray[np.int32]
    frequencies: NDArray[np.uint16]


class IndexWriter:
    """Indexes documents one by one, numbered from 0. Needs about 8 bytes of memory for each term of each document."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._number_of_token: dict[str, int] = {}  # -1 for a stop word
        self._tokens = array("q")
        self._lengths = array("i")
        self._chunks: list[_Chunk] = []

    def add(self, text: str) -> None:
        """Index the next document."""
        known, document, before = self._number_of_token, len(self._lengths), len(self._tokens)
        for token in tokens_of(text):
            number = known.get(token)
            if number is None:
                term = stem(token)
                number = known[token] = self._numbers.setdefault(term, len(self._numbers)) if term else -1
            if number >= 0:
                self._tokens.append(number << 32 | document)
        self._lengths.append(len(self._tokens) - before)
        if len(self._tokens) >= _CHUNK_TOKENS:
            self._close_chunk()

    def write(self, folder: Path, asins: Sequence[str], database: sqlite3.Connection) -> None:
        """Write `INDEX_FILES` into `folder`, `TERMS_TABLE` into `database`; `asins` are the documents', in order."""
        self._close_chunk()
        num_by_term = np.zeros(len(self._numbers), np.int64)
        for chunk in self._chunks:
            num_by_term[chunk.terms] += chunk.counts
        starts = np.concatenate(([0], np.cumsum(num_by_term)))
        self._write_postings(folder, num_by_term, starts[:-1])
        order = np.argsort(np.array([asin.encode() for asin in asins], dtype=np.bytes_), kind="stable")
        ranks = np.empty(len(asins), np.int32)
        ranks[order] = np.arange(len(asins), dtype=np.int32)
        np.save(folder / RANKS_FILE, ranks)
        rows = ((term, int(starts[number]), int(num_by_term[number])) for term, number in self._numbers.items())
        database.execute(TERMS_TABLE)
        database.executemany("INSERT INTO terms VALUES (?, ?, ?)", sorted(rows))

    def _close_chunk(self) -> None:
        keys, frequencies = np.unique(np.frombuffer(self._tokens, np.int64), return_counts=True)
        terms, counts = np.unique(keys >> 32, return_counts=True)
        chunk = _Chunk(
            terms=terms.astype(np.int32),
            counts=counts.astype(np.int32),
            documents=(keys & 0xFFFFFFFF).astype(np.int32),
            frequencies=np.minimum(frequencies, 0xFFFF).astype(np.uint16),
        )
        self._chunks.append(chunk)
        self._tokens = array("q")

    def _write_postings(self, folder: Path, num_by_term: NDArray[np.int64], starts: NDArray[np.int64]) -> None:
        """Put the postings of all chunks in order, by term and then by document, each with its share of a score."""
        num = int(num_by_term.sum())
        documents = _new_file(folder / DOCUMENTS_FILE, np.int32, num)
        scores = _new_file(folder / SCORES_FILE, np.float32, num)
        lengths = np.frombuffer(self._lengths, np.int32)
        weights, per_length = _term_weights(num_by_term, lengths), _inverse_norms(lengths)
        free = starts.copy()
        for chunk in self._chunks:
            first = np.cumsum(chunk.counts) - chunk.counts
            places = np.arange(len(chunk.documents)) + np.repeat(free[chunk.terms] - first, chunk.counts)
            weight = np.repeat(weights[chunk.terms], chunk.counts)
            documents[places] = chunk.documents
            scores[places] = weight - weight / (
                np.float32(1) + chunk.frequencies.astype(np.float32) * per_length[chunk.documents]
            )
            free[chunk.terms] += chunk.counts


class Searcher:
    """Finds documents in a written index, for one thread at a time: scores are added up in one buffer."""

    def __init__(self, folder: Path, database: sqlite3.Connection) -> None:
        self._database = database
        self._documents, self._scores, self._ranks = (np.load(folder / name, mmap_mode="r") for name in INDEX_FILES)
        blocks = -(-max(len(self._ranks), 1) // _BLOCK)
        self._sums = np.zeros(blocks * _BLOCK, np.float64)
        self._buffer = Lock()

    def search(self, query: str, k: int = NUM_RESULTS) -> list[int]:
        """The best `k` documents with any term of the query, best first."""
        with self._buffer:
            self._sums.fill(0)
            for term, times in Counter(terms_of(query)).items():
                found = self._database.execute("SELECT start, num FROM terms WHERE term = ?", (term,)).fetchone()
                if found is not None:
                    part = slice(found[0], found[0] + found[1])
                    self._sums[self._documents[part]] += self._scores[part] * np.float32(times)
            return self._best(self._sums.astype(np.float32), k)

    def _best(self, scores: NDArray[np.float32], k: int) -> list[int]:
        """The documents with the highest scores above 0.

        The k-th best block has k documents at least as good as its best one; so no worse document is looked at.
        """
        best_of_block = scores.reshape(-1, _BLOCK).max(axis=1)
        least = np.partition(best_of_block, -k)[-k] if len(best_of_block) > k else np.float32(0)
        candidates = np.flatnonzero(scores >= least) if least > 0 else np.flatnonzero(scores)
        order = np.lexsort((self._ranks[candidates], -scores[candidates]))[:k]
        return [int(document) for document in candidates[order]]


def _new_file(path: Path, dtype: Any, length: int) -> NDArray[Any]:
    if length == 0:  # which no memory map can be
        np.save(path, np.zeros(0, dtype))
        return np.zeros(0, dtype)
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(length,))


def _term_weights(num_by_term: NDArray[np.int64], lengths: NDArray[np.int32]) -> NDArray[np.float32]:
    """The inverse document frequency of each term."""
    num = int((lengths > 0).sum())
    return np.array([math.log(1 + (num - n + 0.5) / (n + 0.5)) for n in num_by_term.tolist()], np.float32)


def _inverse_norms(lengths: NDArray[np.int32]) -> NDArray[np.float32]:
    """For each document, 1 / (k1 x (1 - b + b x its length / the mean length)), with its length as Lucene keeps it."""
    mean = np.float32(lengths.sum() / max(int((lengths > 0).sum()), 1)) or np.float32(1)
    table = np.array([_kept_length(length) for length in range(int(lengths.max(initial=0)) + 1)], np.float32)
    norms: NDArray[np.float32] = np.float32(1) / (K1 * ((np.float32(1) - B) + B * table / mean))
    return norms[lengths]


def _kept_length(length: int) -> int:
    """A length as it can be read from the byte that Lucene keeps it in."""
    more = length - _EXACT_LENGTHS
    shift = max(more.bit_length() - 4, 0)
    return length if more < 0 else _EXACT_LENGTHS + (more >> shift << shift)
