"""A shop on disk: built once, from the original's files or from generated ones, then opened by many processes."""

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from leap_core.disk.files import write_json
from leap_core.disk.locks import file_lock
from leap_core.envs.webshop.shop import store
from leap_core.envs.webshop.shop.building import MAX_DAMAGED_SHARE, PRICE_SEED, VERSION, ShopReport, build_shop
from leap_core.envs.webshop.shop.data_files import DataFiles, find_files
from leap_core.envs.webshop.shop.generator import GENERATED_FILES, write_generated_files
from leap_core.envs.webshop.shop.goals import GENERATED_BOUNDS, PUBLISHED_BOUNDS, Goal, GoalKind, SplitBounds
from leap_core.envs.webshop.shop.products import Product
from leap_core.envs.webshop.shop.search import INDEX_FILES, NUM_RESULTS, Searcher
from leap_core.errors import LeapError
from leap_core.types import Split

SHOP_FOLDER = "shop"
"""Where a shop lies below the directory of prepared specs."""
REPORT_FILE = "report.json"
FILES = (store.DATABASE_FILE, *INDEX_FILES, REPORT_FILE)


@dataclass(frozen=True, kw_only=True)
class ShopSettings:
    """Which shop to build: of the original's files in `data`, the same for every seed, or a generated one.

    What else there is to set, `WebshopParams` describes.
    """

    data: Path | None
    seed: int
    size: str | None = None
    price_seed: int = PRICE_SEED
    num_products: int = 600
    num_goals: int = 300
    max_damaged_share: float = MAX_DAMAGED_SHARE


class Shop(AbstractContextManager["Shop"]):
    """A shop opened to read. One is enough for a process; its memory is shared with others that opened the same.

    Raises:
        LeapError: there is none in `folder`, or a damaged one, or one of another version.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.report = read_report(folder)
        try:
            self._database = store.open_database(folder / store.DATABASE_FILE)
            self._searcher = Searcher(folder, self._database)
        except (OSError, ValueError) as error:
            raise LeapError(
                f"The shop in {folder} is damaged: {error}. Delete it and prepare the specs again."
            ) from error
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

    def __exit__(self, *_: object) -> None:
        self.close()


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
        _link(build_once(find_files(settings.data, settings.size), settings), folder)
    return Shop(folder)


def build_once(files: DataFiles, settings: ShopSettings) -> Path:
    """The folder of the shop of these files in the user's cache; it is built there if it was not before.

    Raises:
        LeapError: data is missing or damaged, or the cache cannot be written.
    """
    folder = cache_folder(files, settings)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(folder.with_suffix(".lock")):
            if not (folder / REPORT_FILE).exists():
                _build_aside(files, folder, settings)
    except (OSError, sqlite3.OperationalError) as error:
        raise LeapError(
            f"Cannot build a shop in {folder.parent}: {error}. Make room there, or set XDG_CACHE_HOME to a place that "
            "this user may write to."
        ) from error
    return folder


def _build_aside(files: DataFiles, folder: Path, settings: ShopSettings) -> None:
    """Build a shop, and give it its place when it is whole."""
    building = tempfile.TemporaryDirectory(dir=folder.parent, prefix="webshop-building-", ignore_cleanup_errors=True)
    with building as name:
        _build(files, Path(name), settings, PUBLISHED_BOUNDS)
        Path(name).replace(folder)


def cache_folder(files: DataFiles, settings: ShopSettings) -> Path:
    """Where the shop of these files is, or will be. Other sizes or times of the files, or settings, are another."""
    paths = (files.products, files.attributes, files.human)
    stamps = [(str(path.resolve()), *_stamp(path)) for path in paths]
    text = json.dumps([VERSION, stamps, settings.price_seed, settings.max_damaged_share])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "leap-agents"
    return cache / f"webshop-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _build_generated(folder: Path, settings: ShopSettings) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        write_generated_files(Path(temporary), settings.seed, settings.num_products, settings.num_goals)
        products, attributes, human = (Path(temporary, name) for name in GENERATED_FILES)
        files = DataFiles(name="generated", products=products, attributes=attributes, human=human)
        _build(files, folder, settings, GENERATED_BOUNDS)


def _build(files: DataFiles, folder: Path, settings: ShopSettings, bounds: SplitBounds) -> None:
    report = build_shop(files, folder, settings.price_seed, settings.max_damaged_share, bounds)
    write_json(folder / REPORT_FILE, report.model_dump(mode="json"))  # last: where it is, the shop is whole


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat() if path.exists() else None
    return (status.st_size, status.st_mtime_ns) if status else (0, 0)


def _link(source: Path, target: Path) -> None:
    """Have the files of a shop in another place, without a copy of them where the file system allows it."""
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:  # the report comes last
        (target / name).unlink(missing_ok=True)
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copyfile(source / name, target / name)
