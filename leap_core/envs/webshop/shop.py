"""A shop on disk: built once, from the original's files or from generated ones, then opened by many processes."""

import hashlib
import json
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from leap_core.envs.webshop import store
from leap_core.envs.webshop.data_files import Annotation, DataFiles, find_files, read_annotations, read_human, read_rows
from leap_core.envs.webshop.generator import GENERATED_FILES, write_generated_files
from leap_core.envs.webshop.goals import (
    GENERATED_BOUNDS,
    GOAL_KINDS,
    PUBLISHED_BOUNDS,
    Goal,
    GoalKind,
    PricedTogether,
    SplitBounds,
    human_goals,
    priced_and_shuffled,
    synthetic_goals,
)
from leap_core.envs.webshop.products import ListedProduct, Product, normalised, search_text
from leap_core.envs.webshop.search import INDEX_FILES, NUM_RESULTS, IndexWriter, Searcher
from leap_core.errors import LeapError
from leap_core.files import write_json
from leap_core.locks import file_lock
from leap_core.types import Record, Split

SHOP_FOLDER = "shop"
"""Where a shop lies below the directory of prepared specs."""
REPORT_FILE = "report.json"
FILES = (store.DATABASE_FILE, *INDEX_FILES, REPORT_FILE)
VERSION = 1
"""Of what `FILES` hold; raised when it changes, so that no older shop is opened."""
PRICE_SEED = 233
MAX_DAMAGED_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class ShopSettings:
    """Which shop.

    Args:
        data: directory of the original's files; None for a generated shop.
        seed: of a generated shop; downloaded data is the same for every seed.
        size: which set of products in `data`, "all" or "1000"; None: the only one that is there.
        price_seed: the seed that prices and price limits are drawn with.
        num_products: of a generated shop.
        num_goals: of a generated shop, written in the manner of people.
        max_damaged_share: nothing is made of data in which a larger share of the products is damaged.
    """

    data: Path | None
    seed: int
    size: str | None = None
    price_seed: int = PRICE_SEED
    num_products: int = 600
    num_goals: int = 300
    max_damaged_share: float = MAX_DAMAGED_SHARE


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


class Shop:
    """A shop opened to read. One for each process; its memory is shared with others that opened the same.

    Raises:
        LeapError: there is none in `folder`, or one of another version.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.report = read_report(folder)
        self._database = store.open_database(folder / store.DATABASE_FILE)
        self._searcher = Searcher(folder, self._database)
        self._bounds = SplitBounds(test=self.report.test_goals, dev=self.report.test_goals + self.report.dev_goals)

    def product(self, asin: str) -> Product:
        """The product of an asin.

        Raises:
            LeapError: there is none.
        """
        product = store.read_product(self._database, asin)
        if product is None:
            raise LeapError(f"No product {asin!r} in {self._folder}.")
        return product

    def search(self, query: str, k: int = NUM_RESULTS) -> list[str]:
        """The asins of the `k` products that match a query best, best first; none that match nothing of it."""
        return store.read_asins(self._database, self._searcher.search(query, k))

    def goal(self, id: str) -> Goal:
        """The goal of an id.

        Raises:
            LeapError: there is none.
        """
        goal = store.read_goal(self._database, id)
        if goal is None:
            raise LeapError(f"No goal {id!r} in {self._folder}.")
        return goal

    def goals(self, kind: GoalKind, split: Split, num: int) -> list[Goal]:
        """The first `num` goals of a split, or as many as there are."""
        first, end = self._bounds.range(split)
        return store.read_goals(self._database, kind, first, num if end is None else min(num, end - first))

    def close(self) -> None:
        """Close the files. Safe to call twice."""
        self._database.close()


def read_report(folder: Path) -> ShopReport:
    """What the shop in `folder` was built from.

    Raises:
        LeapError: there is none, or one of another version.
    """
    path = folder / REPORT_FILE
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise LeapError(f"No shop in {folder}: {error}. Prepare the specs again.") from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise LeapError(f"The shop in {folder} was built by another version of this program. Prepare the specs again.")
    return ShopReport.model_validate(content)


def provide_shop(root: Path, settings: ShopSettings) -> Shop:
    """Put the shop into `root`, and open it.

    A shop of downloaded data is built once, in the user's cache directory, and linked from there.

    Raises:
        LeapError: data is missing or damaged; says which file and how to get it.
    """
    folder = root / SHOP_FOLDER
    if (folder / REPORT_FILE).exists():
        return Shop(folder)
    if settings.data is None:
        _build_generated(folder, settings)
    else:
        _link(_cached(find_files(settings.data, settings.size), settings), folder)
    return Shop(folder)


def build_shop(files: DataFiles, folder: Path, settings: ShopSettings, bounds: SplitBounds = PUBLISHED_BOUNDS) -> None:
    """Read the files of a set, and write a shop into `folder`.

    Raises:
        LeapError: a file is missing, damaged or of another version, or too many products are damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    left_out: Counter[str] = Counter()
    annotations = read_annotations(files.attributes, left_out)
    human = read_human(files.human) if files.human.is_file() else {}
    rng = random.Random(settings.price_seed)
    database, index = store.create_database(folder / store.DATABASE_FILE), IndexWriter()
    asins: list[str] = []
    together: dict[GoalKind, list[PricedTogether]] = {kind: [] for kind in GOAL_KINDS}
    for product in _with_price(_listed(files, annotations, left_out), rng):
        store.add_product(database, len(asins), product)
        index.add(search_text(product))
        asins.append(product.asin)
        together["human"] += human_goals(product, human.get(product.asin, ()), left_out)
        together["synthetic"] += _synthetic(product, annotations.get(product.asin), left_out)
    _check_damage(files, len(asins), left_out, settings.max_damaged_share)
    num_goals: dict[str, int] = {}
    after_prices = rng.getstate()
    for kind in GOAL_KINDS:
        rng.setstate(after_prices)
        goals = priced_and_shuffled(together[kind], rng)
        store.add_goals(database, goals)
        num_goals[kind] = len(goals)
    index.write(folder, asins, database)
    store.finish(database)
    report = ShopReport(
        version=VERSION,
        source=files.name,
        price_seed=settings.price_seed,
        test_goals=bounds.test,
        dev_goals=bounds.dev - bounds.test,
        num_products=len(asins),
        num_goals=num_goals,
        left_out={why: num for why, num in sorted(left_out.items()) if num},
    )
    write_json(folder / REPORT_FILE, report.model_dump(mode="json"))


