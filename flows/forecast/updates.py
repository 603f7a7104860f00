"""How many updates of the weights a run's trainings make: said before they are made."""

from dataclasses import dataclass

from flows.iteration import given_corrections
from leap_core.config import TrainingConfig
from leap_core.trainers.base import count_updates, describe_short_training
from tasks.stage import Run, StageOutcome, is_pending
from tasks.training import TRAINING, resolve_bootstrap


@dataclass(frozen=True, kw_only=True)
class ForeseenTraining:
    """A training that is to come. `num_rows` is the most that it may get, where its dataset is not there yet."""

    label: str
    num_rows: int
    is_known: bool
    config: TrainingConfig

    @property
    def num_updates(self) -> int:
        """Updates with so many rows."""
        return count_updates(self.num_rows, self.config)

    @property
    def line(self) -> str:
        """For people."""
        most = "" if self.is_known else "at most "
        updates = f"{most}{self.num_updates:,} updates of {self.config.batch_size} rows each"
        return f"{self.label}: {updates}, from {most}{self.num_rows:,} rows"

    @property
    def warning(self) -> str:
        """That it ends within its warm-up, however many rows it gets; "" where it may not."""
        short = describe_short_training(self.num_updates, self.config)
        return f"warning: {self.label}: {short}" if short else ""


def foresee_trainings(run: Run) -> list[ForeseenTraining]:
    """Every training that a plan is to make."""
    return [_foresee(run, one) for one in run.outcomes if one.stage == TRAINING.name and one.state == "run"]


def _foresee(run: Run, outcome: StageOutcome) -> ForeseenTraining:
    iteration, dataset = outcome.iteration or 0, outcome.inputs["dataset"]
    is_known = not is_pending(dataset)
    return ForeseenTraining(
        label=outcome.label,
        num_rows=run.store.record(dataset).counts["train_rows"] if is_known else _most_rows(run, iteration),
        is_known=is_known,
        config=resolve_bootstrap(run.config.training, iteration),
    )


def _most_rows(run: Run, iteration: int) -> int:
    """Rows if each episode took all steps that it may, each rollout was corrected, and none was held out."""
    config = run.config
    rows = [config.demonstrations.num_episodes * config.environment.max_steps]
    for number in range(1, iteration + 1):
        given = given_corrections(run, number)
        most = config.rollout.num_episodes * config.environment.max_steps
        rows.append(most if given is None else run.store.record(given).counts["steps"])
    return rows[-1] if config.dataset.aggregate == "latest" else sum(rows)
