"""How fast the student's model plays and is trained on this machine: measured once, and kept in the home."""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from pydantic import JsonValue

from leap_core.config import LeapConfig
from leap_core.disk.canonical import canonical_json
from leap_core.disk.files import read_small, write_json
from leap_core.loading import load_trainer
from leap_core.store.provenance import machine_kind, package_versions
from leap_core.students.base import computes_here
from leap_core.students.model_files import WEIGHTS
from leap_core.students.weights import BUNDLED, TINY, find_model, has_weights, is_adapter, snapshot_of
from leap_core.types import Record
from tasks.base_student import BASE
from tasks.planned import Effort
from tasks.run import Run
from tasks.typical import Turns, typical_turns

SPEEDS = Path(".verified") / "speeds.json"
_VERSION = 1
"""Of how speeds are measured."""
_MOST_BYTES = 2_000_000_000
"""Of weights that a plan loads without being asked to."""
SpeedT = TypeVar("SpeedT", bound=Record)


def open_speeds(run: Run, measure: bool | None, log: Callable[[str], object]) -> "Speeds | None":
    """The speeds of the model that a plan begins with; None where it is not to be measured, or is not on this machine.

    `measure` None: neither our own students are, since they are there to be quick, nor models that take long to load.
    `log` is told before something is measured.
    """
    model = None if measure is False else _weights_of(run)
    if model is None or (measure is None and not _is_worth_it(run, model)):
        return None
    return Speeds(run, model, log)


def _weights_of(run: Run) -> Path | None:
    """Where the model is that a plan begins with, if it is on this machine and plays in a process of ours."""
    if not computes_here(run.config.student):
        return None
    model = run.placed_config().student.model
    base = next((outcome for outcome in run.outcomes if outcome.stage is BASE), None)
    if base is not None and base.key and model == TINY:
        return run.store.path(run.refs[base.key])
    if model == TINY:
        return None
    return find_model(model) or (snapshot_of(model) if has_weights(model) else None)


def _is_worth_it(run: Run, model: Path) -> bool:
    size = sum(path.stat().st_size for pattern in WEIGHTS for path in model.glob(pattern))
    is_own = run.config.student.model in (TINY, BUNDLED)
    return not is_own and not is_adapter(model) and size <= _MOST_BYTES


class Speeds:
    """Answers how long an effort of the student's model takes. What is not known yet is measured when it is asked for.

    `model` is where its weights are, `log` is told before something is measured.
    """

    def __init__(self, run: Run, model: Path, log: Callable[[str], object]) -> None:
        self._run, self._config, self._model, self._log = run, run.config, model, log
        self._path = run.store.home / SPEEDS
        self._tokenizer: Any = None
        self._typical: tuple[list[Turns], bool] | None = None

    def __call__(self, effort: Effort) -> tuple[float, str]:
        """Seconds for `effort`, and how fast the model is, in words.

        Raises:
            LeapError: the model cannot be loaded, or begun to be trained.
        """
        return self._training(effort) if effort.activity == "train" else self._playing(effort)

    def _playing(self, effort: Effort) -> tuple[float, str]:
        from leap_core.students.speed import PlayingSpeed, lengths_of, measure_playing

        config, execution = self._config, self._config.execution
        rows = min(execution.batch_size, effort.width)
        settings = [config.student.kind, rows, *_device(config)]
        execution = execution.with_(batch_size=rows)
        speed = self._kept(
            PlayingSpeed,
            f"how fast {rows} episodes are played",
            settings,
            lambda: measure_playing(self._model, config.student, execution),
        )
        lengths = lengths_of(self._load_tokenizer(), self._sample(), constrain=config.student.constrain)
        seconds = speed.seconds(effort.num, effort.width, lengths.prompt_tokens, lengths.reply_tokens)
        return seconds, f"{effort.num:,.0f} steps, {effort.num / seconds:.2g} in a second{self._doubt}"

    def _training(self, effort: Effort) -> tuple[float, str]:
        from leap_core.trainers.speed import TrainingSpeed, measure_training, tokens_of_rows

        config, execution, tokenizer = self._config.training, self._config.execution, self._load_tokenizer()
        speed = self._kept(
            TrainingSpeed,
            "how fast it is trained",
            [config.model_dump(mode="json"), execution.micro_batch_size, *_device(self._config)],
            lambda: measure_training(load_trainer(config.trainer), self._model, config, execution, tokenizer),
        )
        tokens = effort.num * tokens_of_rows(tokenizer, self._sample(), config, execution.micro_batch_size)
        return speed.seconds(tokens), f"{tokens:,.0f} tokens, {speed.tokens_a_s:,.0f} in a second{self._doubt}"

    def _kept(self, kind: type[SpeedT], what: str, settings: Sequence[Any], measure: Callable[[], SpeedT]) -> SpeedT:
        """The speed that was measured with these settings; else measure it, and keep it."""
        base = next((one.identity for one in self._run.outcomes if one.stage is BASE), None)
        model = None if base is None else base.model_dump(mode="json")
        content = [_VERSION, kind.__name__, machine_kind(), package_versions(), model, list(settings)]
        key = sha256(canonical_json(content).encode()).hexdigest()
        known = self._read()
        if key not in known:
            self._log(f"Measuring {what} ...")
            known = self._read() | {key: measure().model_dump(mode="json")}
            write_json(self._path, known)
        return kind.model_validate(known[key])

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(read_small(self._path)))
        except (OSError, ValueError, TypeError):
            return {}  # without the file, or if it is damaged, all is measured anew

    def _load_tokenizer(self) -> Any:
        from leap_core.students.encoding import load_tokenizer
        from leap_core.students.loading import tokenizer_source

        self._tokenizer = self._tokenizer or load_tokenizer(tokenizer_source(self._model))
        return self._tokenizer

    def _sample(self) -> list[Turns]:
        if self._typical is None:
            self._typical = typical_turns(self._run.planned_call(self._run.outcomes[0]))
        return self._typical[0]

    @property
    def _doubt(self) -> str:
        return ", episodes of a guessed length" if self._typical and self._typical[1] else ""


def _device(config: LeapConfig) -> list[JsonValue]:
    """Settings that decide how fast a process computes."""
    return [config.execution.device, config.execution.num_threads]
