"""The settings that stages' results depend on, as types: what is here is in the key, what is not is not.

Paths never are: data and models enter keys through the digests of their artifacts.
"""

from pydantic import JsonValue

from leap_core.config import EnvironmentConfig, Section, StudentConfig
from leap_core.envs.base import find_suite
from leap_core.students.base import computes_here
from leap_core.students.precision import Precision, resolve_precision


class PlayedEnvironment(Section):
    """What of the environment decides how an episode goes, given its spec. `version` is that of its code."""

    name: str
    max_steps: int
    params: dict[str, JsonValue]
    version: int = 1

    @classmethod
    def of(cls, config: EnvironmentConfig) -> "PlayedEnvironment":
        """Take over the fields of `config` that bear identity once specs are made."""
        return cls(
            name=config.name,
            max_steps=config.max_steps,
            params=config.params,
            version=find_suite(config.name).version,
        )


class PlayedStudent(Section):
    """What of the student, beside its weights, decides its replies."""

    kind: str
    prompt: str
    temperature: float
    top_p: float
    max_new_tokens: int
    out_of_context: str
    constrain: bool
    params: dict[str, JsonValue]
    precision: Precision = "fp32"

    @classmethod
    def of(cls, config: StudentConfig, temperature: float | None, device: str) -> "PlayedStudent":
        """Take over the fields of `config` that bear identity once the model is made.

        The precision is what it stands for on `device`; where the weights are elsewhere, their server decides it.
        """
        return cls(
            precision=resolve_precision(config.precision, device) if computes_here(config) else "fp32",
            kind=config.kind,
            prompt=config.prompt,
            temperature=config.temperature if temperature is None else temperature,
            top_p=config.top_p,
            max_new_tokens=config.max_new_tokens,
            out_of_context=config.out_of_context,
            constrain=config.constrain,
            params=config.params,
        )


class PlayedIdentity(Section):
    """What every stage that plays episodes depends on."""

    environment: PlayedEnvironment
    student: PlayedStudent
    iteration: int
    seed: int
