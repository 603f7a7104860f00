"""Products and goals in one SQLite file, written once and then read by all processes, none of which keeps a copy."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from leap_core.envs.webshop.goals import Goal, GoalKind
from leap_core.envs.webshop.products import Product
from leap_core.errors import LeapError

DATABASE_FILE = "shop.sqlite"
_TABLES = (
    "CREATE TABLE products (document INTEGER PRIMARY KEY, asin TEXT NOT NULL, content TEXT NOT NULL)",
    "CREATE TABLE goals (kind TEXT NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, content TEXT NOT NULL, "
    "PRIMARY KEY (kind, number)) WITHOUT ROWID",
)
_INDEXES = (
    "CREATE UNIQUE INDEX by_asin ON products (asin)",
    "CREATE UNIQUE INDEX by_id ON goals (id)",
)
_PRODUCT = TypeAdapter(Product)
_GOAL = TypeAdapter(Goal)


def create_database(path: Path) -> sqlite3.Connection:
    """Make an empty database to be filled; nothing is safe on disk before `finish`."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    for table in _TABLES:
        database.execute(table)
    return database


def add_product(database: sqlite3.Connection, document: int, product: Product) -> None:
    """Write one product; `document` is its number in the search index."""
    database.execute("INSERT INTO products VALUES (?, ?, ?)", (document, product.asin, _dump(_PRODUCT, product)))


def add_goals(database: sqlite3.Connection, goals: Iterable[Goal]) -> None:
    """Write goals that have their numbers."""
    rows = ((goal.kind, goal.number, goal.id, _dump(_GOAL, goal)) for goal in goals)
    database.executemany("INSERT INTO goals VALUES (?, ?, ?, ?)", rows)


def finish(database: sqlite3.Connection) -> None:
    """Make the indexes, and close."""
    for index in _INDEXES:
        database.execute(index)
    database.commit()
    database.close()


def open_database(path: Path) -> sqlite3.Connection:
    """Open a finished database to read; it must not change while it is open.

    Raises:
        LeapError: it is not there.
    """
    if not path.is_file():
        raise LeapError(f"No {path}. Prepare the specs again.")
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def read_product(database: sqlite3.Connection, asin: str) -> Product | None:
    """The product of an asin; None where there is none."""
    row = database.execute("SELECT content FROM products WHERE asin = ?", (asin,)).fetchone()
    return None if row is None else _PRODUCT.validate_json(row[0])


def read_asins(database: sqlite3.Connection, documents: Sequence[int]) -> list[str]:
    """The asins of documents, in their order."""
    select = "SELECT asin FROM products WHERE document = ?"
    return [database.execute(select, (document,)).fetchone()[0] for document in documents]


def read_goal(database: sqlite3.Connection, id: str) -> Goal | None:
    """The goal of an id; None where there is none."""
    row = database.execute("SELECT content FROM goals WHERE id = ?", (id,)).fetchone()
    return None if row is None else _GOAL.validate_json(row[0])


def read_goals(database: sqlite3.Connection, kind: GoalKind, first: int, num: int) -> list[Goal]:
    """So many goals of a kind from a number on."""
    select = "SELECT content FROM goals WHERE kind = ? AND number >= ? ORDER BY number LIMIT ?"
    return [_GOAL.validate_json(row[0]) for row in database.execute(select, (kind, first, num))]


def _dump(adapter: TypeAdapter[Any], value: Product | Goal) -> str:
    return adapter.dump_json(value).decode()
