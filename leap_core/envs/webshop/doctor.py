"""What `leap doctor webshop` looks at: the step that finds nouns, and downloaded products and goals."""

import os
from pathlib import Path

from leap_core.envs.findings import Finding
from leap_core.envs.folders import find_folder
from leap_core.envs.skipped import describe_counts
from leap_core.envs.webshop.shop.building import ShopReport
from leap_core.envs.webshop.shop.data_files import DATA_VARIABLE, HOW_TO_GET, find_files, find_sets
from leap_core.envs.webshop.shop.shop import ShopSettings, build_once, cache_folder, read_report
from leap_core.envs.webshop.site.nouns import SPACY_MODEL, resolve_noun_step
from leap_core.errors import LeapError

_QUICK_MB = 100
"""Up to this size, building a shop takes less than a minute or two."""


def examine() -> list[Finding]:
    """Look at everything that playing in the original's shop needs."""
    findings = [_noun_step()]
    try:
        folder = find_folder(f"${DATA_VARIABLE}", HOW_TO_GET)
    except LeapError as error:
        optional = not os.environ.get(DATA_VARIABLE)  # a generated shop serves, unless the variable is set
        return [*findings, Finding(what="webshop data", ok=False, text=str(error), optional=optional)]
    sets = find_sets(folder)
    text = f"{folder}; sets: {', '.join(sets)}" if sets else f"no products in {folder}. {HOW_TO_GET}"
    findings += [Finding(what="webshop data", ok=bool(sets), text=text)]
    return [*findings, *(_set_of_products(folder, name) for name in sets)]


def _noun_step() -> Finding:
    """Which step finds the nouns that a score looks at."""
    if resolve_noun_step("auto") == "spacy":
        return Finding(what="nouns", ok=True, text=f"spaCy with {SPACY_MODEL}, as the original")
    return Finding(what="nouns", ok=True, text=f"by rules; the original's are spaCy's, with {SPACY_MODEL}")


def _set_of_products(folder: Path, name: str) -> Finding:
    """What a set of products holds. A small one is built to see; a large one only if it has been built before."""
    settings = ShopSettings(data=folder, seed=0, size=name)
    try:
        files = find_files(folder, name)
        megabytes = files.products.stat().st_size / 1e6
        if megabytes > _QUICK_MB and not cache_folder(files, settings).exists():
            text = f"{megabytes:,.0f} MB of products; the first run with them builds the shop, in ten minutes or more"
            return Finding(what=f"set {name!r}", ok=True, text=text)
        shop = build_once(files, settings)
        return Finding(what=f"set {name!r}", ok=True, text=f"{_stock(read_report(shop))}. Built in {shop}")
    except LeapError as error:
        return Finding(what=f"set {name!r}", ok=False, text=str(error))


def _stock(report: ShopReport) -> str:
    """What a shop has, and what was passed over."""
    goals = " and ".join(f"{num:,} {kind} goals" for kind, num in report.num_goals.items())
    text = (
        f"{report.num_products:,} products, {goals} (the first {report.test_goals} test, {report.dev_goals} more dev)"
    )
    return f"{text}; left out: {describe_counts(report.left_out)}" if report.left_out else text
