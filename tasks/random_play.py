"""Stage `random-play`: narrated random episodes, which the bundled base student is pre-trained on."""

from contextlib import closing
from random import Random

from leap_core.config import Section
from leap_core.errors import ConfigError
from leap_core.loading import load_suite
from leap_core.method.dataset import demonstration_rows
from leap_core.method.tables import read_specs, write_turn_rows
from leap_core.prompts import load_prompts
from leap_core.types import ArtifactRef
from tasks.stage import Run, Stage, StageReport, StageWork

NUM_STEPS = (8, 15)
"""Least and most steps of an episode."""


class RandomPlayIdentity(Section):
    """How much is played, and the prompts that rows are rendered with."""

    episodes_per_spec: int
    prompt: str
    seed: int


def play_at_random(run: Run, specs: ArtifactRef, episodes_per_spec: int, seed: int) -> ArtifactRef:
    """Return narrated random episodes of every spec, as turn rows."""
    identity = RandomPlayIdentity(episodes_per_spec=episodes_per_spec, prompt=run.config.student.prompt, seed=seed)
    return RANDOM_PLAY(run, identity, {"specs": specs})


def _play(work: StageWork[RandomPlayIdentity]) -> StageReport:
    identity, suite = work.identity, load_suite(work.config.environment)
    narrate = suite.narrator()
    if narrate is None:
        raise ConfigError(f"environment.name is {suite.name!r}, whose suite offers no narrator of random play.")
    prompts, rng = load_prompts(suite.name, identity.prompt), Random(identity.seed)
    rows = []
    with closing(suite.make(work.inputs["specs"])) as environment:
        for spec in read_specs(work.inputs["specs"]):
            for number in range(identity.episodes_per_spec):
                played = narrate(environment, spec, rng.randint(*NUM_STEPS), rng)
                rows += demonstration_rows([played.model_copy(update={"id": f"{played.id}/{number}"})], prompts, 0)
    write_turn_rows(work.output, rows)
    return StageReport(counts={"steps": len(rows)})


RANDOM_PLAY = Stage(name="random-play", version=5, work=_play)
