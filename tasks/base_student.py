"""Stage `base`: the model that iteration 0 starts from. A tiny one is made here; any other is named, not copied."""

from collections.abc import Iterator
from contextlib import closing
from itertools import product

from pydantic import Field, JsonValue

from leap_core.config import Section
from leap_core.envs.base import find_suite
from leap_core.loading import load_suite
from leap_core.method.demonstrations import demonstrate
from leap_core.method.tables import read_privileged, read_specs
from leap_core.prompts import load_prompts
from leap_core.students.smollm2 import place_model
from leap_core.students.weights import TINY, fingerprint_model, write_source
from leap_core.types import ArtifactRef, Level
from tasks.counts import Counts
from tasks.privileged import reveal_privileged_states
from tasks.run import Run
from tasks.specs import prepare_specs
from tasks.stage import Stage, StageReport, StageWork

NUM_VOCABULARY_SPECS = 600
"""Specs whose texts the tiny student's tokenizer is fitted to: enough to meet every kind of thing in every role."""


class BaseIdentity(Section):
    """A tiny student is made from a seed and a size; any other is what its files are."""

    kind: str = Field(title="student.kind")
    source: str = Field(title="student.model")
    params: dict[str, JsonValue] = Field(title="student.params")
    prompt: str = Field(title="student.prompt")
    max_steps: int = Field(title="environment.max_steps")
    num_vocabulary_specs: int
    environment_version: int = 1
    seed: int


def provide_base_student(run: Run) -> ArtifactRef:
    """Return the student before any training. Only a new tiny one reads specs: they are prepared for it."""
    config, tiny = run.config, run.config.student.model == TINY
    identity = BaseIdentity(
        kind=config.student.kind,
        source=TINY if tiny else fingerprint_model(run.placed_config().student.model, run.store.home),
        params=config.student.params,
        prompt=config.student.prompt if tiny else "",
        max_steps=config.environment.max_steps if tiny else 0,
        num_vocabulary_specs=NUM_VOCABULARY_SPECS if tiny else 0,
        environment_version=find_suite(config.environment.name).version if tiny else 1,
        seed=config.seed if tiny else 0,
    )
    return BASE(run, identity, _what_it_reads(run) if tiny else {})


def provide_measuring_model(run: Run, model: str) -> ArtifactRef:
    """Return a model that is no student here: a directory or a hub id, known by what its files are."""
    placed = place_model(model, run.store.home.parent, run.tell)
    identity = BaseIdentity(
        kind="hf",
        source=fingerprint_model(placed, run.store.home),
        params={},
        prompt="",
        max_steps=0,
        num_vocabulary_specs=0,
        seed=0,
    )
    return BASE(run, identity, {}, part="measuring")


def _what_it_reads(run: Run) -> dict[str, ArtifactRef]:
    specs = prepare_specs(run, "train")
    return {"specs": specs, "privileged": reveal_privileged_states(run, specs)}


def _provide(work: StageWork[BaseIdentity]) -> StageReport:
    if work.identity.source != TINY:
        write_source(work.output, work.identity.source)
        return StageReport()
    from leap_core.students.tiny import TinyParams, make_tiny_student

    params = TinyParams.read(work.identity.params)
    make_tiny_student(work.output, _texts(work), work.identity.seed, params)
    return StageReport()


def _texts(work: StageWork[BaseIdentity]) -> Iterator[str]:
    """All words that the game and its expert use: the tokenizer must know them, the weights learn nothing here."""
    suite, root = load_suite(work.config.environment), work.inputs["specs"]
    oracle = suite.oracle()
    prompts = load_prompts(suite.name, work.identity.prompt)
    states = {state.spec_id: state for state in read_privileged(work.inputs["privileged"])}
    levels: list[Level] = [level for level in oracle.levels if level in (0, 100)]
    with closing(suite.make(root)) as environment:
        for spec, level in product(read_specs(root)[: work.identity.num_vocabulary_specs], levels):
            episode = demonstrate(environment, oracle, spec, states[spec.id], level, work.identity.max_steps)
            for step in episode.steps:
                yield from (step.reply, *(step.observation.admissible or ()))
                yield prompts.student_messages(spec, episode.steps[: step.index], step.observation)[-1].content
            yield episode.final_observation


BASE = Stage(name="base", version=5, work=_provide, counts=Counts)
