"""What `leap doctor intercode_bash` looks at: the kinds of sandbox."""

from leap_core.envs.findings import Finding
from leap_core.envs.intercode_bash.params import IntercodeBashParams
from leap_core.envs.intercode_bash.sandbox.backends import BACKENDS, load_backend


def examine() -> list[Finding]:
    """Look at every kind of sandbox. One that works is enough."""
    params = IntercodeBashParams().model_dump(mode="json")
    problems = {name: load_backend(name, params).problem() for name in BACKENDS}
    return [
        Finding(what=name, ok=None in problems.values(), text=f"does not work here: {problem}" if problem else "works")
        for name, problem in problems.items()
    ]
