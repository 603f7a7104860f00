"""The configuration of an experiment: one pydantic model a section, loaded from a TOML preset plus overrides.

Below the preset lie the defaults of its environment's folder (`defaults.toml`), and below these the ones here.

Every section but `[execution]` and the experiment's name bears identity: it goes into the keys of the stages that
use it. `[execution]` holds what may change how fast or where a result is made, never the result.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, model_validator

from leap_core.errors import ConfigError
from leap_core.settings.addresses import what_is_wrong_with
from leap_core.settings.bounds import (
    Actions,
    Device,
    Episodes,
    Epochs,
    LearningRate,
    Pattern,
    Rows,
    Seconds,
    Seed,
    Share,
    ShareOfState,
    Specs,
    SpecsOrNone,
    Temperature,
    Text,
    Tokens,
    Within,
)
from leap_core.settings.files import add_defaults, check_values, read_json, read_toml
from leap_core.settings.gate import GateConfig
from leap_core.settings.section import Section as Section
from leap_core.settings.validation import check_keys, shorten, validate
from leap_core.settings.validation import read_params as read_params
from leap_core.types import Split


class EnvironmentConfig(Section):
    """Which environment, on which data."""

    name: Text = Field("alfworld", description="Kind of environment.")
    data: Text | None = Field(
        None, description="Directory of downloaded data; none: games are generated from the experiment's seed."
    )
    max_steps: Actions = Field(20, description="Limit on actions in one episode.")
    num_train: Specs = Field(600, description="Specs in the train split (generated, or the first so many).")
    num_dev: SpecsOrNone = Field(100, description="Specs in the dev split.")
    num_test: SpecsOrNone = Field(200, description="Specs in the test split.")
    params: dict[str, JsonValue] = Field(default_factory=dict, description="Settings of this environment alone.")

    def num_specs(self, split: Split) -> int:
        """How many specs a split has, at most."""
        return {"train": self.num_train, "dev": self.num_dev, "test": self.num_test}[split]


PrecisionSetting = Literal["auto", "fp32", "bf16"]


class StudentConfig(Section):
    """The policy that plays and learns."""

    kind: Text = Field("hf", description="Kind of student.")
    model: Text = Field(
        "tiny", description="Path or hub id of a causal LM; 'bundled', 'smollm2-135m', or 'tiny' for a new small one."
    )
    prompt: Text = Field("default", description="Prompt set below leap_core/envs/<environment>/prompts/student/.")
    temperature: Temperature = Field(0.3, description="Sampling temperature; 0 is greedy.")
    top_p: Annotated[float, Within(0.001, 1, "a share of all probability")] = Field(
        1.0, description="Sample from the most probable tokens that together have this share; 1: from all."
    )
    max_new_tokens: Tokens = Field(256, description="Limit on tokens of one reply.")
    out_of_context: Literal["fail", "truncate"] = Field(
        "fail",
        description="Where a prompt is longer than the model reads: the episode ends with a score of 0, or the prompt "
        "is cut from the left (reference code).",
    )
    serve: Literal["vllm"] | None = Field(None, description="Serve the weights for the student 'openai' with this.")
    precision: PrecisionSetting = Field(
        "auto", description="In play; auto: bf16 where the device computes in it natively, else fp32."
    )
    constrain: bool = Field(
        False,
        description="Constrain commands to the admissible ones while decoding: token by token, so that what is ruled "
        "out gives its probability to other tokens, not to other commands.",
    )
    params: dict[str, JsonValue] = Field(default_factory=dict, description="Settings of this kind of student alone.")


Aggregate = Literal["equal", "equal-rows", "all", "latest"]
"""How the rows of iterations 0..i become one dataset."""


class DemonstrationConfig(Section):
    """The expert episodes that behaviour cloning (iteration 0) starts from."""

    num_episodes: Episodes = Field(200, description="How many episodes, one for each of the first train specs.")
    level: ShareOfState = Field(
        100, description="Share of the privileged state the expert may use; 100 walks straight."
    )
    annotate_with: Text | None = Field(
        None, description="Model at the teacher's endpoint that writes the reasons anew; none: the expert's own."
    )


class RolloutConfig(Section):
    """How the student's episodes are collected for correction."""

    num_episodes: Episodes = Field(200, description="Episodes in one iteration, on train specs.")
    temperature: Temperature | None = Field(None, description="Sampling temperature; none: the student's.")
    max_consecutive_invalid: Actions | None = Field(
        3, description="End an episode after so many invalid actions in a row; none: never."
    )
    max_error_share: Share = Field(0.05, description="Fail the stage above this share of failed episodes.")


