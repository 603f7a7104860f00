"""Stage `training`: the student is fine-tuned on a dataset, from the model of the iteration before."""

from pydantic import Field

from leap_core.config import Section, TrainingConfig
from leap_core.disk.files import write_json
from leap_core.loading import load_trainer
from leap_core.method.tables import TRAIN_ROWS, VALIDATION_ROWS
from leap_core.students.examination.published import check_published
from leap_core.students.weights import locate_model
from leap_core.trainers.base import TrainingJob, micro_batch_size
from leap_core.types import ArtifactRef
from tasks.stage import Run, Stage, StageReport, StageWork

LOG = "training_log.json"


class TrainingIdentity(Section):
    """All settings of the trainer, iteration 0's own already put in their places.

    The micro batch is one: sums of floating-point numbers, and which weights dropout leaves out, hang on it.
    """

    training: TrainingConfig
    micro_batch_size: int = Field(title="execution.micro_batch_size")
    seed: int


def train(run: Run, iteration: int, dataset: ArtifactRef, start: ArtifactRef) -> ArtifactRef:
    """Return the model of `iteration`, trained on `dataset` from `start`."""
    config = run.config.training
    identity = TrainingIdentity(
        training=resolve_bootstrap(config, iteration),
        micro_batch_size=micro_batch_size(config.batch_size, run.config.execution.micro_batch_size),
        seed=run.config.seed + iteration,
    )
    return TRAINING(run, identity, {"dataset": dataset, "model": start}, iteration)


def resolve_bootstrap(config: TrainingConfig, iteration: int) -> TrainingConfig:
    """Put iteration 0's own epochs and learning rate in place of the general ones, and drop them."""
    own = {}
    if iteration == 0:
        own = {"epochs": config.bootstrap_epochs, "learning_rate": config.bootstrap_learning_rate}
    update: dict[str, object] = {name: value for name, value in own.items() if value is not None}
    # A limit that ends a run is no part of what comes out.
    update |= {"bootstrap_epochs": None, "bootstrap_learning_rate": None, "max_truncated_share": 1.0}
    return config.with_(**update)


def _train(work: StageWork[TrainingIdentity]) -> StageReport:
    dataset = work.inputs["dataset"]
    validation, limit = dataset / VALIDATION_ROWS, work.config.training.max_truncated_share
    result = load_trainer(work.identity.training.trainer).train(
        TrainingJob(
            rows=dataset / TRAIN_ROWS,
            validation_rows=validation if validation.is_file() else None,
            start=locate_model(work.inputs["model"], work.config.student.model),
            output=work.output,
            checkpoints=work.scratch / "checkpoints",
            config=work.identity.training.with_(max_truncated_share=limit),
            execution=work.config.execution,
            seed=work.identity.seed,
            progress=work.progress,
            log=work.log,
        )
    )
    check_published(work.output)
    write_json(work.output / LOG, result.log)
    return StageReport(
        counts={
            "rows": result.num_rows,
            "updates": result.num_steps,
            "warmup_updates": result.num_warmup,
            "kept_after_updates": result.kept_step,
            "truncated_rows": result.num_truncated,
        },
        metrics={
            "final_loss": result.final_loss,
            "validation_loss": result.validation_loss,
            "peak_learning_rate": result.peak_learning_rate,
        },
        resumed=result.resumed_from_step is not None,
    )


TRAINING = Stage(name="training", version=2, work=_train)
