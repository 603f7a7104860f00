"""The stages as Prefect tasks: each reads artifacts, calls leap_core, and publishes one artifact."""
