"""The stages as Prefect tasks: each reads artifacts, calls leap_core, and publishes one artifact."""

STAGES = (
    *("specs", "privileged", "base", "demonstrations", "annotation", "dataset", "training"),
    *("rollout", "correction", "leakage", "judgement", "evaluation", "random-play"),
)
"""The names of all stages. Importing the modules would import Prefect, which is slow."""