class CorrectionConfig(Section):
    """Who corrects which episodes, and how much of the privileged state may guide the corrections."""

    teacher: Text = Field("oracle", description="Kind of teacher.")
    threshold: Share = Field(0.0, description="Episodes with a score at or below this are corrected.")
    level: ShareOfState = Field(
        0, description="How far the privileged state may guide corrections, in percent (paper: 50)."
    )
    keep_suspect: bool = Field(False, description="Correct episodes, too, whose score may have been steered.")
    check_leaks: bool = Field(
        True, description="Reject reasons that give the hidden state away; off only to measure what the gate does."
    )
    max_error_share: Share = Field(0.05, description="Fail the stage above this share of failed episodes.")
    max_reject_share: Share = Field(0.5, description="Fail the stage above this share of rejected steps.")
    params: dict[str, JsonValue] = Field(default_factory=dict, description="Settings of this kind of teacher alone.")


class DatasetConfig(Section):
    """How demonstrations and corrections become rows to train on."""

    aggregate: Aggregate = Field(
        "equal",
        description="Of iterations 0..i: as many episodes of each as the smallest has; as many rows of each "
        "(equal-rows, the reference code's way); all; only the latest.",
    )
    validation_fraction: Annotated[float, Within(1e-6, 0.9, "the rest is trained on", or_zero=True)] = Field(
        0.15, description="Share of specs whose episodes are held out for validation, in every iteration the same ones."
    )
    kept_steps: bool | None = Field(
        None,
        description="Train on steps that the teacher left as the student made them; none: unless the teacher is asked "
        "to leave alone all that is good enough (`Suite.sparing`), as in the reference code.",
    )
    repeated_steps: bool = Field(
        True, description="Train on steps that teach the same answer to the same observation again in an episode."
    )
    corrections: Annotated[tuple[Text, ...], Field(strict=False, max_length=1000)] = Field(
        (), description="Correction artifacts to use for iterations 1, 2, ... in place of rolling out and correcting."
    )


class LoraSection(Section):
    """Low-rank adapters (paper: rank 128, alpha 64, dropout 0.05)."""

    rank: Annotated[int, Within(1, 8192, "beyond the width of a layer an adapter is no low rank")] = Field(
        128, description="Rank of the adapter's matrices."
    )
    alpha: Annotated[int, Within(1, 2**16, "updates are scaled by alpha / rank")] = Field(
        64, description="Scale of the adapter's updates, as a multiple of 1 / rank."
    )
    dropout: Annotated[float, Within(1e-6, 0.95, "what is dropped is not learned from", or_zero=True)] = Field(
        0.05, description="Share of the adapter's inputs that are dropped while training."
    )
    target_modules: Pattern | Annotated[tuple[Text, ...], Field(strict=False, min_length=1, max_length=1000)] = Field(
        "all-linear", description="Names of modules, or one regular expression for them."
    )


