"""The command `leap`. Heavy packages are imported inside the commands that need them."""

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.command.artifacts import Home, artifacts_app, open_store
from flows.terminal import echo, print_whatever_it_holds
from leap_core.errors import ConfigError, LeapError

if TYPE_CHECKING:
    from flows.results.summary import Summary
    from leap_core.types import Split

HELP = """LEAP: agents that learn from privileged corrections of their own episodes, as a pipeline of cached stages.

\b
leap doctor             is everything there that a run needs?
leap run demo           run the embedded default; ends with the path of a report
leap plan demo          what would the same command do now, and why?
leap artifacts list     what has been made
"""

_INTERRUPTED = 130
"""What typer ends with at Ctrl-C; it says nothing itself."""
app = typer.Typer(
    name="leap",
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(artifacts_app, name="artifacts")

Preset = Annotated[str, typer.Argument(help="A name in flows/presets, or a path to a TOML file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting; may be repeated.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]


@app.command()
def run(
    preset: Preset = "demo",
    home: Home = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    only_next: Annotated[
        bool, typer.Option("--next", help="Only the next iteration that the experiment lacks, as scheduled runs do.")
    ] = False,
) -> None:
    """Run an experiment to its end.

    Behaviour cloning, iterations of LEAP, then the iteration that is best on dev is reported on test. Stages that
    exist already are served from the store, so after a crash the same command goes on where it stopped.

    \b
    leap run demo                                         the embedded default
    leap run smoke                                        the whole loop in a minute; learns next to nothing
    leap run demo --home /tmp/leap --json                 elsewhere; a JSON summary as the last line
    leap run demo --set seed=1 --set experiment=demo-1    another seed, under another name
    leap run demo --next                                  only the next iteration
    leap run my_experiment.toml                           a preset of your own
    """
    started = time.monotonic()
    from flows.prefect_side.session import plain_errors, provide_server
    from flows.presets import artifacts_of, read_config, resolve_home

    config = read_config(preset, overrides or [])  # a wrong setting should not wait for Prefect to be imported
    where = resolve_home(home)

    def look_ahead() -> str:
        from flows.forecast.planning import foresee_run

        return foresee_run(config, open_store(where), only_next=only_next)

    provide_server(where, look_ahead)
    from flows.forecast.costs import CostMeter

    meter = CostMeter(config, artifacts_of(where))
    with plain_errors(where):
        if only_next:
            from flows.leap_iteration import leap_iteration

            summary = leap_iteration(preset, overrides or [], str(where))
        else:
            from flows.leap import leap

            summary = leap(preset, overrides or [], str(where))
    from flows.results.summary import Summary, lines_of

    for line in lines_of(Summary.model_validate(summary)):
        echo(line)
    echo(_account(Summary.model_validate(summary), time.monotonic() - started))
    for line in meter.lines:
        echo(line)
    if as_json:
        echo(json.dumps(summary))


def _account(summary: "Summary", seconds: float) -> str:
    """How many stages were made, and the time that took: `15 stages: 3 computed, 12 cached; 1 min 5 s`."""
    states = Counter(stage.state for stage in summary.stages)
    minutes, rest = divmod(round(seconds), 60)
    took = f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{len(summary.stages)} stages: {', '.join(f'{n} {state}' for state, n in states.items())}; {took}"


@app.command()
def plan(
    preset: Preset = "demo",
    home: Home = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    measure: Annotated[
        bool | None,
        typer.Option(
            "--measure/--no-measure",
            help="Load the model to see how fast it is where no earlier stage tells. By default, if it is yours.",
        ),
    ] = None,
) -> None:
    """Say what `leap run` would do, why, and how long it will take.

    One line a stage, in order: `cached` with its artifact, or `run` with the reason. For each stage that would send
    requests to an endpoint, an estimate of their cost, from prompts made of sampled episodes, and whether the budgets
    are enough; then what would keep `leap run` from starting: no key, no price to count a budget in. Data missing at
    `environment.data` are an error, and so is a model that cannot be used. Nothing is run and no request is sent.
    How long stages will take goes by earlier ones on such a machine, else by a measurement of the model that takes some
    seconds; it is kept in the home.

    \b
    leap plan demo
    leap plan demo --set training.learning_rate=0.001     what would a changed setting cost?
    leap plan demo --measure                              how long will it take?
    """
    from flows.forecast.costs import foresee_costs
    from flows.forecast.planning import plan_experiment
    from flows.forecast.preflight import check_data, find_problems, foresee_stages, note_weights_and_warnings
    from flows.forecast.speeds import open_speeds
    from flows.forecast.times import foresee_times
    from flows.presets import artifacts_of, read_config, resolve_home
    from flows.terminal import log
    from leap_core.store.artifacts import ArtifactStore

    config = read_config(preset, overrides or [])
    run = plan_experiment(config, ArtifactStore(artifacts_of(resolve_home(home))))
    outcomes = run.outcomes
    check_data(run)
    notes = note_weights_and_warnings(run)
    costs = foresee_costs([run])
    for outcome in outcomes:
        echo(f"{outcome.label:<20} {outcome.state:<7} {outcome.why or outcome.artifact}")
    echo(f"{len(run.to_be_made)} of {len(outcomes)} stages would run.")
    foreseen = [line for one in foresee_stages(run) for line in one.lines]
    times = foresee_times(run, open_speeds(run, measure, log))
    for line in (*foreseen, *times.lines, *costs.lines, *notes, *find_problems([run])):
        echo(line)
    if as_json:
        rows = [{"stage": one.label, "state": one.state, "why": one.why, "artifact": one.artifact} for one in outcomes]
        echo(
            json.dumps(
                {"experiment": config.experiment, "stages": rows}
                | costs.model_dump(mode="json")
                | {"times": times.model_dump(mode="json")["stages"]}
            )
        )


@app.command(name="eval")
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...", help="A training artifact or a unique part of its name; 'base'; or 'openai:NAME'."
        ),
    ],
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    preset: Annotated[str, typer.Option(help="Where environment and student settings come from.")] = "demo",
    home: Home = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Evaluate nothing: say what would be done, and what endpoints may cost.")
    ] = False,
) -> None:
    """Judge models on the same specs of one split.

    Nothing is trained. `leap artifacts list training` names the models that experiments have made; `base` is the
    preset's student before any training; `openai:NAME` is a model at an endpoint that plays as it is, prompted only
    (ReAct). Of several, the first is compared with each other one, spec by spec.

    \b
    leap eval training/demo-i2-1a2b3c4d                   a model that an experiment made
    leap eval demo-i2 --split dev                         a unique part of its name will do
    leap eval demo-i4 demo-i0 base                        three in one table
    leap eval alfworld-i4 openai:gpt-4o --preset alfworld the student beside the model that taught it
    leap eval openai:gpt-4o --preset alfworld --plan      what would that cost?
    leap eval base --set student.model=/models/my-llm     a model from outside, as it is
    """
    from flows.prefect_side.session import plain_errors, provide_server
    from flows.presets import artifacts_of, check_split, overrides_for, read_config, resolve_home

    check_split(split)
    configs = [read_config(preset, overrides_for(model, overrides or [])) for model in models]
    where = resolve_home(home)
    if only_plan:
        _plan_evaluation(models, check_split(split), preset, overrides or [], where, as_json)
        return

    def look_ahead() -> str:
        from flows.forecast.planning import foresee_evaluation

        return foresee_evaluation(models, check_split(split), preset, overrides or [], open_store(where))

    provide_server(where, look_ahead)
    from flows.forecast.costs import CostMeter
    from leap_core.students.base import replies_are_paid

    # Paid replies go by one [execution], whichever the model.
    config = next((one for one in configs if replies_are_paid(one.student)), configs[0])
    meter = CostMeter(config, artifacts_of(where), endpoints=["student"])
    with plain_errors(where):
        from flows.evaluate import Judgement
        from flows.evaluate import evaluate as evaluate_flow

        judgement = evaluate_flow(models, split, preset, overrides or [], str(where))
    for line in (*Judgement.model_validate(judgement).lines, *meter.lines):
        echo(line)
    if as_json:
        echo(json.dumps(judgement))


