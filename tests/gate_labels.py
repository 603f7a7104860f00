"""The gate against hand-written corrections, clean and leaking, for each environment: precision and recall.

    python tests/gate_labels.py          the table, and every correction that it judges wrongly

The corrections are in `unit/data/gate/<environment>.json`, beside the episode and the hidden state that they speak of.
Those with an odd number were held out: the gate was never changed because of them.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from leap_core.gate.realizability import LEAK, Gate
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

LABELS = Path(__file__).parent / "unit" / "data" / "gate"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One labelled correction and what the gate says of it."""

    number: int
    step: int
    leaks: bool
    reason: str
    why: str

    @property
    def is_stopped(self):
        return self.why.startswith(LEAK)

    @property
    def is_held_out(self):
        return self.number % 2 == 1


def judge(file):
    """Every labelled correction of one environment."""
    value = json.loads(file.read_text(encoding="utf-8"))
    spec = Spec(id="s", env=value["env"], split="train", instruction=value["instruction"])
    steps = tuple(
        Step(
            index=index,
            observation=Observation(
                text=step["observation"], admissible=tuple(step["admissible"]) if step["admissible"] else None
            ),
            action=Action(reason="", command=step["command"]),
        )
        for index, step in enumerate(value["steps"])
    )
    trajectory = Trajectory(
        id="t", spec=spec, iteration=1, student="s", steps=steps, final_observation="",
        stop_reason=StopReason.STEP_LIMIT, score=0.0, success=False,
    )  # fmt: skip
    gate = Gate(trajectory, PrivilegedState(spec_id="s", text="", facts=value["facts"], source="test"))
    judged = []
    for number, (step, label, reason) in enumerate(value["reasons"]):
        correction = StepCorrection(
            step=step, reason=reason, command=steps[step].action.command, status=CorrectionStatus.KEPT
        )
        why = gate.why_rejected(correction, step)
        judged.append(Judged(number=number, step=step, leaks=label == "leak", reason=reason, why=why))
    return judged


def rates(judged):
    """Precision and recall of the gate as a detector of leaks, and how many of each label there are."""
    stopped = [one for one in judged if one.is_stopped]
    leaking = [one for one in judged if one.leaks]
    right = sum(one.leaks for one in stopped)
    return right / max(len(stopped), 1), right / len(leaking), len(leaking), len(judged) - len(leaking)


def main():
    everything = []
    for file in sorted(LABELS.glob("*.json")):
        judged = judge(file)
        everything += judged
        for name, part in (("all", judged), ("held out", [one for one in judged if one.is_held_out])):
            precision, recall, num_leaking, num_clean = rates(part)
            print(
                f"{file.stem:<15} {name:<9} precision {precision:.3f}  recall {recall:.3f}  "
                f"({num_leaking} leaking, {num_clean} clean)"
            )
        show_held_out = "--all" in sys.argv
        for one in judged:
            if one.leaks != one.is_stopped and (show_held_out or not one.is_held_out):
                print(f"    {'missed' if one.leaks else 'stopped'} at step {one.step}: {one.reason} {one.why}")
    for name, part in (("all", everything), ("held out", [one for one in everything if one.is_held_out])):
        precision, recall, num_leaking, num_clean = rates(part)
        print(f"together, {name}: precision {precision:.3f}  recall {recall:.3f}  ({num_leaking}, {num_clean})")


if __name__ == "__main__":
    main()
