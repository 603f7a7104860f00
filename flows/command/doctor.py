"""What `leap doctor` checks."""

import os
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from flows.prefect_side.server import is_answering
from flows.presets import artifacts_of, find_preset
from leap_core.errors import LeapError
from leap_core.store.artifacts import ArtifactStore

if TYPE_CHECKING:
    from leap_core.envs.alfworld.games.data_index import DataIndex
    from leap_core.envs.webshop.shop.building import ShopReport

DOWNLOADED = "$ALFWORLD_DATA"
"""Where ALFWorld itself looks for its games; without that variable, where `alfworld-download` puts them."""
_VERSIONS = {
    ("move {o} to {r}", True): "commands as in ALFWorld 0.4 (`move mug 1 to desk 1`, with `help`)",
    ("put {o} in/on {r}", False): "commands as up to ALFWorld 0.3.5 (`put mug 1 in/on desk 1`)",
}

_QUICK_MB = 100
"""Up to this size, building a shop takes less than a minute or two."""
PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "pyarrow", "prefect", "openai")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. What is missing and `optional` is worth a note, and no run fails for it."""

    what: str
    ok: bool
    text: str
    optional: bool = False

    @property
    def is_bad(self) -> bool:
        """Whether a run may fail for it."""
        return not (self.ok or self.optional)

    @property
    def line(self) -> str:
        """The finding for people."""
        return f"{'ok  ' if self.ok else 'BAD ' if self.is_bad else 'note'} {self.what:<14} {self.text}"


def diagnose(home: Path) -> list[Finding]:
    """Look at everything a run needs, cheapest first."""
    findings = [_python(), *(_package(name) for name in PACKAGES)]
    if all(finding.ok for finding in findings):  # what follows imports them
        findings += [_device(), _game(), _alfworld_data(), _endpoints(), _home(home)]
    if all(finding.ok for finding in findings):  # Prefect's own data may go there
        findings.append(_prefect_api(home))
    more = ", ".join(f"`leap doctor {name}`" for name in EXAMINATIONS)
    more += "; of a model that you bring: `leap doctor model DIR`"
    return [*findings, Finding(what="environments", ok=True, text=f"more about each: {more}")]


def diagnose_intercode() -> list[Finding]:
    """Look at every kind of sandbox, and play a bundled task in the default one. One kind that works is enough."""
    from leap_core.envs.intercode_bash.sandbox.backends import BACKENDS, load_backend
    from leap_core.envs.intercode_bash.suite import IntercodeBashParams

    params = IntercodeBashParams()
    problems = {name: load_backend(name, params.model_dump(mode="json")).problem() for name in BACKENDS}
    one_works = None in problems.values()
    findings = [
        Finding(what=name, ok=one_works, text="works" if problem is None else f"does not work here: {problem}")
        for name, problem in problems.items()
    ]
    if problems[params.backend] is None:
        findings.append(_bash_task())
    return [*findings, _student_of("intercode", "intercode-smoke")]


def _python() -> Finding:
    text = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(what="python", ok=sys.version_info >= (3, 11), text=f"{text} (3.11 or newer is needed)")


def _package(name: str) -> Finding:
    try:
        return Finding(what=name, ok=True, text=version(name))
    except PackageNotFoundError:
        return Finding(what=name, ok=False, text="not installed: pip install -e . -c constraints.txt")


def _device() -> Finding:
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads"
    return Finding(what="device", ok=True, text=name)


def _home(home: Path) -> Finding:
    try:
        ArtifactStore(artifacts_of(home))
    except LeapError as error:
        return Finding(what="home", ok=False, text=str(error))
    free = shutil.disk_usage(home).free / 1e9
    advice = "" if free > 1 else "; make room, at least 1 GB, or choose another place with --home"
    return Finding(what="home", ok=free > 1, text=f"{home}, {free:.1f} GB free{advice}")


def _prefect_api(home: Path) -> Finding:
    """Ask the server that runs would report to, if one is named."""
    from flows.prefect_side.session import server_url, set_up_prefect, source_of_url

    try:
        set_up_prefect(home)
        url = server_url()
    except LeapError as error:
        return Finding(what="prefect api", ok=False, text=str(error))
    if url is None:
        return Finding(what="prefect api", ok=True, text="no server named: each run starts its own for its length")
    if not is_answering(url):
        advice = f"it is set {source_of_url()}; start it (`prefect server start`), or unset PREFECT_API_URL"
        return Finding(what="prefect api", ok=False, text=f"{url} does not answer: {advice}")
    return Finding(what="prefect api", ok=True, text=url)


def _game() -> Finding:
    """Play one generated game to its end with the expert."""
    won, instruction = _try_expert("alfworld")
    return Finding(what="alfworld", ok=won, text=f"native engine; expert plays {instruction!r}")


def _bash_task() -> Finding:
    """Do one bundled task with the expert."""
    won, instruction = _try_expert("intercode_bash")
    return Finding(what="bundled task", ok=won, text=f"expert does {instruction!r}")


def _student_of(preset: str, smaller: str) -> Finding:
    """Whether a preset's student can play on this machine; another preset needs nothing."""
    import torch

    from leap_core.config import load_config
    from leap_core.students.weights import find_model, has_weights

    model = load_config(find_preset(preset)).student.model
    here = find_model(model) is not None or has_weights(model)
    text = (
        f"{model} is {'' if here else 'not '}on this machine, which has {'a' if torch.cuda.is_available() else 'no'} "
        f"GPU; `leap run {smaller}` needs neither"
    )
    return Finding(what="student", ok=True, text=text)


