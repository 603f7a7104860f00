"""Search against the Lucene that the original uses: how often both find the same, and the record that CI holds us to.

Needs a JDK (11 or newer) and Anserini's jar, which `pip download --no-deps pyserini==0.22.1` brings: in the wheel, a
zip file, below pyserini/resources/jars.

python -m tests.parity.lucene --jar JAR                      # generated products
python -m tests.parity.lucene --jar JAR --data DIR           # those of a directory of the original's files
python -m tests.parity.lucene --jar JAR --record             # write the record anew
"""

import argparse
import json
import os
import random
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from leap_core.disk.files import write_json
from leap_core.envs.webshop.shop.data_files import find_files, read_rows
from leap_core.envs.webshop.shop.generator import write_generated_files
from leap_core.envs.webshop.shop.products import search_text
from leap_core.envs.webshop.shop.search import NUM_RESULTS
from leap_core.envs.webshop.shop.shop import Shop, ShopSettings, provide_shop

RECORD = Path(__file__).parent / "data" / "lucene.json"
NUM_RECORDED_DOCUMENTS, NUM_RECORDED_QUERIES = 150, 60
TEXTS = (
    "Kids' & Adults' 100% cotton T-Shirt, won't shrink, it's the women's no.1 pick",
    "12.5oz (pack of 2) 1,299.00 3:1 a:b x_y _z 5'6 rock'n'roll .5 u.s.a. 10x10 hs-855 vs us s",
    "trekking relational fulfilling generalizations hopping agreed controlling oscillators adoption ponies",
    "dress\u2019s \u2122 fit\u00ae \u00a92020 \u2605\u2714 caf\u00e9 3\u00bd\u2033 no\u00ebl",
    "\u6f22\u5b57 \u30ab\u30bf\u30ab\u30ca \u0e44\u0e17\u0e22",
    f"a {'x' * 300} b",
)


class Lucene:
    """Anserini, one Java process a call."""

    def __init__(self, java: str, jar: Path) -> None:
        self._command = [java, "-cp", str(jar)]

    def terms(self, texts: Sequence[str]) -> list[list[str]]:
        """The search terms of each text, which must be one line."""
        return self._ask(["terms"], texts)

    def index(self, documents: dict[str, str], folder: Path) -> None:
        """Index texts by their ids."""
        source = folder / "documents"
        source.mkdir(parents=True)
        rows = (json.dumps({"id": id, "contents": text}) + "\n" for id, text in documents.items())
        (source / "documents.jsonl").write_text("".join(rows), encoding="utf-8")
        settings = {"collection": "JsonCollection", "generator": "DefaultLuceneDocumentGenerator", "threads": "1"}
        settings |= {"input": str(source), "index": str(folder / "index")}
        arguments = [part for name, value in settings.items() for part in (f"-{name}", value)]
        command = [*self._command, "io.anserini.index.IndexCollection", *arguments, "-storePositions", "-storeRaw"]
        subprocess.run(command, check=True, capture_output=True)

    def search(self, folder: Path, queries: Sequence[str]) -> list[list[str]]:
        """The ids of the best documents for each query."""
        return self._ask(["search", str(folder / "index"), str(NUM_RESULTS)], queries)

    def _ask(self, arguments: list[str], lines: Sequence[str]) -> list[list[str]]:
        command = [*self._command, str(Path(__file__).with_name("Lucene.java")), *arguments]
        text = "".join(f"{line}\n" for line in lines)
        output = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
        return [line.split("\t") if line else [] for line in output.splitlines()]


def queries_of(shop: Shop, num: int, rng: random.Random) -> list[str]:
    """What shoppers may search for: instructions, some words of them, kinds of products, attributes with options."""
    goals = [*shop.goals("human", "test", num), *shop.goals("human", "train", num)]
    queries: list[str] = []
    for goal in (rng.choice(goals) for _ in range(num)):
        text = goal.instruction.partition(", and price")[0]
        words = text.split()
        some = " ".join(rng.sample(words, rng.randint(1, min(4, len(words)))))
        wanted = " ".join([*goal.attributes, goal.query, *(option.value for option in goal.options)])
        queries.append(rng.choice([text, some, goal.query, wanted]))
    return queries


def documents_of(folder: Path, shop: Shop) -> dict[str, str]:
    """What is searched, by asin, in the order of the file."""
    asins = dict.fromkeys(row["asin"] for row in read_rows(find_files(folder).products))
    return {asin: search_text(shop.product(asin)) for asin in asins}


def open_shop(data: Path, folder: Path) -> Shop:
    """Build a shop of a directory's files, outside the user's cache."""
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    return provide_shop(folder, ShopSettings(data=data, seed=0))


def compare(lucene: Lucene, data: Path, num: int) -> None:
    """Print how often both find the same."""
    with tempfile.TemporaryDirectory() as temporary:
        shop = open_shop(data, Path(temporary))
        queries = queries_of(shop, num, random.Random(0))
        lucene.index(documents_of(data, shop), Path(temporary, "lucene"))
        theirs, ours = lucene.search(Path(temporary, "lucene"), queries), [shop.search(query) for query in queries]
    pairs = list(zip(theirs, ours, strict=True))
    shared = [len(set(a[:10]) & set(b[:10])) / max(1, len(a[:10])) for a, b in pairs if a or b]
    print(f"{shop.report.num_products} products, {num} queries")
    print(f"all results the same and in the same order: {sum(a == b for a, b in pairs)}")
    print(f"the same first page: {sum(a[:10] == b[:10] for a, b in pairs)}, shared {sum(shared) / len(shared):.4f}")


def record(lucene: Lucene) -> None:
    """Write what Lucene makes of some texts, and finds among some generated products."""
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary)
        write_generated_files(data, 0, NUM_RECORDED_DOCUMENTS, NUM_RECORDED_DOCUMENTS)
        shop = open_shop(data, data)
        queries = [*queries_of(shop, NUM_RECORDED_QUERIES, random.Random(0)), "black black white", "zzz", "the"]
        documents = documents_of(data, shop)
        lucene.index(documents, data / "lucene")
        found = dict(zip(queries, lucene.search(data / "lucene", queries), strict=True))
    terms = dict(zip(TEXTS, lucene.terms(TEXTS), strict=True))
    write_json(RECORD, {"terms": terms, "documents": list(documents.items()), "found": found})


def main() -> None:
    """Compare or record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jar", type=Path, required=True)
    parser.add_argument("--java", default="java")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    lucene = Lucene(options.java, options.jar.resolve())
    if options.record:
        record(lucene)
    elif options.data:
        compare(lucene, options.data, options.queries)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            write_generated_files(Path(temporary), 0, 5000, 1000)
            compare(lucene, Path(temporary), options.queries)


if __name__ == "__main__":
    main()