def _plan_evaluation(
    models: list[str], split: "Split", preset: str, overrides: list[str], where: Path, as_json: bool
) -> None:
    """Print one line a model, what endpoints may cost, and what would keep requests from being sent."""
    from flows.forecast.costs import foresee_costs
    from flows.forecast.planning import plan_evaluation
    from flows.forecast.preflight import check_data, check_weights, find_problems

    runs = plan_evaluation(models, split, preset, overrides, open_store(where))
    for run in runs:
        check_data(run)
    notes = dict.fromkeys(note for run in runs for note in check_weights(run))
    costs, rows = foresee_costs(runs), []
    for model, run in zip(models, runs, strict=True):
        judged = run.outcomes[-1]
        rows.append({"model": model, "state": judged.state, "why": judged.why, "artifact": judged.artifact})
        echo(f"{model:<20} {judged.state:<7} {judged.why or judged.artifact}")
    for line in (*costs.lines, *notes, *find_problems(runs)):
        echo(line)
    if as_json:
        echo(json.dumps({"preset": preset, "split": split, "models": rows} | costs.model_dump(mode="json")))


@app.command()
def report(
    experiment: Annotated[str, typer.Argument(help="Name of an experiment.")] = "demo", home: Home = None
) -> None:
    """Write an experiment's report again.

    It is made from the artifacts of the experiment's last run. Prints its path.

    \b
    leap report demo
    """
    from flows.presets import resolve_home
    from flows.results.report_data import write_experiment_report
    from flows.results.summary import read_summary

    summary = read_summary(resolve_home(home), experiment)
    echo(write_experiment_report(open_store(home), summary))