def _try_expert(environment: str) -> tuple[bool, str]:
    """Let the expert of an environment play its first train spec: whether it succeeds, and what was to be done."""
    from tempfile import TemporaryDirectory

    from leap_core.config import EnvironmentConfig
    from leap_core.loading import load_suite
    from leap_core.method.demonstrations import demonstrate

    suite = load_suite(EnvironmentConfig(name=environment, num_train=1, num_dev=0, num_test=0))
    with TemporaryDirectory() as directory:
        root = Path(directory)
        spec = suite.prepare(root, "train", 0)[0]
        with closing(suite.make(root)) as player:
            played = demonstrate(player, suite.oracle(), spec, suite.privileged_state(root, spec), 100, 30)
    return bool(played.success), spec.instruction


def _endpoints() -> Finding:
    """Whether there is a key; nothing needs one but teachers and students behind an endpoint."""
    from leap_core.config import EndpointConfig

    name = EndpointConfig().api_key_env
    is_set = "is set" if os.environ.get(name) else "is not set; servers of your own need none"
    vllm = shutil.which("vllm") or "not installed: pip install vllm (it needs a GPU), only for student.serve"
    return Finding(what="endpoints", ok=True, text=f"{name} {is_set}; vllm: {vllm}")


def _alfworld_data() -> Finding:
    """Look for downloaded games; nothing needs them but presets that name them."""
    from leap_core.envs.alfworld.games.data_index import find_data

    try:
        text = f"downloaded games in {find_data(DOWNLOADED)}: `leap doctor alfworld` says more"
    except LeapError:
        text = "no downloaded games, games are generated: `leap doctor alfworld` says how to get the real ones"
    return Finding(what="alfworld data", ok=True, text=text)


def diagnose_alfworld(data: str = DOWNLOADED) -> list[Finding]:
    """Look at everything that playing ALFWorld's own games needs; `data` is as environment.data would have it."""
    from leap_core.envs.alfworld.games.data_index import DATA_SPLITS, DATA_VARIABLE, find_data, read_index

    findings = [_game(), _original_engine(), _data_variable()]
    try:
        folder = find_data(data)
    except LeapError as error:
        # Nobody has said that they are there: generated games serve.
        optional = data == DOWNLOADED and not os.environ.get(DATA_VARIABLE)
        return [*findings, Finding(what="alfworld data", ok=False, text=str(error), optional=optional)]
    index = read_index(folder)
    findings += [Finding(what="alfworld data", ok=True, text=f"{folder}; {_wording(index)}")]
    return [*findings, *(_split(index, split) for split in DATA_SPLITS)]


def _data_variable() -> Finding:
    """What the environment says on where the games are."""
    from leap_core.envs.alfworld.games.data_index import DATA_VARIABLE, DEFAULT_DATA

    value = os.environ.get(DATA_VARIABLE)
    text = f"is set to {value}" if value else f"is not set, so games are looked for in {DEFAULT_DATA}"
    return Finding(what=DATA_VARIABLE, ok=True, text=text)


def _original_engine() -> Finding:
    """Whether ALFWorld's own engine can be used; only games that the native one refuses need it."""
    from leap_core.envs.alfworld.engine.engines import make_engine
    from leap_core.errors import MissingPackageError

    try:
        make_engine("textworld")
    except MissingPackageError as error:
        return Finding(what="original", ok=True, text=f"not installed, and seldom needed. {error}")
    return Finding(what="original", ok=True, text=f"alfworld {version('alfworld')}, textworld {version('textworld')}")


def _wording(index: "DataIndex") -> str:
    """Which version of ALFWorld's data this is, by how its games want an object to be put down."""
    from leap_core.envs.alfworld.games.data_index import DATA_SPLITS

    wordings = {(game.wording, game.has_help) for split in DATA_SPLITS for game in index.games(split) if game.wording}
    versions = sorted(_VERSIONS.get(wording, f"unknown wording {wording[0]!r}") for wording in wordings)
    return "; ".join(versions) or "no game that can be read"


