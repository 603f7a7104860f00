"""Expert episodes for behaviour cloning (iteration 0), played by an environment's oracle."""

from collections.abc import Sequence

from leap_core.envs.base import Environment, Oracle, StepResult
from leap_core.errors import EnvironmentCrashError
from leap_core.prompts import format_reply
from leap_core.types import Level, PrivilegedState, Spec, Step, StopReason, Trajectory


def demonstrate(
    environment: Environment, oracle: Oracle, spec: Spec, privileged: PrivilegedState, level: Level, max_steps: int
) -> Trajectory:
    """Let the oracle play `spec`; its reason and command at each step become the demonstration.

    Raises:
        EnvironmentCrashError: the oracle gave a command that the environment refuses.
    """
    steps = list[Step]()
    result = StepResult(observation=environment.reset(spec), terminated=False, score=0.0, success=False)
    while len(steps) < max_steps and not result.terminated:
        observation = result.observation
        action = oracle.advise(spec, steps, observation, privileged, level)
        result = environment.step(action.command)
        if not result.valid:
            raise EnvironmentCrashError(
                f"The expert's command {action.command!r} was refused at step {len(steps)} of {spec.id!r}: "
                "the oracle and the environment disagree about what is possible."
            )
        steps.append(Step(index=len(steps), observation=observation, action=action, reply=format_reply(action)))
    return Trajectory(
        id=f"i0/{spec.id}",
        spec=spec,
        iteration=0,
        student=f"expert-level-{level}",
        steps=tuple(steps),
        final_observation=result.observation.text,
        stop_reason=StopReason.TERMINATED if result.terminated else StopReason.STEP_LIMIT,
        score=result.score,
        success=result.success,
        score_parts=dict(result.score_parts),
        suspicion=result.suspicion,
    )


def successful(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """Only an expert episode that reached its goal may be cloned, and none whose score may have been steered."""
    return [trajectory for trajectory in trajectories if trajectory.success and trajectory.suspicion is None]
