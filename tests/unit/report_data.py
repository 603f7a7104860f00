"""Makes a report's records without any pipeline: a small experiment that looks like a real one."""

import random

from leap_core.report.model import CorrectionCounts, EpisodeReport, IterationReport, ReportData, StageReport
from leap_core.types import (
    Action,
    Correction,
    CorrectionStatus,
    EvaluationResult,
    Interval,
    Observation,
    Spec,
    Step,
    StepCorrection,
    StopReason,
    Trajectory,
    Usage,
)

GROUPS = ("pick_and_place", "look_in_light", "clean_and_place", "heat_and_place", "cool_and_place", "pick_two")
DEV_SUCCESS = (0.31, 0.52, 0.47, 0.84, 0.80, 0.77, 0.81, 0.84, 0.83, 0.86, 0.85)
MEAN_ACTIONS = (16.9, 14.1, 14.8, 10.2, 10.4, 10.9, 10.2, 9.8, 10.0, 9.6, 9.7)


def evaluation(iteration, split="dev", success=None, num_episodes=100, **changes):
    success = DEV_SUCCESS[iteration] if success is None else success
    margin = 1.96 * (success * (1 - success) / num_episodes) ** 0.5
    by_group = {group: min(1.0, max(0.0, success + 0.12 * (index % 3 - 1))) for index, group in enumerate(GROUPS)}
    values = {
        "iteration": iteration,
        "split": split,
        "success": success,
        "interval": Interval(low=max(0.0, success - margin), high=min(1.0, success + margin)),
        "mean_score": success,
        "mean_actions": MEAN_ACTIONS[iteration],
        "num_episodes": num_episodes,
        "success_by_group": by_group,
        "num_by_group": {group: num_episodes // 6 + index % 2 for index, group in enumerate(GROUPS)},
    }
    return EvaluationResult(**values | changes)


def iteration(number):
    if number == 0:
        return IterationReport(
            iteration=0, dev=evaluation(0), num_train_rows=200, train_loss=0.21, validation_loss=0.09
        )
    failed = round(200 * (1 - DEV_SUCCESS[number - 1]))
    steps, rejected = failed * 9, failed // 3
    return IterationReport(
        iteration=number,
        dev=evaluation(number),
        num_rollouts=200,
        rollout_success=1 - failed / 200,
        num_corrected_episodes=failed,
        corrections=CorrectionCounts(kept=steps // 2, changed=steps - steps // 2 - rejected, rejected=rejected),
        rejected_by_reason={"leak": rejected // 2, "not_admissible": rejected - rejected // 2},
        leak_rate=rejected // 2 / steps,
        teacher="oracle",
        level=25,
        num_train_rows=200 + failed,
        num_updates=43,
        num_warmup=10,
        peak_learning_rate=3e-5,
        train_loss=0.4 / (number + 2),
        validation_loss=0.3 / (number + 2),
        usage=Usage(num_requests=failed, prompt_tokens=failed * 3100, completion_tokens=failed * 420),
        cost_usd=None if number == 2 else 0.0132 * number,
    )


def stages(num_iterations):
    made = [StageReport(stage="specs", artifact="specs/demo-0a1b2c3d", state="cached", seconds=41.2, cost_usd=0.0)]
    for number in range(num_iterations):
        names = ("demonstrations", "dataset", "train", "evaluate")
        if number:
            names = ("rollout", "correct", "dataset", "train", "evaluate")
        for place, name in enumerate(names):
            made.append(
                StageReport(
                    stage=name,
                    iteration=number,
                    artifact=f"{name}/demo-i{number}-ab{number}{place}cd34",
                    state="cached" if number < 2 else "resumed" if (number, name) == (2, "train") else "computed",
                    seconds=12.5 * (place + 1) + 97 * (name == "train"),
                    counts={"in": 200, "out": 200 - place, "rejected": place},
                    cost_usd=None if (number, name) == (2, "correct") else 0.4 * (name == "correct"),
                )
            )
    return made


def trajectory(number, iteration=1, num_steps=8, success=False, instruction=None, **changes):
    draw = random.Random(number)
    steps = [_step(draw, index) for index in range(num_steps)]
    thing, place = draw.choice(("apple", "mug", "candle", "soap bar")), draw.choice(("fridge 1", "desk 2"))
    values = {
        "id": f"i{iteration}-e{number}",
        "spec": Spec(
            id=f"train-{number}",
            env="alfworld",
            split="train",
            instruction=instruction or f"put a clean {thing} in {place}.",
            group=GROUPS[number % len(GROUPS)],
        ),
        "iteration": iteration,
        "student": f"demo-i{iteration - 1}",
        "steps": tuple(steps),
        "final_observation": "You put it there." if success else "Nothing happens.",
        "stop_reason": StopReason.TERMINATED if success else StopReason.STEP_LIMIT,
        "score": None if success is None else float(success),
        "success": success,
        "usage": Usage(num_requests=num_steps, prompt_tokens=310 * num_steps, completion_tokens=41 * num_steps),
    }
    return Trajectory(**values | changes)


def _step(draw, index):
    number, valid = draw.randint(1, 20), draw.random() > 0.12
    where = f"{draw.choice(('cabinet', 'drawer', 'shelf', 'countertop'))} {number}"
    seen = f"You arrive at {where}. On the {where}, you see a bowl {number}, a fork 2, a knife 1 and a pan {index}."
    command = f"go to {where}" if valid else f"take everything from {where}"
    reason = f"I have not found it yet. It is often kept in or on a {where.split()[0]}, so I look at {where} next."
    reply = f"REASON: {reason}\nACTION: {command}"
    return Step(
        index=index,
        observation=Observation(text=seen),
        action=Action(reason=reason, command=command),
        reply=reply,
        valid=valid,
    )


def correction(trajectory):
    return Correction(
        trajectory_id=trajectory.id,
        spec_id=trajectory.spec.id,
        teacher="oracle",
        level=25,
        steps=tuple(_correction(step, trajectory.spec.id) for step in trajectory.steps),
    )


def _correction(step, seed):
    draw = random.Random(f"{seed}-{step.index}")
    kind = draw.choices(list(CorrectionStatus), weights=(5 * step.valid, 4, 1))[0]
    if kind == CorrectionStatus.KEPT:
        return StepCorrection(step=step.index, reason=step.action.reason, command=step.action.command, status=kind)
    return StepCorrection(
        step=step.index,
        reason="I have seen the drawers already. Soap bars are used at a sink, so I go to the sinkbasin first.",
        command="go to sinkbasin 1",
        status=kind,
        why="leak: names 'sinkbasin 1', not seen yet" if kind == CorrectionStatus.REJECTED else "",
    )


def episode(number, iteration=1, split="train", corrected=True, **changes):
    played = trajectory(number, iteration, **changes)
    return EpisodeReport(
        iteration=iteration, split=split, trajectory=played, correction=correction(played) if corrected else None
    )


def episodes(count, num_steps=8):
    made = []
    for number in range(count):
        success = number % 3 == 0
        split = "dev" if success else "train"
        made.append(
            episode(
                number, 1 + number % 3, split, corrected=not success, num_steps=num_steps - number % 4, success=success
            )
        )
    return made


def report_data(num_iterations=4, num_episodes=12, **changes):
    values = {
        "experiment": "demo",
        "created_at": "2026-11-20 14:03 UTC",
        "config": {
            "experiment": "demo",
            "seed": 0,
            "num_iterations": num_iterations - 1,
            "environment": {"name": "alfworld", "engine": "native", "max_steps": 20, "params": {}},
            "training": {"trainer": "sft", "epochs": 2.0, "lora": {"rank": 128, "alpha": 64}},
        },
        "iterations": [iteration(number) for number in range(num_iterations)],
        "best_iteration": 3,
        "test": [evaluation(0, "test", 0.315, 200), evaluation(3, "test", 0.86, 200)],
        "stages": stages(num_iterations),
        "episodes": episodes(num_episodes),
        "notes": ["One seed."],
        "packages": {"torch": "2.13.0", "transformers": "5.23.0", "trl": "1.16.0"},
        "git_revision": "9a91c63",
        "messages": ["Demonstrations and corrections come from a rule-based oracle."],
    }
    return ReportData(**values | changes)