class TrainingConfig(Section):
    """Fine-tuning. The defaults are the paper's."""

    trainer: Text = Field("sft", description="Kind of trainer.")
    method: Literal["full", "lora"] = Field("lora", description="Train all weights, or a low-rank adapter.")
    lora: LoraSection = LoraSection()
    learning_rate: LearningRate = Field(3e-5, description="Highest learning rate, reached after the warm-up.")
    lr_scheduler: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="How the learning rate falls after the warm-up."
    )
    warmup_steps: Annotated[int, Within(0, 100_000, "no training has more steps to warm up for")] = Field(
        10, description="Updates over which the learning rate rises from 0."
    )
    warmup_share: Share | None = Field(None, description="Warm up for this share of all updates instead.")
    max_grad_norm: Annotated[float, Within(1e-6, 1e6, "gradients are scaled down to this norm")] = Field(
        0.3, description="Gradients with a larger norm are scaled down to it."
    )
    weight_decay: Annotated[float, Within(1e-9, 10, "more shrinks all weights to nothing", or_zero=True)] = Field(
        0.0, description="Decoupled weight decay of AdamW."
    )
    epochs: Epochs = Field(1.0, description="Passes over the rows in iterations 1, 2, ...")
    bootstrap_epochs: Epochs | None = Field(None, description="Passes in iteration 0; none: the same as epochs.")
    bootstrap_learning_rate: LearningRate | None = Field(None, description="Iteration 0; none: learning_rate.")
    batch_size: Rows = Field(8, description="Rows in one update, however they are packed.")
    max_length: Annotated[int, Within(16, 2**20, "no model reads more tokens at once")] = Field(
        4096, description="Longer rows, in tokens, are left out and counted."
    )
    max_truncated_share: Share = Field(0.1, description="Fail the stage if more rows are left out so.")
    precision: PrecisionSetting = Field(
        "auto", description="While training, as `student.precision`; weights that change are kept in fp32."
    )
    keep_best_every: Annotated[int, Within(1, 10**6, "so many updates pass between two looks")] | None = Field(
        None,
        description="Look at the validation loss after every so many updates, and keep the weights where it was "
        "lowest (reference code: 200); none: keep the last ones.",
    )
    warm_start: bool = Field(True, description="Start from the previous iteration's model, not from the base.")
    params: dict[str, JsonValue] = Field(default_factory=dict, description="Settings of this kind of trainer alone.")


class EvaluationConfig(Section):
    """How a model is judged."""

    temperature: Temperature | None = Field(None, description="Sampling temperature; none: the student's.")
    max_steps: Actions | None = Field(None, description="Limit on actions in an episode; none: the environment's.")
    confidence: Annotated[float, Within(0.01, 0.9999, "nothing is certain")] = Field(
        0.95, description="Of the intervals (Wilson for rates)."
    )


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SECRET_WORDS = ("key", "token", "secret", "password", "sig")


class EndpointConfig(Section):
    """An OpenAI-compatible endpoint: where it is, how fast it may be asked, what it may cost. Never the key itself."""

    base_url: Text | None = Field(None, description="Address up to and with /v1; none: OPENAI_BASE_URL, else OpenAI's.")
    api_key_env: Text = Field("OPENAI_API_KEY", description="Environment variable that holds the key.")
    api_key_secret: Text | None = Field(None, description="Prefect Secret block that holds the key instead.")
    key_header: Text | None = Field(
        None, description="Header for the key where it is not 'Authorization' (Azure: api-key)."
    )
    query: dict[Text, Text] = Field(default_factory=dict, description="Added to every address (Azure: api-version).")
    max_concurrency: Annotated[int, Within(1, 4096, "each is a connection and a thread")] = Field(
        32, description="Requests on their way at once."
    )
    requests_per_minute: Annotated[int, Within(1, 10**7, "no endpoint answers more")] | None = Field(
        None, description="Never more requests than that in any minute."
    )
    tokens_per_minute: Annotated[int, Within(1, 10**12, "no endpoint answers more")] | None = Field(
        None, description="Nor more tokens, sent and received."
    )
    timeout_s: Seconds = Field(180.0, description="Give a request up after that, and try again.")
    max_tries: Annotated[int, Within(1, 1000, "waits between tries grow")] = Field(
        8, description="Tries of one request before its episode counts as failed."
    )
    max_outage_s: Annotated[float, Within(0.001, 30 * 86_400, "seconds: at most a month", or_zero=True)] = Field(
        900.0, description="Wait so long for an endpoint that is out of reach and answered before."
    )
    budget_usd: Annotated[float, Within(1e-6, 10**7, "dollars: leave it out for none")] | None = Field(
        None, description="Dollars that the experiment may spend here, all told."
    )
    budget_tokens: Annotated[int, Within(1, 10**13, "leave it out for none")] | None = Field(
        None, description="Tokens, sent and received, likewise."
    )
    prices: Text | None = Field(None, description="Price file; none: leap_core/chat/prices.toml.")
    batch: bool = Field(False, description="Use the Batch API: answers within a day, at half the price.")
    batch_poll_s: Seconds = Field(60.0, description="Look so often whether a batch is done.")

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
    """How to run: where and how fast, never what comes out. So nothing here bears identity, but `micro_batch_size`."""

    device: Device = Field("auto", description="torch device; auto: cuda if there is one, else cpu.")
    batch_size: Rows = Field(64, description="Episodes that generate together.")
    shard_size: Episodes = Field(64, description="Episodes in one shard, the unit of resuming.")
    env_workers: Annotated[int, Within(0, 256, "each is a process")] = Field(
        1, description="Worker processes for environments; 0: in this process."
    )
    micro_batch_size: Rows = Field(
        8,
        description="Rows on the device at once while training. Sums are rounded by it, so trainings are keyed by it.",
    )
    save_every_steps: Annotated[int, Within(1, 10**6, "what is not saved is lost in a crash")] = Field(
        50, description="Optimizer steps between training checkpoints."
    )
    num_threads: Annotated[int, Within(1, 1024, "no machine has more cores")] | None = Field(
        None, description="CPU threads of torch; none: all cores."
    )
    teacher: EndpointConfig = Field(EndpointConfig(), description="Where a teacher behind an endpoint is asked.")
    student: EndpointConfig = Field(EndpointConfig(), description="Where a student behind an endpoint is asked.")
    journal: Text | None = Field(None, description="File that keeps every reply; none: one for all of the home.")

    def endpoint(self, name: EndpointName) -> EndpointConfig:
        """The settings of one endpoint."""
        return self.teacher if name == "teacher" else self.student


