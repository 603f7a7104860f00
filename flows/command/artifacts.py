"""The commands `leap artifacts ...`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.terminal import echo
from leap_core.errors import UnknownNameError

if TYPE_CHECKING:
    from leap_core.store.artifacts import ArtifactStore

artifacts_app = typer.Typer(
    help="Look at what stages have made, check it, clean up.", no_args_is_help=True, rich_markup_mode=None
)
Home = Annotated[Path | None, typer.Option("--home", help="Where everything goes. Default: $LEAP_HOME, else ./data.")]


@artifacts_app.command(name="list")
def list_all(stage: Annotated[str | None, typer.Argument(help="Only this stage.")] = None, home: Home = None) -> None:
    """List artifacts with their counts.

    \b
    leap artifacts list
    leap artifacts list correction
    """
    from tasks import STAGES

    store = open_store(home)
    stages = {directory.parent.name for directory in store.directories()}
    if stage and stage not in stages | set(STAGES):
        raise UnknownNameError("stage", stage, STAGES)
    for record in store.records(stage):
        counts = "  ".join(f"{name} {count}" for name, count in record.counts.items())
        echo(f"{record.ref.id:<40} {record.created_at[:19]}  {counts}")
    for problem in store.problems():
        echo(f"damaged: {problem.path}: {problem.why}", err=True)
    if not stages or (stage and stage not in stages):
        what = f"artifacts of stage {stage!r}" if stages else "artifacts"
        echo(f"No {what} in {store.home}. `leap run` makes them; --home says where to look.", err=True)


@artifacts_app.command()
def show(
    artifact: Annotated[str, typer.Argument(help="An artifact, or a unique part of its name.")], home: Home = None
) -> None:
    """Print an artifact's record.

    Settings, inputs, files with their hashes, counts, time, cost, package versions, git revision.

    \b
    leap artifacts show correction/demo-i1-1a2b3c4d
    """
    store = open_store(home)
    ref = store.resolve(artifact)
    echo(store.path(ref))
    echo(store.record(ref).model_dump_json(indent=2))


@artifacts_app.command()
def verify(
    artifact: Annotated[str | None, typer.Argument(help="One artifact; none: all.")] = None, home: Home = None
) -> None:
    """Hash every file again and compare.

    Exits with 1 if anything is damaged. The next run makes damaged artifacts again.

    \b
    leap artifacts verify
    leap artifacts verify training/demo-i2-1a2b3c4d
    """
    store = open_store(home)
    refs = [store.resolve(artifact)] if artifact else [record.ref for record in store.records()]
    damaged = {ref.id: why for ref in refs if (why := store.verify(ref, deep=True))}
    damaged |= {str(problem.path): problem.why for problem in store.problems()}
    for name, why in damaged.items():
        echo(f"damaged: {name}: {why}")
    echo(f"{len(refs)} checked, {len(damaged)} damaged.")
    if damaged:
        raise typer.Exit(1)


@artifacts_app.command()
def diff(
    first: Annotated[str, typer.Argument(help="An artifact, or a unique part of its name.")],
    second: Annotated[str, typer.Argument(help="Another one of the same stage.")],
    home: Home = None,
) -> None:
    """Say in what two artifacts differ.

    \b
    leap artifacts diff training/demo-i1-1a2b3c4d training/demo-i1-5e6f7a8b
    """
    from leap_core.store.lineage import diff as diff_records

    store = open_store(home)
    for line in diff_records(store, store.resolve(first), store.resolve(second)):
        echo(line)


@artifacts_app.command()
def gc(home: Home = None, delete: Annotated[bool, typer.Option("--delete", help="Really delete.")] = False) -> None:
    """List or delete what nothing uses.

    That is: artifacts that no experiment's last whole run used, and leftovers of crashed work. What was made since then
    stays for a week: a run that broke off goes on from there. Evaluations, as `leap eval` makes them, stay as long as
    their model does. Replies of endpoints always stay.

    \b
    leap artifacts gc               what would go, and how much room it takes
    leap artifacts gc --delete
    """
    from flows.command.cleaning import collect_garbage
    from flows.presets import resolve_home

    for line in collect_garbage(resolve_home(home), delete=delete):
        echo(line)


def open_store(home: Path | None) -> "ArtifactStore":
    """Open the store of a home, for reading: nothing is made where there is none."""
    from flows.presets import artifacts_of, resolve_home
    from leap_core.store.artifacts import ArtifactStore

    return ArtifactStore(artifacts_of(resolve_home(home)), make=False)
