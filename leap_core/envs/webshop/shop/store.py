"""Products and goals in one SQLite file, written once and then read by all processes, none of which keeps a copy."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from leap_core.envs.webshop.shop.goals import Goal, GoalKind, Instruction, make_goal
from leap_core.envs.webshop.shop.products import Product
from leap_core.errors import LeapError

DATABASE_FILE = "shop.sqlite"
GoalRow = tuple[str, int, int, int, float]
"""Kind, number, id of its instruction, combination of options, price limit."""
_TABLES = (
    "CREATE TABLE products (document INTEGER PRIMARY KEY, asin TEXT NOT NULL, content TEXT NOT NULL)",
    "CREATE TABLE instructions (id INTEGER PRIMARY KEY, document INTEGER NOT NULL, "
    "place INTEGER NOT NULL, content TEXT NOT NULL)",
    "CREATE TABLE goals (kind TEXT NOT NULL, number INTEGER NOT NULL, instruction INTEGER NOT NULL, "
    "combination INTEGER NOT NULL, price_upper REAL NOT NULL, PRIMARY KEY (kind, number)) WITHOUT ROWID",
)
_INDEXES = (
    "CREATE UNIQUE INDEX products_by_asin ON products (asin)",
    "CREATE INDEX instructions_by_document ON instructions (document)",
    "CREATE INDEX goals_by_instruction ON goals (instruction, combination)",
)
_GOALS = (
    "SELECT products.content, instructions.content, combination, number, price_upper FROM goals "
    "JOIN instructions ON instructions.id = goals.instruction JOIN products USING (document)"
)
_PRODUCT = TypeAdapter(Product)
_INSTRUCTION = TypeAdapter(Instruction)


def create_database(path: Path) -> sqlite3.Connection:
    """Make an empty database to be filled; nothing is safe on disk before `finish`."""
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    for table in _TABLES:
        database.execute(table)
    return database


def add_product(database: sqlite3.Connection, document: int, product: Product) -> None:
    """Write one product; `document` is its number in the search index."""
    database.execute(
        "INSERT INTO products VALUES (?, ?, ?)", (document, product.asin, _PRODUCT.dump_json(product).decode())
    )


def add_instruction(database: sqlite3.Connection, id: int, document: int, instruction: Instruction) -> None:
    """Write one instruction about the product of a document."""
    row = (id, document, instruction.place, _INSTRUCTION.dump_json(instruction).decode())
    database.execute("INSERT INTO instructions VALUES (?, ?, ?, ?)", row)


def add_goals(database: sqlite3.Connection, rows: Iterable[GoalRow]) -> None:
    """Write goals, in the order of their numbers."""
    database.executemany("INSERT INTO goals VALUES (?, ?, ?, ?, ?)", rows)


def finish(database: sqlite3.Connection) -> None:
    """Make the indexes, and close."""
    for index in _INDEXES:
        database.execute(index)
    database.commit()
    database.close()


def open_database(path: Path) -> sqlite3.Connection:
    """Open a finished database to read, from any thread; it must not change while it is open.

    Raises:
        LeapError: it is not there.
    """
    if not path.is_file():
        raise LeapError(f"No {path}. Prepare the specs again.")
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)


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
    kind, _, rest = id.partition("-")
    asin, _, place = rest.rpartition("-")
    where = "WHERE +kind = ? AND asin = ? AND place + combination = ?"  # the plus: do not go through all of a kind
    row = database.execute(f"{_GOALS} {where}", (kind, asin, int(place) if place.isdecimal() else -1)).fetchone()
    return None if row is None else _goal(*row)


def read_goals(database: sqlite3.Connection, kind: GoalKind, first: int, num: int) -> list[Goal]:
    """So many goals of a kind from a number on."""
    where = "WHERE kind = ? AND number >= ? ORDER BY number LIMIT ?"
    return [_goal(*row) for row in database.execute(f"{_GOALS} {where}", (kind, first, num))]


def _goal(product: str, instruction: str, combination: int, number: int, price_upper: float) -> Goal:
    return make_goal(
        _PRODUCT.validate_json(product), _INSTRUCTION.validate_json(instruction), combination, number, price_upper
    )
