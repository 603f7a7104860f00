"""Search: BM25 written out, ties, odd queries, many documents. `tests/parity` holds it against Lucene."""

import math
import random
import sqlite3
from collections import Counter
from functools import cache

import pytest

from leap_core.envs.webshop.shop import search
from leap_core.envs.webshop.shop.analysis import terms_of
from leap_core.envs.webshop.shop.search import IndexWriter, Searcher


@pytest.fixture
def searcher_of(tmp_path):
    """Index texts; asins default to the order of the texts."""

    def build(texts, asins=None):
        writer, database = IndexWriter(), sqlite3.connect(":memory:")
        for text in texts:
            writer.add(text)
        writer.write(tmp_path, asins or [f"B{number:05d}" for number in range(len(texts))], database)
        return Searcher(tmp_path, database)

    return build


@cache
def kept_length(length):
    """Lucene's byte, the slow way: the largest length with four significant bits above 24 that is not larger."""
    above = (m << s for s in range(28) for m in range(16))
    return length if length < 24 else 24 + max(x for x in above if x <= length - 24)


def scores_by_the_formula(texts, query):
    """BM25 with k1 = 0.9 and b = 0.4, in double precision."""
    documents = [Counter(terms_of(text)) for text in texts]
    lengths = [sum(document.values()) for document in documents]
    filled = sum(length > 0 for length in lengths)
    mean = sum(lengths) / filled
    scores = [0.0] * len(texts)
    for term in terms_of(query):
        num = sum(term in document for document in documents)
        for place, document in enumerate(documents):
            if document[term]:
                norm = 0.9 * (1 - 0.4 + 0.4 * kept_length(lengths[place]) / mean)
                idf = math.log(1 + (filled - num + 0.5) / (num + 0.5))
                scores[place] += idf * document[term] / (document[term] + norm)
    return scores


def test_scores_are_those_of_the_formula(searcher_of):
    rng = random.Random(0)
    words = [f"word{number}" for number in range(60)]
    texts = [" ".join(rng.choices(words, k=rng.randint(0, 200))) for _ in range(60)]
    searcher = searcher_of(texts)
    for _ in range(8):
        query = " ".join(rng.choices(words, k=rng.randint(1, 6)))
        scores = scores_by_the_formula(texts, query)
        found = searcher.search(query, 20)
        best = sorted(range(len(texts)), key=lambda place: -scores[place])[:20]
        assert [scores[place] for place in found] == pytest.approx([scores[place] for place in best], rel=1e-5)


def test_equal_scores_are_in_the_order_of_the_asins(searcher_of):
    searcher = searcher_of(["red shirt", "red shirt", "blue hat", "red shirt"], ["B3", "B1", "B0", "B2"])
    assert searcher.search("red") == [1, 3, 0]


@pytest.mark.parametrize("query", ["", "the of and", "!!!", "zebra", "\u00bd"])
def test_queries_that_find_nothing(searcher_of, query):
    assert searcher_of(["red shirt"]).search(query) == []


def test_a_shop_without_words(searcher_of):
    assert searcher_of(["", "the"]).search("the shirt") == []


def test_stop_words_case_and_endings_do_not_matter(searcher_of):
    searcher = searcher_of(["Men's running shoes", "a hat"])
    assert searcher.search("SHOE for the man's runs") == searcher.search("run shoe") == [0]


def test_a_word_said_twice_counts_twice(searcher_of):
    searcher = searcher_of(["red hat", "blue shirt"], ["B1", "B0"])
    assert searcher.search("red shirt") == [1, 0]
    assert searcher.search("red red shirt") == [0, 1]


def test_only_so_many_are_found_also_across_blocks_and_chunks(searcher_of, monkeypatch):
    monkeypatch.setattr(search, "_CHUNK_TOKENS", 50)
    monkeypatch.setattr(search, "_BLOCK", 8)
    rng = random.Random(1)
    words = [f"w{number}" for number in range(30)]
    texts = [" ".join(rng.choices(words, k=rng.randint(1, 12))) for _ in range(500)]
    searcher = searcher_of(texts)
    for query in ("w1", "w1 w2 w3", "w4 w4 w5"):
        scores = scores_by_the_formula(texts, query)
        best = sorted((place for place in range(500) if scores[place]), key=lambda place: -scores[place])
        for k in (1, 10, 50, 499):
            found = searcher.search(query, k)
            assert len(found) == min(k, len(best))
            expected = [scores[place] for place in best[:k]]
            assert [scores[place] for place in found] == pytest.approx(expected, rel=1e-5)
