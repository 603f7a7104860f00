"""Building a shop: reading the files of one set, normalising, drawing prices and goals, indexing."""

import random
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from leap_core.envs.webshop.shop import store
from leap_core.envs.webshop.shop.data_files import Annotation, DataFiles, read_annotations, read_human, read_rows
from leap_core.envs.webshop.shop.goals import (
    GOAL_KINDS,
    PUBLISHED_BOUNDS,
    GoalKind,
    Instruction,
    SplitBounds,
    draw_limit,
    human_instructions,
    shuffled,
)
from leap_core.envs.webshop.shop.products import Product, normalised, search_text
from leap_core.envs.webshop.shop.search import IndexWriter
from leap_core.errors import LeapError
from leap_core.types import Record

VERSION = 1
"""Of the files of a shop; raised when what they hold changes, so that no older shop is opened."""
PRICE_SEED = 233
MAX_DAMAGED_SHARE = 0.05


class ShopReport(Record):
    """What a shop was built from. `left_out` counts what was passed over, by the reason."""

    version: int
    source: str
    price_seed: int
    test_goals: int
    dev_goals: int
    num_products: int
    num_goals: dict[str, int]
    left_out: dict[str, int]


def build_shop(
    files: DataFiles,
    folder: Path,
    price_seed: int = PRICE_SEED,
    max_damaged_share: float = MAX_DAMAGED_SHARE,
    bounds: SplitBounds = PUBLISHED_BOUNDS,
) -> ShopReport:
    """Read the files of a set, and write the database and the index of a shop into `folder`.

    Raises:
        LeapError: a file is missing, damaged or of another version, or too many products are damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    left_out: Counter[str] = Counter()
    annotations = read_annotations(files.attributes, left_out)
    human = read_human(files.human) if files.human.is_file() else {}
    rng = random.Random(price_seed)
    database, index = store.create_database(folder / store.DATABASE_FILE), IndexWriter()
    asins: list[str] = []
    goals = {kind: _Goals(kind) for kind in GOAL_KINDS}
    for document, product in enumerate(_products(files, annotations, rng, left_out)):
        store.add_product(database, document, product)
        index.add(search_text(product))
        asins.append(product.asin)
        rows, said = human.get(product.asin, ()), annotations.get(product.asin)
        for instruction in (*human_instructions(rows, left_out), *_synthetic(said, left_out)):
            id = sum(len(kind.instructions) for kind in goals.values())
            store.add_instruction(database, id, document, instruction)
            goals[instruction.kind].add(id, instruction.num_goals(product), product.price)
    _check_damage(files, len(asins), left_out, max_damaged_share)
    after_prices = rng.getstate()
    for kind in GOAL_KINDS:  # each as if the original had been asked for this kind alone
        rng.setstate(after_prices)
        store.add_goals(database, goals[kind].drawn(rng))
    index.write(folder, asins, database)
    store.finish(database)
    return ShopReport(
        version=VERSION,
        source=files.name,
        price_seed=price_seed,
        test_goals=bounds.test,
        dev_goals=bounds.dev - bounds.test,
        num_products=len(asins),
        num_goals={kind: sum(goals[kind].nums) for kind in GOAL_KINDS},
        left_out={why: num for why, num in sorted(left_out.items()) if num},
    )


class _Goals:
    """The goals of one kind, as few bytes each: there are millions of the synthetic ones."""

    def __init__(self, kind: GoalKind) -> None:
        self._kind = kind
        self.instructions = array("i")
        self.nums = array("i")
        self._prices = array("d")

    def add(self, instruction: int, num: int, price: float) -> None:
        """Note an instruction that so many goals come of, about a product of this price."""
        self.instructions.append(instruction)
        self.nums.append(num)
        self._prices.append(price)

    def drawn(self, rng: random.Random) -> Iterator[store.GoalRow]:
        """All of them with their limits, by number."""
        firsts, limits = array("i"), array("d")
        place_of = array("i")
        for place, (num, price) in enumerate(zip(self.nums, self._prices, strict=True)):
            firsts.append(len(place_of))
            limits.append(draw_limit(price, rng))
            place_of.extend([place] * num)
        for number, goal in enumerate(shuffled(len(place_of))):
            place = place_of[goal]
            yield self._kind, number, self.instructions[place], goal - firsts[place], limits[place]


def _products(
    files: DataFiles, annotations: Mapping[str, Annotation], rng: random.Random, left_out: Counter[str]
) -> Iterator[Product]:
    """Each product at its price, or at one drawn from its range."""
    attributes = {asin: said.attributes for asin, said in annotations.items() if said.attributes is not None}
    for product, prices in normalised(read_rows(files.products), attributes, left_out):
        yield product if len(prices) == 1 else replace(product, price=rng.uniform(*prices))


def _synthetic(said: Annotation | None, left_out: Counter[str]) -> list[Instruction]:
    """What the file of attributes asks for of a product, if anything."""
    if said is None or said.instruction is None:
        return []
    if not said.instruction_attributes:
        left_out["synthetic instructions without attributes"] += 1
        return []
    wanted = said.instruction_attributes
    return [Instruction(kind="synthetic", place=0, text=said.instruction, attributes=wanted, options=())]


def _check_damage(files: DataFiles, num_products: int, left_out: Mapping[str, int], limit: float) -> None:
    damaged = {why: num for why, num in left_out.items() if why.startswith("damaged") and num}
    total = sum(damaged.values())
    if not num_products or total > limit * (num_products + total):
        reasons = ", ".join(f"{num} {why}" for why, num in damaged.items()) or "none at all"
        raise LeapError(
            f"{files.products} holds {num_products} products that can be sold; left out: {reasons}. More than "
            f"environment.params.max_damaged_share = {limit:g} allows. Get the data again."
        )
