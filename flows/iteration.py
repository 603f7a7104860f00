"""The iterations of LEAP as chains of stages (paper, algorithm 1). The flows and the planner both walk them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from leap_core.types import ArtifactRef
from tasks.annotation import annotate
from tasks.base_student import provide_base_student
from tasks.correction import correct, given_corrections, has_nothing_to_teach
from tasks.dataset import Source, assemble_dataset
from tasks.demonstrations import collect_demonstrations
from tasks.evaluation import evaluate
from tasks.judgement import judge
from tasks.leakage import measure_leakage
from tasks.privileged import reveal_privileged_states
from tasks.rollout import roll_out
from tasks.run import Run
from tasks.specs import prepare_specs
from tasks.training import train


@dataclass(frozen=True, kw_only=True)
class Iteration:
    """What one iteration made. `sources` holds what it and all iterations before it learned from, in order.

    `correction` is None in iteration 0, and `rollout` also where corrections of another experiment were used.
    `leakage` is there where corrections are measured (`gate.measure`), `judgement` where they are judged
    (`gate.judge`).
    """

    number: int
    sources: tuple[Source, ...]
    dataset: ArtifactRef
    model: ArtifactRef
    dev: ArtifactRef
    rollout: ArtifactRef | None = None
    correction: ArtifactRef | None = None
    leakage: ArtifactRef | None = None
    judgement: ArtifactRef | None = None


def iterate(run: Run) -> Iterator[Iteration]:
    """Iteration 0, 1, 2, ..., each made when the caller takes it, until nothing is left to correct."""
    iteration: Iteration | None = bootstrap(run)
    while iteration is not None:
        yield iteration
        iteration = improve(run, iteration)


def bootstrap(run: Run) -> Iteration:
    """Iteration 0: behaviour cloning of expert demonstrations."""
    specs = prepare_specs(run, "train")
    privileged = reveal_privileged_states(run, specs)
    base = provide_base_student(run)
    demonstrations = collect_demonstrations(run, specs, privileged)
    if run.config.demonstrations.annotate_with is not None:
        demonstrations = annotate(run, demonstrations, privileged, run.config.demonstrations.annotate_with)
    return learn(run, 0, (Source(rows=demonstrations),), base)


def improve(run: Run, previous: Iteration) -> Iteration | None:
    """Iteration i: roll out, correct with privilege, aggregate, fine-tune; None when nothing is left to correct."""
    number = previous.number + 1
    rollout, correction = None, given_corrections(run.config, run.store, number)
    if correction is None:
        specs = prepare_specs(run, "train")
        privileged = reveal_privileged_states(run, specs)
        rollout = roll_out(run, number, specs, previous.model)
        correction = correct(run, number, rollout, privileged, previous.model)
    if has_nothing_to_teach(run, correction):
        run.log(f"Iteration {number}: no episode was left to correct; iteration {previous.number} is the last.")
        return None
    leakage = measure_leakage(run, number, rollout, correction, previous.model)
    judgement = judge(run, number, rollout, correction)
    source = Source(rows=correction, leakage=leakage, judgement=judgement)
    iteration = learn(run, number, (*previous.sources, source), previous.model)
    return replace(iteration, rollout=rollout, correction=correction, leakage=leakage, judgement=judgement)


def learn(run: Run, number: int, sources: tuple[Source, ...], start: ArtifactRef) -> Iteration:
    """Assemble the dataset, fine-tune on it, and see on dev how the model does."""
    dataset = assemble_dataset(run, number, sources)
    previous = start if run.config.training.warm_start else provide_base_student(run)
    model = train(run, number, dataset, previous)
    dev = evaluate(run, number, prepare_specs(run, "dev"), model, "dev")
    return Iteration(number=number, sources=sources, dataset=dataset, model=model, dev=dev)
