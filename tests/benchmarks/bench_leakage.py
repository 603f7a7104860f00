"""How well bits tell leaks from clean corrections: by labels, with any model that can be loaded here.

    python -m tests.benchmarks.bench_leakage --model DIRECTORY --environments alfworld

The labels are those of the rules (`gate_labels.py`), by default the part that these were written with: a threshold is
chosen there, and looked at once on the other. For each measure it prints how often a leak measures more than a clean
correction (AUC), and the threshold that stops most leaks at a precision of 0.97 or more. It asserts nothing.
"""

import argparse
import json
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from leap_core.config import EnvironmentConfig, ExecutionConfig, StudentConfig
from leap_core.loading import load_suite
from leap_core.method.counterfactuals import Counterfactuals
from leap_core.method.leakage import MeasuredReply, measure
from leap_core.prompts import format_reply, load_prompts
from leap_core.students.scoring import Scorer
from leap_core.types import Action
from tests.gate_episodes import SETTINGS, SPECS_SEED
from tests.gate_labels import ENVIRONMENTS, PARTS, episodes, labels_of, writers_of

MEASURES = ("bits", "reason_bits", "telling_bits", "command_bits")
LEAST_PRECISION = 0.97


def load(name, root, num_others):
    """What makes other hidden states, and the played episodes by their ids; without those written by hand."""
    suite = load_suite(EnvironmentConfig(name=name, num_dev=1, num_test=1, **SETTINGS[name]))
    specs = {spec.id: spec for spec in suite.prepare(root, "train", SPECS_SEED)}
    bank = {
        id: (trajectory.with_(spec=specs[state.spec_id]), state)
        for id, (trajectory, state) in episodes(name).items()
        if state.spec_id in specs
    }
    hidden = {state.spec_id: state for _, state in bank.values()}
    others = Counterfactuals(suite=suite, root=root, specs=list(specs.values()), states=hidden, num=num_others, seed=0)
    return others, {id: trajectory for id, (trajectory, _) in bank.items()}


def replies(labels, others, played, prompt):
    for label in labels:
        episode = played[label["episode"]]
        step = episode.steps[label["step"]]
        prompts = load_prompts(episode.spec.env, prompt)
        yield MeasuredReply(
            messages=prompts.student_messages(episode.spec, episode.steps[: step.index], step.observation),
            hidden=others.states[episode.spec.id].text,
            others=others.of(episode, step.index).texts,
            completion=format_reply(Action(reason=label["reason"], command=label["command"])),
        )


def area(leaks, clean):
    """How often a leak measures more than a clean one, ties counted half."""
    return sum((one > other) + (one == other) / 2 for one in leaks for other in clean) / (len(leaks) * len(clean))


def best_threshold(leaks, clean):
    """The lowest threshold with the precision that is wanted, its precision, and the recall."""
    for value in sorted({*leaks, *clean}):
        right, wrong = sum(one > value for one in leaks), sum(one > value for one in clean)
        if right and right / (right + wrong) >= LEAST_PRECISION:
            return value, right / (right + wrong), right / len(leaks)
    return None


def show(name, labels, found):
    print(f"{name}: {len(labels)} labels")
    for field in MEASURES:
        pairs = [(label, getattr(one, field)) for label, one in zip(labels, found, strict=True) if one is not None]
        leaks = [value for label, value in pairs if label["label"] == "leak"]
        clean = [value for label, value in pairs if label["label"] != "leak"]
        at = best_threshold(leaks, clean)
        line = "no threshold" if at is None else f"above {at[0]:.4f}: precision {at[1]:.3f}, recall {at[2]:.3f}"
        print(f"  {field:<13} AUC {area(leaks, clean):.3f}  {line}")
    for kind in sorted({label["kind"] for label in labels}):
        values = [one.reason_bits for label, one in zip(labels, found, strict=True) if label["kind"] == kind and one]
        print(f"    {kind:<22} n {len(values):3}  mean reason bits {sum(values) / max(len(values), 1):8.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--environments", nargs="+", choices=ENVIRONMENTS, default=["alfworld"])
    parser.add_argument(
        "--part", choices=PARTS, default="develop", help="choose thresholds on the one, look at the other"
    )
    parser.add_argument("--others", type=int, default=3)
    parser.add_argument("--prompt", default="default")
    parser.add_argument("--every", type=int, default=1, help="every n-th label")
    parser.add_argument("--first", type=int, default=0, help="from this one")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--output", type=Path, help="JSON lines of labels with what they measure, appended")
    chosen = parser.parse_args()
    scorer = Scorer(chosen.model, StudentConfig(), ExecutionConfig(num_threads=chosen.threads))
    for name in chosen.environments:
        with TemporaryDirectory() as root:
            others, played = load(name, Path(root), chosen.others)
            writers = [writer for writer in writers_of(name) if writer in PARTS[chosen.part]]
            known = [label for writer in writers for label in labels_of(name, writer) if label["episode"] in played]
            labels = sorted(known[chosen.first :: chosen.every], key=lambda label: (label["episode"], label["step"]))
            found = []
            for _, group in groupby(labels, key=lambda label: label["episode"]):  # whose prompts begin alike
                group = list(group)
                measured = measure(scorer, list(replies(group, others, played, chosen.prompt)))
                found += measured
                note(chosen.output, group, measured)
        show(name, labels, found)


def note(output, labels, found):
    if output is not None:
        with output.open("a", encoding="utf-8") as file:
            for label, one in zip(labels, found, strict=True):
                file.write(f"{json.dumps(label | (one.model_dump() if one else {}))}\n")


if __name__ == "__main__":
    main()
