"""One part of the GPU check in a process of its own: `python -m tests.gpu.part NAME JOB OUTCOME`.

Whatever goes wrong is written to the file OUTCOME, as the figures are to the job's `output`.
"""

import importlib
import json
import sys
import traceback
from pathlib import Path

from tests.gpu.job import Figures, Job, describe

WORK = {
    "machine": "machine:look",
    "agreement": "agreement:compare",
    "model": "random_model:make",
    "training": "training:train",
    "plain training": "training:train_plainly",
    "rollout": "rollouts:play",
    "plain generate": "rollouts:generate",
    "seeds": "seeds:run",
}
"""Module and function of each part."""
LAST_LINES = 12


def main() -> None:
    """Do the work of one part."""
    name, job, outcome = sys.argv[1], Job.read(sys.argv[2]), Path(sys.argv[3])
    module, _, function = WORK[name].partition(":")
    error = None
    try:
        getattr(importlib.import_module(f"tests.gpu.{module}"), function)(job, Figures(job.output))
    except Exception as failure:  # any: it is one figure of the check, and ends no other part
        where = traceback.format_exc().splitlines()[-LAST_LINES:]
        error = {"error": describe(failure), "traceback": [line[:300] for line in where]}
    outcome.write_text(json.dumps(error), encoding="utf-8")


if __name__ == "__main__":
    main()
