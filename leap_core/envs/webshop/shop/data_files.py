"""The original's data files: which there are, and reading them, the large one row by row."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from leap_core.envs.webshop.shop.goals import is_list_of_texts
from leap_core.envs.webshop.shop.products import is_unicode
from leap_core.errors import LeapError, UnknownNameError

DATA_VARIABLE = "WEBSHOP_DATA"
HUMAN_FILE = "items_human_ins.json"
SETS = {
    "all": ("items_shuffle.json", "items_ins_v2.json"),
    "1000": ("items_shuffle_1000.json", "items_ins_v2_1000.json"),
}
"""Products, and what is said of them, by the name of the set: all products, or the first 1,000 of them."""
HOW_TO_GET = (
    "Get the data with the `gdown` lines of setup.sh in https://github.com/princeton-nlp/WebShop: items_shuffle.json "
    "and items_ins_v2.json (or both with _1000), and items_human_ins.json; put them into one directory DIR and set "
    f"environment.data to DIR (or to '${DATA_VARIABLE}', and the variable to DIR). Or leave environment.data out, and "
    "a shop is generated."
)
_BUFFER = 1 << 22


@dataclass(frozen=True, kw_only=True)
class DataFiles:
    """The three files of one set. `human` may be missing where only synthetic goals are wanted."""

    name: str
    products: Path
    attributes: Path
    human: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """What `items_ins_v2*.json` says of a product; without an instruction there is no synthetic goal."""

    attributes: tuple[str, ...] | None
    instruction: str | None
    instruction_attributes: tuple[str, ...]


def find_sets(folder: Path) -> list[str]:
    """The names of the sets whose products are there."""
    return [name for name, (products, _) in SETS.items() if (folder / products).is_file()]


def find_files(folder: Path, name: str | None = None) -> DataFiles:
    """The files of a set in `folder`: of the one named, or of the only one that is there.

    Raises:
        LeapError: a file is missing, or it is not clear which set is meant.
    """
    there = find_sets(folder)
    if name is None and len(there) > 1:
        raise LeapError(
            f"{folder} holds several sets of products. Set environment.params.size to one of: {', '.join(there)}."
        )
    if name is None and not there:
        raise LeapError(f"No {' or '.join(products for products, _ in SETS.values())} in {folder}. {HOW_TO_GET}")
    chosen = name or there[0]
    if chosen not in SETS:
        raise UnknownNameError("set of products in environment.params.size", chosen, SETS)
    products, attributes = (folder / file for file in SETS[chosen])
    for path in (products, attributes):
        if not path.is_file():
            raise LeapError(f"No {path.name} in {folder}.{_wrong_version(path)} {HOW_TO_GET}")
    return DataFiles(name=chosen, products=products, attributes=attributes, human=folder / HUMAN_FILE)


def read_rows(path: Path) -> Iterator[Any]:
    """The elements of a JSON list, one after the other; the file need not fit into memory.

    Raises:
        LeapError: it cannot be read, or is not a whole JSON list.
    """
    try:
        with path.open(encoding="utf-8") as file:
            yield from _elements(file, path)
    except (OSError, UnicodeDecodeError) as error:
        raise LeapError(f"Cannot read {path}: {error}. {HOW_TO_GET}") from error


def read_annotations(path: Path, left_out: Counter[str]) -> dict[str, Annotation]:
    """What is said of each product, by asin; what is damaged is counted in `left_out`.

    Raises:
        LeapError: it cannot be read, or is of another version.
    """
    rows = _read_object(path)
    found = {asin: _annotation(row) for asin, row in rows.items()}
    left_out["annotations damaged"] += sum(annotation is None for annotation in found.values())
    if rows and not any(annotation and annotation.attributes is not None for annotation in found.values()):
        raise LeapError(f"{path} is of another version: no product in it has 'attributes'. {HOW_TO_GET}")
    return {asin: annotation for asin, annotation in found.items() if annotation is not None}


def read_human(path: Path) -> dict[str, list[Any]]:
    """What people wrote, by asin.

    Raises:
        LeapError: it cannot be read, or is of another version.
    """
    rows = _read_object(path)
    wrong = next((asin for asin, row in rows.items() if not isinstance(row, list)), None)
    if wrong is not None:
        raise LeapError(f"{path} is of another version: what it says of {wrong} is not a list. {HOW_TO_GET}")
    return rows


def _annotation(row: Any) -> Annotation | None:
    if not isinstance(row, dict) or ("attributes" in row and not is_list_of_texts(row["attributes"])):
        return None
    wanted, text = row.get("instruction_attributes"), row.get("instruction")
    annotation = Annotation(
        attributes=tuple(row["attributes"]) if "attributes" in row else None,
        instruction=text if isinstance(text, str) else None,
        instruction_attributes=tuple(wanted) if is_list_of_texts(wanted) else (),
    )
    texts = (*(annotation.attributes or ()), annotation.instruction or "", *annotation.instruction_attributes)
    return annotation if is_unicode(*texts) else None


def _wrong_version(path: Path) -> str:
    """A word on a file of another version that is there in its place."""
    older = path.with_name(re.sub("_v2", "", path.name))
    return f" {older.name} is of another version." if older != path and older.is_file() else ""


def _read_object(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, UnicodeDecodeError) as error:
        raise LeapError(f"Cannot read {path}: {error}. {HOW_TO_GET}") from error
    except json.JSONDecodeError as error:
        raise LeapError(f"{path} is not whole, or not JSON: {error}.{_web_page(path)} {HOW_TO_GET}") from error
    if not isinstance(value, dict):
        raise LeapError(
            f"{path} is of another version: it is not an object from asins to what is said of them. {HOW_TO_GET}"
        )
    return value


def _elements(file: TextIO, path: Path) -> Iterator[Any]:
    decoder, buffer, place = json.JSONDecoder(), file.read(_BUFFER).lstrip(), 1
    if not buffer.startswith("["):
        raise LeapError(f"{path} is not a JSON list of products.{_web_page(path)} {HOW_TO_GET}")
    separator = re.compile(r"\s*,?\s*")
    while True:
        match = separator.match(buffer, place)
        place = match.end() if match else place
        if buffer.startswith("]", place):
            return
        try:
            value, end = decoder.raw_decode(buffer, place)
            if end == len(buffer):  # a number may go on
                raise json.JSONDecodeError("cut off", buffer, end)
        except json.JSONDecodeError as error:
            more = file.read(max(_BUFFER, len(buffer)))
            if not more:
                raise LeapError(f"{path} is not whole, or not JSON: {error.msg} near its end. {HOW_TO_GET}") from error
            buffer, place = buffer[place:] + more, 0
            continue
        yield value
        place = end


def _web_page(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(200).lstrip()
    return " It is a web page: the download was refused." if start.startswith(b"<") else ""
