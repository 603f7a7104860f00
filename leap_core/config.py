"""The configuration of an experiment: one pydantic model a section, loaded from a TOML preset plus overrides.

Every section but `[execution]` and the experiment's name bears identity: it goes into the keys of the stages that
use it. `[execution]` holds what may change how fast or where a result is made, never the result.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from leap_core.addresses import what_is_wrong_with
from leap_core.errors import ConfigError, UnknownNameError
from leap_core.types import Level


class Section(BaseModel):
    """A part of the configuration. Unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


SectionT = TypeVar("SectionT", bound=Section)


class EnvironmentConfig(Section):
    """Which environment, on which data."""

    name: str = Field("alfworld", description="Kind of environment.")
    engine: Literal["auto", "native", "textworld"] = Field("auto", description="Which engine plays the games.")
    data: str | None = Field(
        None, description="Directory of downloaded data; none: games are generated from the experiment's seed."
    )
    max_steps: int = Field(20, ge=1, description="Limit on actions in one episode.")
    num_train: int = Field(600, ge=1, description="Specs in the train split (generated, or the first so many).")
    num_dev: int = Field(100, ge=0, description="Specs in the dev split.")
    num_test: int = Field(200, ge=0, description="Specs in the test split.")
    params: dict[str, JsonValue] = Field(default_factory=dict, description="Settings of this environment alone.")


class StudentConfig(Section):
    """The policy that plays and learns."""

    kind: str = Field("hf", description="Kind of student.")
    model: str = Field("tiny", description="Path or hub id of a causal LM; 'bundled', or 'tiny' for a new small one.")
    prompt: str = Field("default", description="Name of the prompt set below leap_core/prompts/<environment>/.")
    temperature: float = Field(0.3, ge=0, description="Sampling temperature; 0 is greedy.")
    max_new_tokens: int = Field(256, ge=1, description="Limit on tokens of one reply.")
    serve: Literal["vllm"] | None = Field(None, description="Serve the weights for the student 'openai' with this.")
    constrain: bool = Field(False, description="Constrain commands to the admissible ones while decoding.")
    params: dict[str, JsonValue] = Field(default_factory=dict, description="Settings of this kind of student alone.")


class DemonstrationConfig(Section):
    """The expert episodes that behaviour cloning (iteration 0) starts from."""

    num_episodes: int = Field(200, ge=1, description="How many episodes, one for each of the first train specs.")
    level: Level = Field(100, description="Share of the privileged state the expert may use; 100 walks straight.")
    annotate_with: str | None = Field(
        None, description="Model at the teacher's endpoint that writes the reasons anew; none: the expert's own."
    )


class RolloutConfig(Section):
    """How the student's episodes are collected for correction."""

    num_episodes: int = Field(200, ge=1, description="Episodes in one iteration, on train specs.")
    temperature: float | None = Field(None, ge=0, description="Sampling temperature; none: the student's.")
    max_consecutive_invalid: int | None = Field(
        3, ge=1, description="End an episode after so many invalid actions in a row; none: never."
    )
    max_error_share: float = Field(0.05, ge=0, le=1, description="Fail the stage above this share of failed episodes.")


class CorrectionConfig(Section):
    """Who corrects which episodes, and how much of the privileged state may guide the corrections."""

    teacher: str = Field("oracle", description="Kind of teacher.")
    threshold: float = Field(0.0, ge=0, le=1, description="Episodes with a score at or below this are corrected.")
    level: Level = Field(0, description="How far the privileged state may guide corrections, in percent (paper: 50).")
    max_error_share: float = Field(0.05, ge=0, le=1, description="Fail the stage above this share of failed episodes.")
    max_reject_share: float = Field(0.5, ge=0, le=1, description="Fail the stage above this share of rejected steps.")
    params: dict[str, JsonValue] = Field(default_factory=dict, description="Settings of this kind of teacher alone.")


class DatasetConfig(Section):
    """How demonstrations and corrections become rows to train on."""

    aggregate: Literal["equal", "all", "latest"] = Field(
        "equal", description="Of iterations 0..i: equal shares, cut to the smallest (paper); all; only the latest."
    )
    validation_fraction: float = Field(0.15, ge=0, lt=1, description="Share of episodes held out for validation.")
    corrections: tuple[str, ...] = Field(
        (), description="Correction artifacts to use for iterations 1, 2, ... in place of rolling out and correcting."
    )


class LoraSection(Section):
    """Low-rank adapters (paper: rank 128, alpha 64, dropout 0.05)."""

    rank: int = Field(128, ge=1)
    alpha: int = Field(64, ge=1)
    dropout: float = Field(0.05, ge=0, lt=1)
    target_modules: str | tuple[str, ...] = Field("all-linear")