@app.command()
def doctor(
    what: Annotated[str | None, typer.Argument(help="What to look at instead: an environment, or 'model'.")] = None,
    model: Annotated[str | None, typer.Argument(help="After 'model': a directory, a hub id, or smollm2-135m.")] = None,
    home: Home = None,
) -> None:
    """Check what a run needs on this machine.

    Says what is missing and how to get it; exits with 1 if something is that runs need. What only some presets need is
    a note.

    \b
    leap doctor
    leap doctor intercode_bash         can commands be run in a sandbox, and which kinds of sandbox work?
    leap doctor --home /data/leap      is there room, and may I write?
    leap doctor alfworld               which of ALFWorld's own games are there ($ALFWORLD_DATA)?
    leap doctor webshop                which of WebShop's own products and goals are there ($WEBSHOP_DATA)?
    leap doctor model DIR              can this model or adapter be played and trained? No weights are loaded.
    """
    from flows.command.doctor import MODEL, diagnose, diagnose_environment, diagnose_model, find_environment
    from flows.presets import resolve_home

    if (what == MODEL) != (model is not None):
        raise ConfigError("`leap doctor model DIR` takes one model: a directory or a hub id. Others take none.")
    if what is None:
        findings = diagnose(resolve_home(home))
    elif model is not None:
        findings = diagnose_model(model, resolve_home(home))
    else:
        findings = diagnose_environment(find_environment(what))
    for finding in findings:
        echo(finding.line)
    if any(finding.is_bad for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command; deliberate errors are one message and exit code 1, without a traceback."""
    print_whatever_it_holds()
    try:
        app()
    except LeapError as error:
        echo(f"error: {error}", err=True)
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            echo("Interrupted. The same command goes on from here.", err=True)
        raise
