"""Stage `training`: the student is fine-tuned on a dataset, from the model of the iteration before."""

from pydantic import Field, JsonValue

from leap_core.config import Section, TrainingConfig
from leap_core.disk.files import write_json
from leap_core.loading import load_trainer
from leap_core.method.tables import TRAIN_ROWS, VALIDATION_ROWS
from leap_core.store.records import ArtifactRecord
from leap_core.students.base import uses_weights
from leap_core.students.examination.examine import check_published
from leap_core.students.precision import resolve_precision
from leap_core.students.weights import BUNDLED, TINY, find_model, locate_model
from leap_core.trainers.base import TrainingJob, count_updates, describe_short_training, micro_batch_size
from leap_core.types import ArtifactRef
from tasks.correction import CORRECTION, given_corrections
from tasks.counts import Count, Counts
from tasks.dataset import DATASET
from tasks.demonstrations import DEMONSTRATIONS
from tasks.efforts import steps_an_episode
from tasks.planned import Effort, Foresight, Needs, PlannedCall
from tasks.run import Run
from tasks.stage import Stage, StageReport, StageWork

LOG = "training_log.json"
_MOST_READ = 200
"""Rows that a plan turns into tokens: enough to see a share of one in twenty."""


class TrainingCounts(Counts):
    """Rows that were trained on, updates of the weights, those of the warm-up, and the rows that were too long."""

    rows: Count
    updates: Count
    warmup_updates: Count
    kept_after_updates: Count
    truncated_rows: Count


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
        training=resolve_bootstrap(config, iteration).with_(
            precision=resolve_precision(config.precision, run.config.execution.device)
        ),
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
        counts=TrainingCounts(
            rows=result.num_rows,
            updates=result.num_steps,
            warmup_updates=result.num_warmup,
            kept_after_updates=result.kept_step,
            truncated_rows=result.num_truncated,
        ),
        metrics={
            "final_loss": result.final_loss,
            "validation_loss": result.validation_loss,
            "peak_learning_rate": result.peak_learning_rate,
        },
        resumed=result.resumed_from_step is not None,
    )


def _needs(call: PlannedCall[TrainingIdentity]) -> Needs:
    student = call.config.student
    # Behind an endpoint, a model may be no more than a name there.
    is_here = uses_weights(student) or find_model(student.model) is not None
    return Needs(device=True, weights="train" if is_here else None)


def _foresee(call: PlannedCall[TrainingIdentity]) -> Foresight:
    """How many updates it makes, at most where its dataset is not there yet; and which rows it would leave out."""
    training, is_known = call.identity.training, call.is_known("dataset")
    num_rows = DATASET.counts_of(call.store, call.inputs["dataset"]).train_rows if is_known else _most_rows(call)
    num_updates, most = count_updates(num_rows, training), "" if is_known else "at most "
    updates = f"{most}{num_updates:,} updates of {training.batch_size} rows each, from {most}{num_rows:,} rows"
    short = describe_short_training(num_updates, training)
    warnings = [_foresee_left_out(call), f"warning: {call.label}: {short}" if short else ""]
    return Foresight(lines=(f"{call.label}: {updates}",), warnings=tuple(line for line in warnings if line))


def _most_rows(call: PlannedCall[TrainingIdentity]) -> int:
    """Rows if each episode took all steps that it may, each rollout was corrected, and none was held out."""
    config = call.config
    rows = [config.demonstrations.num_episodes * config.environment.max_steps]
    for number in range(1, (call.iteration or 0) + 1):
        given = given_corrections(config, call.store, number)
        most = config.rollout.num_episodes * config.environment.max_steps
        rows.append(most if given is None else CORRECTION.counts_of(call.store, given).steps)
    return rows[-1] if config.dataset.aggregate == "latest" else sum(rows)


def _foresee_left_out(call: PlannedCall[TrainingIdentity]) -> str:
    """What a sample of its rows says of those that are too long to train on; "" where nothing is known or left out."""
    # Our own students are made for these lengths, and not worth a second's wait.
    if call.config.student.model in (TINY, BUNDLED) or not call.is_known("dataset", "model"):
        return ""
    from leap_core.students.encoding import load_tokenizer
    from leap_core.students.loading import tokenizer_source
    from leap_core.trainers.rows import read_rows

    model = locate_model(call.store.path(call.inputs["model"]), call.config.student.model)
    rows, limit = call.store.path(call.inputs["dataset"]) / TRAIN_ROWS, call.config.training.max_truncated_share
    length = call.identity.training.max_length
    read = read_rows(rows, load_tokenizer(tokenizer_source(model)), length, most=_MOST_READ)
    if not read.loss_in_words:
        return ""
    end = f". That is more than training.max_truncated_share = {limit}, so it would fail"
    return f"{call.label}: of a sample, {read.loss_in_words}{end if read.share_left_out > limit else ''}."


def _effort(call: PlannedCall[TrainingIdentity]) -> Effort:
    """Rows, each as often as there are passes over it: as many as the dataset has, or as others have had."""
    if call.is_known("dataset"):
        num_rows, is_at_most = float(DATASET.counts_of(call.store, call.inputs["dataset"]).train_rows), False
    else:
        num_rows, is_at_most = _rows_to_come(call)
    return Effort(
        num=num_rows * call.identity.training.epochs,
        alike=_what_a_row_takes(call.identity),
        activity="train",
        is_at_most=is_at_most,
    )


def _rows_to_come(call: PlannedCall[TrainingIdentity]) -> tuple[float, bool]:
    """Rows if episodes have as many as the newest of their kind; as many as they may where there are none, and True."""
    config, most = call.config, call.config.environment.max_steps
    lengths = [steps_an_episode(call, DEMONSTRATIONS.name)]
    lengths += [steps_an_episode(call, CORRECTION.name)] * (call.iteration or 0)
    numbers = [config.demonstrations.num_episodes, *[config.rollout.num_episodes] * (call.iteration or 0)]
    rows = [number * (length or most) for number, length in zip(numbers, lengths, strict=True)]
    used = slice(-1, None) if config.dataset.aggregate == "latest" else slice(None)
    return min(sum(rows[used]), _most_rows(call)), None in lengths[used]


def _effort_of(record: ArtifactRecord) -> Effort:
    identity = TrainingIdentity.model_validate(record.config)
    counts = TrainingCounts.read(record.counts, record.ref.id)
    return Effort(num=counts.rows * identity.training.epochs, alike=_what_a_row_takes(identity), activity="train")


def _what_a_row_takes(identity: TrainingIdentity) -> JsonValue:
    """The settings that decide how long a row takes."""
    training = identity.training
    return [
        *(training.trainer, training.method, training.precision, training.max_length, identity.micro_batch_size),
        training.lora.model_dump(mode="json") if training.method == "lora" else None,
        dict(training.params),
    ]


TRAINING = Stage(
    name="training",
    version=3,
    work=_train,
    counts=TrainingCounts,
    needs=_needs,
    foresee=_foresee,
    effort=_effort,
    effort_of=_effort_of,
)
