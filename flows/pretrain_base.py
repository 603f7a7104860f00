"""Flow `pretrain-base`: makes the tiny base student that is bundled in leap_core/students/bundled.

Run it again only if the environment's texts or the expert's words change: `python -m flows.pretrain_base`.
"""

import shutil
import sys
from pathlib import Path

from flows.prefect_side.session import provide_server
from flows.presets import resolve_home
from leap_core.students.weights import BUNDLED_DIRECTORY

EPISODES_PER_SPEC = 3


def main(home: str | None = None) -> None:
    """Pre-train on narrated random play and put the model where `student.model = "bundled"` finds it."""
    where = resolve_home(home)
    provide_server(where)
    from prefect import flow

    from flows.run import open_run
    from tasks.base_student import provide_base_student
    from tasks.dataset import Source, assemble_dataset
    from tasks.random_play import play_at_random
    from tasks.specs import prepare_specs
    from tasks.training import LOG, train

    @flow(name="pretrain-base")
    def pretrain_base() -> Path:
        run = open_run("base", [], str(where))
        specs = prepare_specs(run, "train")
        student = provide_base_student(run)
        played = play_at_random(run, specs, EPISODES_PER_SPEC, run.config.seed)
        return run.store.path(train(run, 0, assemble_dataset(run, 0, [Source(rows=played)]), student))

    made = pretrain_base()
    shutil.rmtree(BUNDLED_DIRECTORY, ignore_errors=True)
    shutil.copytree(made, BUNDLED_DIRECTORY, ignore=shutil.ignore_patterns("record.json", LOG))
    print(f"{made} -> {BUNDLED_DIRECTORY}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