class TrainingConfig(Section):
    """Fine-tuning. The defaults are the paper's."""

    trainer: str = Field("sft", description="Kind of trainer.")
    method: Literal["full", "lora"] = Field("lora", description="Train all weights, or a low-rank adapter.")
    lora: LoraSection = LoraSection()
    learning_rate: float = Field(3e-5, gt=0)
    lr_scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_steps: int = Field(10, ge=0)
    max_grad_norm: float = Field(0.3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    epochs: float = Field(1.0, gt=0, description="Passes over the rows in iterations 1, 2, ...")
    bootstrap_epochs: float | None = Field(None, gt=0, description="Passes in iteration 0; none: the same as epochs.")
    bootstrap_learning_rate: float | None = Field(None, gt=0, description="Iteration 0; none: learning_rate.")
    batch_size: int = Field(8, ge=1, description="Rows (or packed episodes) in one optimizer step.")
    max_length: int = Field(4096, ge=16, description="Longer rows, in tokens, are left out and counted.")
    pack_episodes: bool = Field(
        True, description="Train all steps of an episode in one sequence that shares their common prefix."
    )
    precision: Literal["fp32", "bf16"] = "bf16"
    warm_start: bool = Field(True, description="Start from the previous iteration's model, not from the base.")


class EvaluationConfig(Section):
    """How a model is judged."""

    temperature: float | None = Field(None, ge=0, description="Sampling temperature; none: the student's.")
    max_steps: int | None = Field(None, ge=1, description="Limit on actions in an episode; none: the environment's.")
    confidence: float = Field(0.95, gt=0, lt=1, description="Of the intervals (Wilson for rates).")


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SECRET_WORDS = ("key", "token", "secret", "password", "sig")


class EndpointConfig(Section):
    """An OpenAI-compatible endpoint: where it is, how fast it may be asked, what it may cost. Never the key itself."""

    base_url: str | None = Field(None, description="Address up to and with /v1; none: OPENAI_BASE_URL, else OpenAI's.")
    api_key_env: str = Field("OPENAI_API_KEY", description="Environment variable that holds the key.")
    api_key_secret: str | None = Field(None, description="Prefect Secret block that holds the key instead.")
    key_header: str | None = Field(
        None, description="Header for the key where it is not 'Authorization' (Azure: api-key)."
    )
    query: dict[str, str] = Field(default_factory=dict, description="Added to every address (Azure: api-version).")
    max_concurrency: int = Field(32, ge=1, description="Requests on their way at once.")
    requests_per_minute: int | None = Field(None, ge=1, description="Never more requests than that in any minute.")
    tokens_per_minute: int | None = Field(None, ge=1, description="Nor more tokens, sent and received.")
    timeout_s: float = Field(180.0, gt=0, description="Give a request up after that, and try again.")
    max_tries: int = Field(8, ge=1, description="Tries of one request before its episode counts as failed.")
    max_outage_s: float = Field(
        900.0, ge=0, description="Wait so long for an endpoint that is out of reach and answered before."
    )
    budget_usd: float | None = Field(None, gt=0, description="Dollars that the experiment may spend here, all told.")
    budget_tokens: int | None = Field(None, ge=1, description="Tokens, sent and received, likewise.")
    prices: str | None = Field(None, description="Price file; none: leap_core/chat/prices.toml.")
    batch: bool = Field(False, description="Use the Batch API: answers within a day, at half the price.")
    batch_poll_s: float = Field(60.0, gt=0, description="Look so often whether a batch is done.")

    @model_validator(mode="after")
    def _address_holds_no_secret(self) -> "EndpointConfig":
        why = None if self.base_url is None else what_is_wrong_with(self.base_url)
        if why is not None:
            raise ValueError(f"base_url {why}")
        secret = next((name for name in self.query if any(word in name.lower() for word in _SECRET_WORDS)), None)
        if secret is not None:
            raise ValueError(f"query must not hold a secret, as {secret!r} seems to be: use api_key_env and key_header")
        if not _VARIABLE.fullmatch(self.api_key_env):
            raise ValueError(
                "api_key_env must be the name of an environment variable, such as OPENAI_API_KEY, never the key itself"
            )
        if self.key_header is not None and not _HEADER.fullmatch(self.key_header):
            raise ValueError("key_header must be the name of a header, such as api-key")
        return self


EndpointName = Literal["teacher", "student"]
"""Of a section of [execution]: where it is asked, and whose budget is spent."""


class ExecutionConfig(Section):
    """How to run. Nothing here bears identity: it changes where and how fast, never what comes out."""

    device: str = Field("auto", description="torch device; auto: cuda if there is one, else cpu.")
    batch_size: int = Field(64, ge=1, description="Episodes that generate together.")
    shard_size: int = Field(64, ge=1, description="Episodes in one shard, the unit of resuming.")
    env_workers: int = Field(1, ge=0, description="Worker processes for environments; 0: in this process.")
    micro_batch_size: int = Field(8, ge=1, description="Rows on the device at once while training.")
    save_every_steps: int = Field(50, ge=1, description="Optimizer steps between training checkpoints.")
    num_threads: int | None = Field(None, ge=1, description="CPU threads of torch; none: all cores.")
    teacher: EndpointConfig = Field(EndpointConfig(), description="Where a teacher behind an endpoint is asked.")
    student: EndpointConfig = Field(EndpointConfig(), description="Where a student behind an endpoint is asked.")
    journal: str | None = Field(None, description="File that keeps every reply; none: one for all of the home.")

    def endpoint(self, name: EndpointName) -> EndpointConfig:
        """The settings of one endpoint."""
        return self.teacher if name == "teacher" else self.student


class LeapConfig(Section):
    """A whole experiment."""

    experiment: str = Field("leap", pattern=r"^[a-z0-9][a-z0-9_-]*$", description="Name; lower case, digits, - and _.")
    seed: int = Field(0, ge=0)
    num_iterations: int = Field(3, ge=0, description="LEAP iterations after behaviour cloning.")
    environment: EnvironmentConfig = EnvironmentConfig()
    student: StudentConfig = StudentConfig()
    demonstrations: DemonstrationConfig = DemonstrationConfig()
    rollout: RolloutConfig = RolloutConfig()
    correction: CorrectionConfig = CorrectionConfig()
    dataset: DatasetConfig = DatasetConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    execution: ExecutionConfig = ExecutionConfig()

    @model_validator(mode="after")
    def _splits_are_large_enough(self) -> "LeapConfig":
        needed = max(self.demonstrations.num_episodes, self.rollout.num_episodes)
        if self.environment.data is None and needed > self.environment.num_train:
            raise ValueError(
                f"environment.num_train is {self.environment.num_train}, but demonstrations and rollouts need "
                f"{needed} train specs: raise environment.num_train, or lower the others"
            )
        return self


def load_config(preset: Path, overrides: Iterable[str] = ()) -> LeapConfig:
    """Read a TOML preset and apply `a.b=value` overrides.

    A value is read as JSON where it is JSON (`3`, `true`, `null`, `["x"]`), else as a plain string.

    Raises:
        ConfigError: no such file, not TOML, nothing in it, a bad override, an unknown key (with the nearest known one),
            a bad value.
    """
    try:
        values = tomllib.loads(preset.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"Cannot read the preset {preset}: {error.strerror}. Give a TOML file's path, or a name without `.toml`."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{preset} is not valid TOML: {error}. Mend the file.") from error
    if not values:
        raise ConfigError(
            f"The preset {preset} sets nothing. Write settings into it, or copy one of flows/presets, such as "
            "demo.toml."
        )
    for override in overrides:
        apply_override(values, override)
    return parse_config(values)


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set one `a.b=value` in the nested dict `values`.

    Raises:
        ConfigError: it has no `=`, or a part of the path is a value, not a section.
    """
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"Override {override!r} is not of the form section.key=value, e.g. training.epochs=2.")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text.strip()
    target = values
    for key in keys[:-1]:
        target = target.setdefault(key, {})
        if not isinstance(target, dict):
            raise ConfigError(f"Override {override!r}: {key!r} is a value, not a section.")
    target[keys[-1]] = value


def parse_config(values: Mapping[str, Any]) -> LeapConfig:
    """Validate a nested dict.

    Raises:
        ConfigError: names the first bad key, what was expected, what came.
    """
    check_keys(values, LeapConfig)
    try:
        return LeapConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        came = "" if first["type"] == "value_error" else f" (came: {first['input']!r})"
        prefix = f"Config {where}: " if where else "Config: "
        raise ConfigError(f"{prefix}{first['msg'].removeprefix('Value error, ')}{came}.") from error


def read_params(params: Mapping[str, JsonValue], kind: type[SectionT], path: str) -> SectionT:
    """Validate the settings of one kind of student or teacher; `path` is where they stand, as `correction.params`.

    Raises:
        ConfigError: names the key that is missing, unknown or wrong.
    """
    check_keys(params, kind, f"{path}.")
    try:
        return kind.model_validate(dict(params))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        came = "" if first["type"] == "missing" else f" (came: {first['input']!r})"
        raise ConfigError(f"Config {path}.{where}: {first['msg']}{came}.") from error


def check_keys(values: Mapping[str, Any], model: type[BaseModel], path: str = "") -> None:
    """Raise UnknownNameError, with the nearest known key, for any key that `model` does not have."""
    for key, value in values.items():
        if key not in model.model_fields:
            raise UnknownNameError("config key", path + key, [path + known for known in model.model_fields])
        inner = model.model_fields[key].annotation
        if isinstance(value, Mapping) and isinstance(inner, type) and issubclass(inner, BaseModel):
            check_keys(value, inner, f"{path}{key}.")
