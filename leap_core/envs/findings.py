"""What `leap doctor` finds, one thing at a time; what it looks at for one environment is in that one's `doctor.py`."""

from dataclasses import dataclass
from importlib import import_module

from leap_core.envs import ENVIRONMENTS


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. What is missing and `optional` is worth a note, and no run fails for it."""

    what: str
    ok: bool
    text: str
    optional: bool = False

    @property
    def is_bad(self) -> bool:
        """Whether a run may fail for it."""
        return not (self.ok or self.optional)

    @property
    def line(self) -> str:
        """The finding for people."""
        return f"{'ok  ' if self.ok else 'BAD ' if self.is_bad else 'note'} {self.what:<14} {self.text}"


def examine(environment: str) -> list[Finding]:
    """Look at what playing in an environment of ENVIRONMENTS needs beside this package: data, programs, packages."""
    folder = ENVIRONMENTS[environment].rpartition(".")[0]
    findings: list[Finding] = import_module(f"{folder}.doctor").examine()
    return findings
