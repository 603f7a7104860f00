"""Search finds what the Lucene of the original found, in the same order: `lucene.py` recorded it."""

import json
import sqlite3

import pytest

from leap_core.envs.webshop.shop.analysis import terms_of
from leap_core.envs.webshop.shop.search import IndexWriter, Searcher
from tests.parity.lucene import RECORD

RECORDED = json.loads(RECORD.read_bytes())


@pytest.mark.parametrize("text", RECORDED["terms"])
def test_the_same_terms(text):
    assert terms_of(text) == RECORDED["terms"][text]


def test_the_same_products_in_the_same_order(tmp_path):
    asins = [asin for asin, _ in RECORDED["documents"]]
    writer, database = IndexWriter(), sqlite3.connect(":memory:")
    for _, text in RECORDED["documents"]:
        writer.add(text)
    writer.write(tmp_path, asins, database)
    searcher = Searcher(tmp_path, database)
    assert {query: [asins[found] for found in searcher.search(query)] for query in RECORDED["found"]} == RECORDED[
        "found"
    ]
