"""Expert episodes for behaviour cloning (iteration 0), played by an environment's oracle."""

from collections.abc import Sequence

from leap_core.envs.base import Environment, Oracle
from leap_core.errors import EnvironmentCrashError
from leap_core.parts import suspicion_of
from leap_core.prompts import format_reply
from leap_core.types import Level, PrivilegedState, Spec, Step, StopReason, Trajectory


def demonstrate(
    environment: Environment, oracle: Oracle, spec: Spec, privileged: PrivilegedState, level: Level, max_steps: int
) -> Trajectory:
    """Let the oracle play `spec`; its reason and command at each step become the demonstration.

    Raises:
        EnvironmentCrashError: the oracle gave a command that the environment refuses.
    """
    observation, steps, score, success = environment.reset(spec), list[Step](), 0.0, False
    stop = StopReason.STEP_LIMIT
    while len(steps) < max_steps and stop is not StopReason.TERMINATED:
        action = oracle.advise(spec, steps, observation, privileged, level)
        result = environment.step(action.command)
        if not result.valid:
            raise EnvironmentCrashError(
                f"The expert's command {action.command!r} was refused at step {len(steps)} of {spec.id!r}: "
                "the oracle and the environment disagree about what is possible."
            )
        steps.append(Step(index=len(steps), observation=observation, action=action, reply=format_reply(action)))
        observation, score, success = result.observation, result.score, result.success
        stop = StopReason.TERMINATED if result.terminated else stop
    return Trajectory(
        id=f"i0/{spec.id}",
        spec=spec,
        iteration=0,
        student=f"expert-level-{level}",
        steps=tuple(steps),
        final_observation=observation.text,
        stop_reason=stop,
        score=score,
        success=success,
    )


def successful(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """Only an expert episode that reached its goal may be cloned, and none whose score may have been steered."""
    return [trajectory for trajectory in trajectories if trajectory.success and suspicion_of(trajectory) is None]
