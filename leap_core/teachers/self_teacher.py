"""The teacher `self`: the student's own weights, shown the hidden state (paper, self-improvement)."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field, JsonValue

from leap_core.chat.messages import ForeseenRequest
from leap_core.config import CorrectionConfig, EndpointName, Section, StudentConfig, read_params
from leap_core.disk.canonical import sha256_text
from leap_core.errors import ConfigError
from leap_core.prompts import PromptSet, load_prompts, read_reply
from leap_core.registry import load_kind
from leap_core.settings.bounds import Temperature, Text
from leap_core.students import STUDENTS
from leap_core.students.base import ActReply, ActRequest, Student, replies_are_paid
from leap_core.teachers.base import Teacher, TeacherSetup, check_same_spec, taught
from leap_core.teachers.privilege import PrivilegedEpisode, shuffle_privilege
from leap_core.teachers.prompts import TeacherPrompts, load_teacher_prompts
from leap_core.types import Correction, Level, Message, StepCorrection, Usage


class SelfTeacherParams(Section):
    """Settings of this teacher, `correction.params`. All of them bear identity."""

    prompt: Text = Field("default", description="Prompt set below leap_core/envs/<environment>/prompts/teacher/.")
    temperature: Temperature = Field(0.0, description="Sampling temperature; 0 is greedy.")
    shuffled_privilege: bool = Field(False, description="Control: show each episode the hidden state of another one.")

    @classmethod
    def read(cls, params: dict[str, JsonValue]) -> "SelfTeacherParams":
        """Validate `correction.params`; raise ConfigError where a key is unknown, or a value is wrong."""
        return read_params(params, cls, "correction.params")


@dataclass(frozen=True, kw_only=True)
class SelfRequests:
    """Makes the requests of this teacher."""

    prompts: PromptSet
    own_prompts: TeacherPrompts
    level: Level
    constrain: bool

    @classmethod
    def of(cls, setup: TeacherSetup) -> "SelfRequests":
        """Load the prompts; raise ConfigError or UnknownNameError where a setting is wrong."""
        return cls(
            prompts=load_prompts(setup.suite.name, setup.student.prompt),
            own_prompts=load_teacher_prompts(setup.suite.name, SelfTeacherParams.read(setup.config.params).prompt),
            level=setup.config.level,
            constrain=setup.student.constrain,
        )

    def for_episodes(self, episodes: Sequence[PrivilegedEpisode]) -> list[ActRequest]:
        """One for each step, in order."""
        return [self._request(one, index) for one in episodes for index in range(len(one.trajectory.steps))]

    def _request(self, episode: PrivilegedEpisode, index: int) -> ActRequest:
        trajectory = episode.trajectory
        step = trajectory.steps[index]
        messages = list(self.prompts.student_messages(trajectory.spec, trajectory.steps[:index], step.observation))
        preface = self.own_prompts.beside(episode.privileged, self.level)
        if preface:
            messages[-1] = Message(role="user", content=f"{preface}\n\n{messages[-1].content}")
        slot = f"{trajectory.id}#{index}"
        return ActRequest(
            slot=slot,
            messages=tuple(messages),
            admissible=step.observation.admissible if self.constrain else None,
            listed=step.observation.admissible,
            seed=int(sha256_text(slot)[:14], 16),
        )


class SelfTeacher(Teacher):
    """Has the student's model correct each step: its own prompt, preceded by the hidden state."""

    name = "self"

    def __init__(self, setup: TeacherSetup) -> None:
        """Load the weights of the student that is corrected.

        Raises:
            ConfigError: a setting is wrong, or it is not known which weights are meant.
            StudentError: they cannot be loaded.
        """
        if setup.model is None:
            raise ConfigError("The teacher 'self' needs the student's model, and none was given.")
        self._params = SelfTeacherParams.read(setup.config.params)
        self._requests, self._level = SelfRequests.of(setup), setup.config.level
        student = load_kind("student", setup.student.kind, STUDENTS)
        self._student: Student = student(
            setup.model,
            # What is cut from the left of a prompt would be the hidden state.
            setup.student.with_(out_of_context="fail"),
            setup.execution,
            self._params.temperature,
            setup.log,
        )

    @classmethod
    def prompts_digest(cls, config: CorrectionConfig, environment: str) -> str:
        """The sha256 of the templates."""
        return load_teacher_prompts(environment, SelfTeacherParams.read(config.params).prompt).digest

    @classmethod
    def pays_at(cls, student: StudentConfig) -> EndpointName | None:
        """That of students, where the student is behind one."""
        return "student" if replies_are_paid(student) else None

    @classmethod
    def foresee(cls, setup: TeacherSetup, episodes: Sequence[PrivilegedEpisode]) -> list[ForeseenRequest]:
        """The requests to the student for each step, where it is behind an endpoint."""
        if cls.pays_at(setup.student) is None:
            return []
        requests, student = SelfRequests.of(setup), load_kind("student", setup.student.kind, STUDENTS)
        foreseen: list[ForeseenRequest] = student.foresee(
            setup.model, setup.student, requests.for_episodes(episodes), None
        )
        return foreseen

    def correct(self, episodes: Sequence[PrivilegedEpisode]) -> list[Correction]:
        """Correct all steps of all episodes, as many at once as the student takes.

        A reply without a readable action is `rejected`, with the student's own command and the cause in `why`.

        Raises:
            WrongSpecError: a privileged state is for another spec.
        """
        for one in episodes:
            check_same_spec(one.trajectory, one.privileged)
        if self._params.shuffled_privilege:
            episodes = shuffle_privilege(episodes)
        requests = self._requests.for_episodes(episodes)
        replies = iter(self._student.act(requests))
        self._student.release([request.slot for request in requests])
        return [self._correction(one, [next(replies) for _ in one.trajectory.steps]) for one in episodes]

    def close(self) -> None:
        """Free the model's memory."""
        self._student.close()

    def _correction(self, episode: PrivilegedEpisode, replies: Sequence[ActReply]) -> Correction:
        trajectory = episode.trajectory
        failed = next((why for why in map(_why_failed, replies) if why is not None), None)
        steps = [self._step(episode, index, reply) for index, reply in enumerate(replies)]
        return Correction(
            trajectory_id=trajectory.id,
            spec_id=trajectory.spec.id,
            teacher=self.name,
            level=self._level,
            steps=() if failed is not None else tuple(steps),
            usage=sum((reply.usage for reply in replies), Usage()),
            error=failed,
        )

    def _step(self, episode: PrivilegedEpisode, index: int, reply: ActReply) -> StepCorrection:
        step = episode.trajectory.steps[index]
        action = read_reply(reply.text, step.observation.admissible)
        why = "" if action is not None else "unreadable: the reply has not the form 'REASON: ... ACTION: ...'"
        return taught(step, action, why)


def _why_failed(reply: ActReply) -> str | None:
    if reply.out_of_context:
        return "the prompt with the hidden state is longer than the model reads"
    return reply.error
