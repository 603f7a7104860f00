"""What `leap doctor toy` looks at beside the game itself: nothing."""

from leap_core.envs.findings import Finding


def examine() -> list[Finding]:
    """Say that there is nothing to install or download."""
    return [Finding(what="corridors", ok=True, text="drawn from the seed; nothing to install or download")]
