"""How many updates of the weights a run's trainings make: said before they are made."""

from leap_core.config import LeapConfig
from leap_core.trainers.base import count_updates, describe_short_training
from tasks.stage import Run, StageOutcome, is_pending
from tasks.training import TRAINING, resolve_bootstrap


def foresee_updates(run: Run) -> list[str]:
    """One line for each planned training; where its dataset is not there yet, with the most rows that it may have."""
    return [_foresee(run, outcome) for outcome in run.outcomes if _is_to_train(outcome)]


def warn_of_short_trainings(run: Run) -> list[str]:
    """One line for each planned training that ends within its warm-up, however many rows it gets."""
    lines = []
    for outcome in run.outcomes:
        if not _is_to_train(outcome):
            continue
        config = resolve_bootstrap(run.config.training, outcome.iteration or 0)
        short = describe_short_training(_count(run, outcome)[1], config)
        lines += [f"warning: {outcome.label}: {short}"] if short else []
    return lines


def _is_to_train(outcome: StageOutcome) -> bool:
    return outcome.stage == TRAINING.name and outcome.state == "run"


def _foresee(run: Run, outcome: StageOutcome) -> str:
    num_rows, num_updates = _count(run, outcome)
    about = "at most " if is_pending(outcome.inputs["dataset"]) else ""
    size = run.config.training.batch_size
    return f"{outcome.label}: {about}{num_updates:,} updates of {size} rows each, from {about}{num_rows:,} rows"


def _count(run: Run, outcome: StageOutcome) -> tuple[int, int]:
    """Rows and updates of one training."""
    iteration, dataset = outcome.iteration or 0, outcome.inputs["dataset"]
    known = not is_pending(dataset)
    num_rows = run.store.record(dataset).counts["train_rows"] if known else _most_rows(run.config, iteration)
    config = resolve_bootstrap(run.config.training, iteration)
    return num_rows, count_updates(num_rows, config, run.config.execution.micro_batch_size)


def _most_rows(config: LeapConfig, iteration: int) -> int:
    """Rows if each episode took all steps that it may, and each rollout was corrected."""
    own = [config.demonstrations.num_episodes, *[config.rollout.num_episodes] * iteration]
    episodes = {"latest": own[-1], "equal": min(own) * len(own)}.get(config.dataset.aggregate, sum(own))
    return round(episodes * config.environment.max_steps * (1 - config.dataset.validation_fraction))
