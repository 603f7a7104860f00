"""What `leap plan` says of rows that are too long to train on, where the dataset is there already."""

from leap_core.method.tables import TRAIN_ROWS
from leap_core.students.weights import BUNDLED, TINY, locate_model
from tasks.stage import Run, StageOutcome, is_pending
from tasks.training import TRAINING

_MOST_READ = 200
"""Rows that are turned into tokens: enough to see a share of one in twenty."""


def foresee_left_out(run: Run) -> list[str]:
    """One line for each planned training that would leave rows out, by a sample of its rows.

    Raises:
        LeapError: rows or tokenizer cannot be read.
    """
    if run.config.student.model in (TINY, BUNDLED):  # made for these lengths, and not worth a second's wait
        return []
    lines = [_foresee(run, outcome) for outcome in run.outcomes if _can_be_foreseen(outcome)]
    return [line for line in lines if line]


def _can_be_foreseen(outcome: StageOutcome) -> bool:
    is_to_run = outcome.stage == TRAINING.name and outcome.state == "run"
    return is_to_run and not any(is_pending(ref) for ref in outcome.inputs.values())


def _foresee(run: Run, outcome: StageOutcome) -> str:
    from leap_core.students.encoding import load_tokenizer
    from leap_core.students.loading import tokenizer_source
    from leap_core.trainers.rows import read_rows

    training = run.config.training
    model = locate_model(run.store.path(outcome.inputs["model"]), run.config.student.model)
    rows = run.store.path(outcome.inputs["dataset"]) / TRAIN_ROWS
    read = read_rows(rows, load_tokenizer(tokenizer_source(model)), training.max_length, most=_MOST_READ)
    if not read.loss_in_words:
        return ""
    is_too_much = read.share_left_out > training.max_truncated_share
    end = f". That is more than training.max_truncated_share = {training.max_truncated_share}, so it would fail"
    return f"{outcome.label}: of a sample, {read.loss_in_words}{end if is_too_much else ''}."
