"""The stages as Prefect tasks: each reads artifacts, calls leap_core, and publishes one artifact."""

STAGES = (
    *("specs", "privileged", "base", "demonstrations", "annotation", "dataset", "training"),
    *("rollout", "correction", "evaluation", "random-play"),
)
"""The names of all stages, for who only asks about one: the modules themselves import Prefect."""
