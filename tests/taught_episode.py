"""A short episode with its hidden state, and the teacher behind an endpoint that corrects it."""

from chat_server import MODEL

from leap_core.config import CorrectionConfig, EndpointConfig, EnvironmentConfig, ExecutionConfig, StudentConfig
from leap_core.envs.alfworld.suite import AlfworldSuite
from leap_core.method.correction import correct_episodes
from leap_core.teachers.base import TeacherSetup
from leap_core.teachers.openai import OpenAITeacher
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.types import Action, Observation, PrivilegedState, Spec, Step, StopReason, Trajectory

FACTS = {"locations": {"mug 2": "cabinet 3"}}
HIDDEN = "Objects that matter: mug 2 is in/on cabinet 3.\nOther objects: plate 1 is in/on shelf 1."
POSSIBLE = ("look", "go to cabinet 3", "inventory")


def episode(number=0, num_steps=4, env="alfworld", admissible=POSSIBLE, size=0):
    """A student that looks around all the time."""
    spec = Spec(id=f"spec-{number}", env=env, split="train", instruction="put a mug in shelf 1.")
    steps = tuple(
        Step(
            index=index,
            observation=Observation(text=f"Room {number}, moment {index}." + "x" * size, admissible=admissible),
            action=Action(reason="I look around.", command="look"),
        )
        for index in range(num_steps)
    )
    trajectory = Trajectory(
        id=f"i1/spec-{number}", spec=spec, iteration=1, student="student", steps=steps, final_observation="Over.",
        stop_reason=StopReason.STEP_LIMIT, score=0.0, success=False,
    )  # fmt: skip
    state = PrivilegedState(spec_id=spec.id, text=f"{HIDDEN}\nNumber {number}.", facts=FACTS, source="test")
    return PrivilegedEpisode(trajectory=trajectory, privileged=state)


def setup_of(endpoint, path, environment="alfworld", level=100, **params):
    config = EnvironmentConfig()
    suite = AlfworldSuite(config)
    suite.name = environment
    return TeacherSetup(
        config=CorrectionConfig(teacher="openai", level=level, params={"model": MODEL, **params}),
        suite=suite,
        execution=ExecutionConfig(teacher=endpoint, journal=str(path / "journal.sqlite")),
        student=StudentConfig(),
        experiment="tests",
    )


def correct(server, path, *episodes, timeout_s=180.0, max_concurrency=32, **settings):
    endpoint = EndpointConfig(base_url=server.url, max_tries=2, timeout_s=timeout_s, max_concurrency=max_concurrency)
    teacher = OpenAITeacher(setup_of(endpoint, path, **settings))
    try:
        return correct_episodes(teacher, episodes)
    finally:
        teacher.close()
