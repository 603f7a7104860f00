"""What `leap doctor alfworld` looks at: engines and downloaded games."""

import os
from importlib.metadata import version

from leap_core.envs.alfworld.engine.engines import make_engine
from leap_core.envs.alfworld.games import data_index
from leap_core.envs.alfworld.games.data_index import DATA_SPLITS, DATA_VARIABLE, DataIndex
from leap_core.envs.findings import Finding
from leap_core.envs.skipped import describe_counts
from leap_core.errors import LeapError, MissingPackageError

_WORDINGS = {
    ("move {o} to {r}", True): "commands as in ALFWorld 0.4 (`move mug 1 to desk 1`, with `help`)",
    ("put {o} in/on {r}", False): "commands as up to ALFWorld 0.3.5 (`put mug 1 in/on desk 1`)",
}


def examine() -> list[Finding]:
    """Look at everything that playing ALFWorld's own games needs."""
    findings = [_original_engine(), _data_variable()]
    try:
        folder = data_index.find_data(f"${DATA_VARIABLE}")
    except LeapError as error:
        optional = not os.environ.get(DATA_VARIABLE)  # generated games serve, unless the variable is set
        return [*findings, Finding(what="alfworld data", ok=False, text=str(error), optional=optional)]
    index = data_index.read_index(folder)
    findings += [Finding(what="alfworld data", ok=True, text=f"{folder}; {_wording(index)}")]
    return [*findings, *(_split(index, split) for split in DATA_SPLITS)]


def _data_variable() -> Finding:
    """Where the environment variable says that games are."""
    value = os.environ.get(DATA_VARIABLE)
    text = f"is set to {value}" if value else f"is not set, so games are looked for in {data_index.DEFAULT_DATA}"
    return Finding(what=DATA_VARIABLE, ok=True, text=text)


def _original_engine() -> Finding:
    """Whether ALFWorld's own engine can be used; only games that the native one refuses need it."""
    try:
        make_engine("textworld")
    except MissingPackageError as error:
        return Finding(what="original", ok=True, text=f"not installed, and seldom needed. {error}")
    return Finding(what="original", ok=True, text=f"alfworld {version('alfworld')}, textworld {version('textworld')}")


def _wording(index: DataIndex) -> str:
    """Which version of ALFWorld's data this is, by how its games want an object to be put down."""
    wordings = {(game.wording, game.has_help) for split in DATA_SPLITS for game in index.games(split) if game.wording}
    versions = sorted(_WORDINGS.get(wording, f"unknown wording {wording[0]!r}") for wording in wordings)
    return "; ".join(versions) or "no game that can be read"


def _split(index: DataIndex, split: str) -> Finding:
    """What a split holds, and whether it is what published numbers are computed over."""
    counts, games = index.count(split), index.games(split)
    if not games:
        return Finding(what=split, ok=False, text=f"no games in {index.folder / split}: run `alfworld-download` again")
    ok, num = counts[data_index.PLAYABLE] > 0, sum(counts[status] for status in data_index.CHOSEN)
    text = f"{num:,} games ({describe_counts(data_index.in_order(counts))})"
    if split == "train" and num != data_index.NUM_TRAIN_GAMES:
        text += f"; ALFWorld's own has {data_index.NUM_TRAIN_GAMES:,}"
    if expected := data_index.NUM_EVALUATION_GAMES.get(split):
        missing = index.missing_evaluation_games(split)
        if num == expected and not missing:
            text += f"; exactly the {expected} games of the published evaluation"
        else:
            first = f", first {missing[0]}" if missing else ""
            text += (
                f"; the published evaluation has {expected}: numbers will not compare ({len(missing)} missing{first})"
            )
    broken = next((game.why for game in games if game.status in (data_index.DAMAGED, data_index.UNPLAYABLE)), "")
    return Finding(what=split, ok=ok, text=f"{text}. First that is not as it should be: {broken}" if broken else text)
