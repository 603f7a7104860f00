"""LEAP on one page: the whole loop with `leap_core` alone, without Prefect, cache or command line.

python docs/examples/leap_in_one_page.py /tmp/one-page [rollout.num_episodes=40 ...]
"""

import sys
from pathlib import Path

from leap_core.config import apply_override, parse_config
from leap_core.loading import load_student, load_suite, load_teacher, load_trainer, open_pool, set_up_teacher
from leap_core.method.correction import correct_episodes, needs_correction
from leap_core.method.dataset import TurnRow, assemble, correction_rows, demonstration_rows
from leap_core.method.demonstrations import demonstrate, successful
from leap_core.method.evaluation import summarise
from leap_core.method.rollout import RolloutSettings, play_episodes
from leap_core.method.tables import TRAIN_ROWS, write_training_rows
from leap_core.prompts import load_prompts
from leap_core.students.weights import BUNDLED_DIRECTORY
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.trainers.base import TrainingJob
from leap_core.types import Spec, Split, Trajectory

values = {
    "num_iterations": 2,
    "environment": {"name": "alfworld", "max_steps": 15, "num_train": 120, "num_dev": 20},
    "student": {"prompt": "compact", "max_new_tokens": 96, "constrain": True},
    "demonstrations": {"num_episodes": 60},
    "rollout": {"num_episodes": 40},
    "training": {"method": "full", "learning_rate": 1.5e-3, "epochs": 3, "batch_size": 16, "precision": "fp32"},
}
home = Path(sys.argv[1])
for override in sys.argv[2:]:
    apply_override(values, override)
config = parse_config(values)
suite, prompts = load_suite(config.environment), load_prompts(config.environment.name, config.student.prompt)
max_steps, level = config.environment.max_steps, config.demonstrations.level


def play(model: Path, split: Split, specs: list[Spec], iteration: int, temperature: float) -> list[Trajectory]:
    """Let `model` play each of `specs` once, without privileged information."""
    settings = RolloutSettings(
        iteration=iteration,
        seed=config.seed,
        max_steps=max_steps,
        max_consecutive_invalid=3,
        constrain=config.student.constrain,
        batch_size=config.execution.batch_size,
    )
    with open_pool(config.environment, home / split, num_workers=0) as pool:
        student = load_student(model, config.student, config.execution, temperature)
        return play_episodes(student, pool, prompts, specs, settings)


def train(sources: list[list[TurnRow]], start: Path, iteration: int) -> Path:
    """Fine-tune `start` on the rows of all iterations so far; return the new model's directory."""
    data, model = home / f"dataset-{iteration}", home / f"model-{iteration}"
    write_training_rows(data, assemble(sources, "all", validation_fraction=0.0, seed=config.seed))
    job = TrainingJob(
        rows=data / TRAIN_ROWS,
        validation_rows=None,
        start=start,
        output=model,
        checkpoints=home / f"checkpoints-{iteration}",
        config=config.training,
        execution=config.execution,
        seed=config.seed + iteration,
    )
    load_trainer(config.training.trainer).train(job)
    return model


# What there is to do, and the hidden state of each game, which no student ever sees.
specs: dict[Split, list[Spec]] = {split: suite.prepare(home / split, split, config.seed) for split in ("train", "dev")}
privileged = {spec.id: suite.privileged_state(home / "train", spec) for spec in specs["train"]}

# Iteration 0: behaviour cloning on an expert's demonstrations.
environment, oracle = suite.make(home / "train"), suite.oracle()
shown = specs["train"][: config.demonstrations.num_episodes]
episodes = [demonstrate(environment, oracle, spec, privileged[spec.id], level, max_steps) for spec in shown]
sources = [demonstration_rows(successful(episodes), prompts, level)]
model = train(sources, BUNDLED_DIRECTORY, 0)

for iteration in range(config.num_iterations + 1):
    if iteration > 0:
        # Iteration i: play, let the privileged teacher correct what failed, learn from all corrections so far.
        first = len(shown) + (iteration - 1) * config.rollout.num_episodes
        played = play(model, "train", specs["train"][first : first + config.rollout.num_episodes], iteration, 0.3)
        failed = [
            PrivilegedEpisode(trajectory=one, privileged=privileged[one.spec.id])
            for one in played
            if needs_correction(one, config.correction.threshold)
        ]
        corrections = correct_episodes(load_teacher(set_up_teacher(config, model)), failed)
        pairs = zip(failed, corrections, strict=True)
        sources.append([row for f, c in pairs for row in correction_rows(f.trajectory, c, f.privileged, prompts, {})])
        model = train(sources, model, iteration)
    result = summarise(play(model, "dev", specs["dev"], iteration, 0.0), iteration, "dev", 0.95)
    print(f"iteration {iteration}: success {result.success:.2f} of {result.num_episodes} episodes on dev")
