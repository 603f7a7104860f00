"""From names in the configuration to objects: suites, students, teachers and trainers."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from leap_core.chat.messages import ForeseenRequest
from leap_core.config import EndpointName, EnvironmentConfig, ExecutionConfig, LeapConfig, StudentConfig
from leap_core.envs.base import Environment, Oracle, Suite, find_suite
from leap_core.envs.workers import EnvironmentPool
from leap_core.errors import ConfigError
from leap_core.prompts import load_prompts
from leap_core.registry import check_kind, load_kind
from leap_core.settings.gate import BASE, STUDENT
from leap_core.students import STUDENTS
from leap_core.students.base import ActRequest, Student, uses_weights
from leap_core.students.smollm2 import SMOLLM2
from leap_core.students.tiny import TinyParams
from leap_core.students.weights import TINY, find_model
from leap_core.teachers import TEACHERS
from leap_core.teachers.base import Teacher, TeacherSetup
from leap_core.teachers.judge import JudgeSetup, load_judge_prompts
from leap_core.teachers.oracle import OracleTeacher
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.teachers.windows import ModelLimits
from leap_core.trainers import TRAINERS
from leap_core.trainers.base import Trainer

if TYPE_CHECKING:
    from leap_core.students.openai import OpenAIStudent
    from leap_core.students.scoring import Scorer


def check_names(config: LeapConfig) -> None:
    """Make sure that every name and path in the configuration leads somewhere, before hours of work find out.

    Raises:
        LeapError: the first that does not; says what is known.
    """
    _check_levels(config, load_suite(config.environment).oracle())
    check_kind("student", config.student.kind, STUDENTS)
    if config.student.serve is not None and config.student.kind != "openai":
        raise ConfigError(f"student.serve is for the student 'openai', not for {config.student.kind!r}.")
    if config.student.kind == "openai" and config.student.model == TINY and config.student.serve is None:
        raise ConfigError(
            f"student.model is {TINY!r}, but the student 'openai' needs the name of a model at its endpoint. To judge "
            "one: --set student.model=gpt-4o. To train one: its weights, a directory or a hub id, which the "
            "endpoint has to serve by that name, and those of later iterations by their paths; or --set "
            "student.serve=vllm."
        )
    load_kind("teacher", config.correction.teacher, TEACHERS).check(config.correction, config.environment.name)
    load_kind("trainer", config.training.trainer, TRAINERS).check(config.training)
    load_prompts(config.environment.name, config.student.prompt)
    _check_measuring(config)
    if config.gate.judge is not None:
        load_judge_prompts(config.environment.name, config.gate.judge_prompt)
    if config.student.model == TINY:
        TinyParams.read(config.student.params)
    else:
        find_model(config.student.model)


def _check_measuring(config: LeapConfig) -> None:
    """Raise LeapError where corrections are to be measured by weights that are not here, or judged unmeasured."""
    measure = config.gate.measure
    if measure is None and config.gate.max_bits is not None:
        raise ConfigError(
            "gate.max_bits is set, but nothing measures bits: --set gate.measure=student, or leave gate.max_bits out.",
            item="gate.measure",
        )
    if measure in (STUDENT, BASE) and not uses_weights(config.student):
        raise ConfigError(
            f"gate.measure is {measure!r}, but the student's weights are behind an endpoint: name a model that can be "
            "loaded here, a directory or a hub id: --set gate.measure=DIRECTORY.",
            item="gate.measure",
        )
    if measure not in (None, STUDENT, BASE, SMOLLM2):
        find_model(measure)


def load_scorer(model: Path | str, config: LeapConfig) -> "Scorer":
    """Load the weights at `model` that say how likely replies are."""
    from leap_core.students.scoring import Scorer

    return Scorer(model, config.student, config.execution)


def _check_levels(config: LeapConfig, oracle: Oracle) -> None:
    """Raise ConfigError where the rule-based expert is to advise at a level at which it cannot."""
    asked = {"demonstrations.level": config.demonstrations.level}
    if config.correction.teacher == OracleTeacher.name:
        asked["correction.level"] = config.correction.level
    for key, level in asked.items():
        if level not in oracle.levels:
            raise ConfigError(
                f"{key} is {level}, but the rule-based expert of {config.environment.name!r} can advise at "
                f"{', '.join(map(str, oracle.levels))} only: --set {key}={oracle.levels[-1]}."
            )


def load_suite(config: EnvironmentConfig) -> Suite:
    """Return the suite of specs that `config.name` stands for."""
    return find_suite(config.name)(config)


def make_environment(config: EnvironmentConfig, root: Path) -> Environment:
    """Make one environment over the specs artifact at `root`; picklable by name, for worker processes."""
    return load_suite(config).make(root)


def open_pool(config: EnvironmentConfig, root: Path, num_workers: int) -> EnvironmentPool:
    """Open the pool of processes that episodes are played in."""
    return EnvironmentPool(partial(make_environment, config, root), num_workers)


def load_student(
    model: Path | str,
    config: StudentConfig,
    execution: ExecutionConfig,
    temperature: float,
    log: Callable[[str], None] = lambda line: None,
) -> Student:
    """Load the student whose weights are at `model`; `log` is called with what takes long."""
    student: Student = load_kind("student", config.kind, STUDENTS)(model, config, execution, temperature, log)
    return student


def set_up_teacher(
    config: LeapConfig, model: Path | str | None, log: Callable[[str], None] = lambda line: None
) -> TeacherSetup:
    """What the configured teacher is made from; `model` are the weights of the student that is corrected."""
    return TeacherSetup(
        config=config.correction,
        suite=load_suite(config.environment),
        execution=config.execution,
        student=config.student,
        experiment=config.experiment,
        model=model,
        log=log,
    )


def load_teacher(setup: TeacherSetup) -> Teacher:
    """Return the teacher that `setup.config.teacher` stands for."""
    teacher: Teacher = load_kind("teacher", setup.config.teacher, TEACHERS)(setup)
    return teacher


def digest_teacher_prompts(config: LeapConfig) -> str | None:
    """The sha256 of the templates that the configured teacher is asked with; None where it is not asked in words."""
    teacher: type[Teacher] = load_kind("teacher", config.correction.teacher, TEACHERS)
    return teacher.prompts_digest(config.correction, config.environment.name)


def asks_a_sparing_teacher(config: LeapConfig) -> bool:
    """Whether the configured teacher is asked, in words, to leave alone all that is good enough."""
    return find_suite(config.environment.name).sparing and digest_teacher_prompts(config) is not None


def pays_for_corrections_at(config: LeapConfig) -> EndpointName | None:
    """The endpoint at which the configured teacher is paid for; None where it asks none."""
    teacher: type[Teacher] = load_kind("teacher", config.correction.teacher, TEACHERS)
    return teacher.pays_at(config.student)


def foresee_corrections(
    config: LeapConfig, model: Path | str | None, episodes: Sequence[PrivilegedEpisode]
) -> list[ForeseenRequest]:
    """What the configured teacher would ask the endpoint that is paid, to correct these episodes of `model`."""
    teacher: type[Teacher] = load_kind("teacher", config.correction.teacher, TEACHERS)
    return teacher.foresee(set_up_teacher(config, model), episodes)


def foresee_replies(
    config: LeapConfig, model: Path | str, turns: Sequence[ActRequest], reply_tokens: int | None
) -> list[ForeseenRequest]:
    """What the configured student, which is paid for, would ask its endpoint; see `OpenAIStudent.foresee`."""
    student: type[OpenAIStudent] = load_kind("student", config.student.kind, STUDENTS)
    return student.foresee(model, config.student, turns, reply_tokens)


def set_up_judge(config: LeapConfig, model: str, log: Callable[[str], None] = lambda line: None) -> JudgeSetup:
    """What the configured judge is made from; `model` is `gate.judge`."""
    gate = config.gate
    return JudgeSetup(
        environment=config.environment.name,
        model=ModelLimits(
            model=model,
            temperature=gate.judge_temperature,
            max_tokens=gate.judge_max_tokens,
            context_tokens=gate.judge_context_tokens,
            max_attempts=gate.judge_max_attempts,
            setting="gate.judge_context_tokens",
        ),
        prompt=gate.judge_prompt,
        execution=config.execution,
        experiment=config.experiment,
        is_needed=gate.max_unjudged_share < 1,
        log=log,
    )


def load_trainer(name: str) -> Trainer:
    """Return the trainer of this name."""
    trainer: Trainer = load_kind("trainer", name, TRAINERS)()
    return trainer