def _listed(files: DataFiles, annotations: Mapping[str, Annotation], left_out: Counter[str]) -> Iterator[ListedProduct]:
    attributes = {asin: said.attributes for asin, said in annotations.items() if said.attributes is not None}
    return normalised(read_rows(files.products), attributes, left_out)


def _with_price(listed: Iterator[ListedProduct], rng: random.Random) -> Iterator[Product]:
    """Each product at its price, or at one drawn from its range."""
    for item in listed:
        drawn = item.prices[0] if len(item.prices) == 1 else rng.uniform(*item.prices)
        yield replace(item.product, price=drawn)


def _synthetic(product: Product, said: Annotation | None, left_out: Counter[str]) -> list[PricedTogether]:
    if said is None or said.instruction is None:
        return []
    if not said.instruction_attributes:
        left_out["synthetic instructions without attributes"] += 1
        return []
    return [synthetic_goals(product, said.instruction, said.instruction_attributes)]


def _check_damage(files: DataFiles, num_products: int, left_out: Mapping[str, int], limit: float) -> None:
    damaged = {why: num for why, num in left_out.items() if why.startswith("damaged") and num}
    total = sum(damaged.values())
    if not num_products or total > limit * (num_products + total):
        reasons = ", ".join(f"{num} {why}" for why, num in damaged.items()) or "none at all"
        raise LeapError(
            f"{files.products} holds {num_products} products that can be sold; left out: {reasons}. More than "
            f"environment.params.max_damaged_share = {limit:g} allows. Get the data again."
        )


def _build_generated(folder: Path, settings: ShopSettings) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        write_generated_files(Path(temporary), settings.seed, settings.num_products, settings.num_goals)
        products, attributes, human = (Path(temporary, name) for name in GENERATED_FILES)
        files = DataFiles(name="generated", products=products, attributes=attributes, human=human)
        build_shop(files, folder, settings, GENERATED_BOUNDS)


def _cached(files: DataFiles, settings: ShopSettings) -> Path:
    """The folder of the shop of these files in the user's cache, built if it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "leap-agents"
    folder = cache / f"webshop-{_key(files, settings)}"
    cache.mkdir(parents=True, exist_ok=True)
    with file_lock(cache / f"{folder.name}.lock"):
        if not (folder / REPORT_FILE).exists():
            building = Path(tempfile.mkdtemp(dir=cache, prefix="webshop-building-"))
            try:
                build_shop(files, building, settings)
                building.replace(folder)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    return folder


def _key(files: DataFiles, settings: ShopSettings) -> str:
    """Names a shop: by its files, with their sizes and times, and by the settings that change it."""
    paths = (files.products, files.attributes, files.human)
    stamps = [(str(path.resolve()), *_stamp(path)) for path in paths]
    text = json.dumps([VERSION, stamps, settings.price_seed, settings.max_damaged_share])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat() if path.exists() else None
    return (status.st_size, status.st_mtime_ns) if status else (0, 0)


def _link(source: Path, target: Path) -> None:
    """Have the files of a shop in another place, without a copy of them where the file system allows it."""
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:  # the report comes last
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copyfile(source / name, target / name)
