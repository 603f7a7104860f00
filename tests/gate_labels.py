"""The gate against hand-written corrections, clean and leaking: precision and recall by environment, part and kind.

    python -m tests.gate_labels                 the table of both parts
    python -m tests.gate_labels --wrong         and every correction of the development part that the gate misjudges
    python -m tests.gate_labels --wrong w3      those of the writers that are named, held out or not

Labels are in `unit/data/gate/labels/<environment>-<writer>.jsonl`, the played episodes that they speak of, with the
hidden state, in `unit/data/gate/episodes/<environment>.json` (`gate_episodes.py` plays them). Rules are written with
the development part in view; the other is there to be measured on, and whoever changes the gate does not read it.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from leap_core.gate.kinds import is_leak, kind_of_leak
from leap_core.gate.realizability import Gate
from leap_core.types import (
    Action,
    CorrectionStatus,
    Observation,
    PrivilegedState,
    Spec,
    Step,
    StepCorrection,
    StopReason,
    Trajectory,
)

DATA = Path(__file__).parent / "unit" / "data" / "gate"
PARTS = {"develop": ("w0", "w1", "w2", "w5", "w6"), "held out": ("w3", "w4", "w7", "w8")}
"""Who wrote which part. `w0` is older than the others; `w5` and `w6` are by who wrote the rules. They say no kinds."""
ENVIRONMENTS = ("alfworld", "intercode_bash", "webshop")


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One labelled correction and what the gate says of it. `kind` is the writer's, in the writer's words."""

    env: str
    writer: str
    episode: str
    step: int
    leaks: bool
    kind: str
    command: str
    reason: str
    why: str

    @property
    def is_stopped(self):
        return is_leak(self.why)

    @property
    def is_misjudged(self):
        return self.leaks != self.is_stopped


@dataclass(frozen=True, kw_only=True)
class Rates:
    """The gate as a detector of leaks; a rate without anything to go by is None."""

    precision: float | None
    recall: float | None
    num_leaking: int
    num_clean: int
    num_false: int

    @classmethod
    def of(cls, judged):
        leaking = [one for one in judged if one.leaks]
        stopped = [one for one in judged if one.is_stopped]
        right = sum(one.leaks for one in stopped)
        return cls(
            precision=right / len(stopped) if stopped else None,
            recall=right / len(leaking) if leaking else None,
            num_leaking=len(leaking),
            num_clean=len(judged) - len(leaking),
            num_false=len(stopped) - right,
        )

    def __str__(self):
        shown = ["  -  " if rate is None else f"{rate:.3f}" for rate in (self.precision, self.recall)]
        return (
            f"precision {shown[0]}  recall {shown[1]}  "
            f"({self.num_leaking} leaking, {self.num_clean} clean, {self.num_false} false stops)"
        )


@cache
def episodes(env):
    """The played episodes of an environment by id, each with its hidden state."""
    bank = json.loads((DATA / "episodes" / f"{env}.json").read_text(encoding="utf-8"))
    return {one["id"]: (_trajectory(env, one), PrivilegedState.model_validate(one["privileged"])) for one in bank}


def _trajectory(env, played):
    steps = tuple(
        Step(
            index=index,
            observation=Observation(text=step["observation"], admissible=step["admissible"]),
            action=Action(reason="", command=step["command"]),
        )
        for index, step in enumerate(played["steps"])
    )
    return Trajectory(
        id=played["id"], spec=Spec(id=played["id"], env=env, split="train", instruction=played["instruction"]),
        iteration=1, student="s", steps=steps, final_observation="", stop_reason=StopReason.STEP_LIMIT, score=0.0,
        success=False,
    )  # fmt: skip


@cache
def gate_of(env, episode):
    return Gate(*episodes(env)[episode])


def writers_of(env):
    """Those who wrote labels for an environment, of those that are there."""
    return sorted(file.stem.rpartition("-")[2] for file in (DATA / "labels").glob(f"{env}-*.jsonl"))


def labels_of(env, writer):
    file = DATA / "labels" / f"{env}-{writer}.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def judge(env, writer):
    """Every correction that one writer labelled, with what the gate says of it."""
    judged = []
    for label in labels_of(env, writer):
        correction = StepCorrection(
            step=label["step"], reason=label["reason"], command=label["command"], status=CorrectionStatus.CHANGED
        )
        why = gate_of(env, label["episode"]).why_rejected(correction, label["step"])
        judged.append(
            Judged(
                env=env, writer=writer, episode=label["episode"], step=label["step"], leaks=label["label"] == "leak",
                kind=label["kind"], command=label["command"], reason=label["reason"], why=why,
            )
        )  # fmt: skip
    return judged


def judge_part(env, part):
    """Every labelled correction of one part."""
    return [one for writer in writers_of(env) if writer in PARTS[part] for one in judge(env, writer)]


def by_kind(judged):
    """For each of the writers' kinds: how many there are and how many of them are stopped; leaks first."""
    totals = Counter((not one.leaks, one.kind) for one in judged)
    stopped = Counter((not one.leaks, one.kind) for one in judged if one.is_stopped)
    return [(is_clean, kind, total, stopped[is_clean, kind]) for (is_clean, kind), total in sorted(totals.items())]


def show_wrong(judged):
    for one in judged:
        if one.is_misjudged:
            what = "missed " if one.leaks else "stopped"
            print(f"    {what} {one.writer} {one.episode} step {one.step} [{one.kind}] {one.command}")
            print(f"            {one.reason!r}{f' -> {one.why}' if one.why else ''}")


def show_kinds(judged):
    for is_clean, kind, total, stopped in by_kind(judged):
        print(f"    {'clean' if is_clean else 'leak '} {kind:<24} {stopped:>3} of {total:>3} stopped")
    found = Counter(kind_of_leak(one.why) for one in judged if one.is_stopped)
    print(f"    found as: {', '.join(f'{kind} {num}' for kind, num in found.most_common())}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wrong", nargs="*", metavar="WRITER", help="show those misjudged, by default of development")
    parser.add_argument("--env", choices=ENVIRONMENTS, action="append", help="only these environments")
    args = parser.parse_args()
    shown = PARTS["develop"] if args.wrong == [] else tuple(args.wrong or ())
    for env in args.env or ENVIRONMENTS:
        for part in PARTS:
            judged = judge_part(env, part)
            if not judged:
                continue
            print(f"{env:<15} {part:<9} {Rates.of(judged)}")
            show_kinds(judged)
            show_wrong([one for one in judged if one.writer in shown])


if __name__ == "__main__":
    main()