def _split(index: "DataIndex", split: str) -> Finding:
    """What a split holds, and whether it is what published numbers are computed over."""
    from leap_core.envs.alfworld.games.data_index import (
        CHOSEN,
        DAMAGED,
        NUM_EVALUATION_GAMES,
        NUM_TRAIN_GAMES,
        PLAYABLE,
        UNPLAYABLE,
        in_order,
    )
    from leap_core.envs.skipped import describe_counts

    counts, games = index.count(split), index.games(split)
    if not games:
        return Finding(what=split, ok=False, text=f"no games in {index.folder / split}: run `alfworld-download` again")
    ok, num = counts[PLAYABLE] > 0, sum(counts[status] for status in CHOSEN)
    text = f"{num:,} games ({describe_counts(in_order(counts))})"
    if split == "train" and num != NUM_TRAIN_GAMES:
        text += f"; ALFWorld's own has {NUM_TRAIN_GAMES:,}"
    if expected := NUM_EVALUATION_GAMES.get(split):
        missing = index.missing_evaluation_games(split)
        if num == expected and not missing:
            text += f"; exactly the {expected} games of the published evaluation"
        else:
            first = f", first {missing[0]}" if missing else ""
            text += (
                f"; the published evaluation has {expected}: numbers will not compare ({len(missing)} missing{first})"
            )
    broken = next((game.why for game in games if game.status in (DAMAGED, UNPLAYABLE)), "")
    return Finding(what=split, ok=ok, text=f"{text}. First that is not as it should be: {broken}" if broken else text)


def diagnose_model(model: str) -> list[Finding]:
    """Look at a model or an adapter without loading it. What only keeps it from being trained is worth a note."""
    from leap_core.config import TrainingConfig
    from leap_core.students.examination.examine import examine_model
    from leap_core.students.examination.findings import Purpose
    from leap_core.students.weights import resolve_model
    from leap_core.text.shown import shown

    if Path(resolve_model(model)).exists():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    look = examine_model(model, Purpose())
    trained = examine_model(model, Purpose(training=TrainingConfig(max_length=16)))
    only_trained = [replace(one, fatal=False) for one in trained.errors if one not in look.findings]
    facts = [Finding(what=name, ok=True, text=shown(text)) for name, text in look.facts.items()]
    faults = [
        Finding(what=one.what, ok=False, text=one.text, optional=not one.fatal)
        for one in (*look.findings, *only_trained)
    ]
    verdict = "cannot be used so" if look.errors else "can be played"
    if not look.errors:
        verdict += ", but not trained by a low-rank adapter" if only_trained else " and trained"
    return [Finding(what=MODEL, ok=not look.errors, text=f"{model}: {verdict}"), *facts, *faults]


def diagnose_webshop() -> list[Finding]:
    """Look at everything that playing in the original's shop needs."""
    from leap_core.envs.folders import find_folder
    from leap_core.envs.webshop.shop.data_files import DATA_VARIABLE, HOW_TO_GET, find_sets

    won, instruction = _try_expert("webshop")
    findings = [Finding(what="webshop", ok=won, text=f"generated shop; expert does {instruction!r}"), _noun_step()]
    try:
        folder = find_folder(f"${DATA_VARIABLE}", HOW_TO_GET)
    except LeapError as error:
        optional = not os.environ.get(DATA_VARIABLE)  # nobody has said that it is there: a generated shop serves
        return [*findings, Finding(what="webshop data", ok=False, text=str(error), optional=optional)]
    sets = find_sets(folder)
    text = f"{folder}; sets: {', '.join(sets)}" if sets else f"no products in {folder}. {HOW_TO_GET}"
    findings += [Finding(what="webshop data", ok=bool(sets), text=text)]
    return [*findings, *(_set_of_products(folder, name) for name in sets)]


def _noun_step() -> Finding:
    """Which step finds the nouns that a score looks at."""
    from leap_core.envs.webshop.site.nouns import AUTO, SPACY_MODEL, resolve_noun_step

    if resolve_noun_step(AUTO) == "spacy":
        return Finding(what="nouns", ok=True, text=f"spaCy with {SPACY_MODEL}, as the original")
    return Finding(what="nouns", ok=True, text=f"by rules; the original's are spaCy's, with {SPACY_MODEL}")


def _set_of_products(folder: Path, name: str) -> Finding:
    """What a set of products holds. A small one is built to see; a large one only if it has been built before."""
    from leap_core.envs.webshop.shop.data_files import find_files
    from leap_core.envs.webshop.shop.shop import ShopSettings, build_once, cache_folder, read_report

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


def _stock(report: "ShopReport") -> str:
    """What a shop has, and what was passed over."""
    from leap_core.envs.skipped import describe_counts

    goals = " and ".join(f"{num:,} {kind} goals" for kind, num in report.num_goals.items())
    text = (
        f"{report.num_products:,} products, {goals} (the first {report.test_goals} test, {report.dev_goals} more dev)"
    )
    return f"{text}; left out: {describe_counts(report.left_out)}" if report.left_out else text


MODEL = "model"
"""What `leap doctor` is asked for with the directory or hub id of one."""
EXAMINATIONS = {"alfworld": diagnose_alfworld, "intercode": diagnose_intercode, "webshop": diagnose_webshop}
"""What `leap doctor NAME` looks at, by the environment's name."""