MOST_ITERATIONS = 1000


class LeapConfig(Section):
    """A whole experiment."""

    experiment: str = Field(
        "leap", pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=100, description="Name; lower case, digits, - and _."
    )
    seed: Seed = Field(0, description="Seed of games, samples, splits and training.")
    num_iterations: Annotated[int, Within(0, MOST_ITERATIONS, "each plays and trains anew")] = Field(
        3, description="LEAP iterations after behaviour cloning."
    )
    environment: EnvironmentConfig = EnvironmentConfig()
    student: StudentConfig = StudentConfig()
    demonstrations: DemonstrationConfig = DemonstrationConfig()
    rollout: RolloutConfig = RolloutConfig()
    correction: CorrectionConfig = CorrectionConfig()
    gate: GateConfig = GateConfig()
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
    """Read a TOML preset, apply `a.b=value` overrides, and add the defaults of its environment.

    A value is read as JSON where it is JSON (`3`, `true`, `null`, `["x"]`), else as a plain string.

    Raises:
        ConfigError: no such file, not TOML, nothing in it, a bad override, an unknown key (with the nearest known one),
            a bad value.
    """
    values = read_toml(preset, "the preset", "Give a TOML file's path, or a name without `.toml`.")
    if not values:
        raise ConfigError(
            f"The preset {preset} sets nothing. Write settings into it, or copy one of flows/presets, such as "
            "demo.toml.",
            item=str(preset),
        )
    for override in overrides:
        apply_override(values, override)
    return parse_config(add_defaults(values, EnvironmentConfig().name))


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set one `a.b=value` in `values`; raise ConfigError where it has no `=`, or a part of its path is no section."""
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        advice = "is not of the form section.key=value, e.g. training.epochs=2"
        raise ConfigError(f"Override {shorten(override)} {advice}.", item=override)
    value = read_json(text, f"Override of {shorten(path)}")
    target = values
    for key in keys[:-1]:
        target = target.setdefault(key, {})
        if not isinstance(target, dict):
            raise ConfigError(f"Override {shorten(override)}: {key!r} is a value, not a section.", item=path.strip())
    target[keys[-1]] = value


def parse_config(values: Mapping[str, Any]) -> LeapConfig:
    """Validate a nested dict; a ConfigError names the first bad key, what was expected, and what came."""
    check_values(values, "")
    check_keys(values, LeapConfig)
    return validate(values, LeapConfig, "")
