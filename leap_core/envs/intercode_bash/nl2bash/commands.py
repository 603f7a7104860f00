"""How a command of the student becomes a program with arguments, exactly as in the original.

The original wraps a command as `/bin/bash -c "<command>"`, without escaping anything in it, and lets a Docker client
split that as a shell would. So the command loses its own double quotes, and where they enclosed a space, what follows
is no longer part of it. Recorded scores can only be met by doing the same.
"""

import shlex
from dataclasses import dataclass

SUBMIT, SKIP = "submit", "skip"
MALFORMED = "Malformed command"
TIMED_OUT = "Command timed out"


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What to run and where. `next_directory` is where later commands run if this one succeeds."""

    argv: tuple[str, ...]
    directory: str
    next_directory: str


def split_as_docker(command: str) -> tuple[str, ...]:
    """The program and arguments that the original hands to its container.

    Raises:
        ValueError: a quotation is not closed, or it holds a null character: the original calls that malformed.
    """
    if "\0" in command:
        raise ValueError("a null character cannot be part of a command")
    return tuple(shlex.split(f'/bin/bash -c "{command.strip()}"'))


def plan(command: str, directory: str) -> Execution:
    """Decide what a command runs. Only one that begins with `cd` changes where later ones run.

    All that follows `cd ` is the new directory, even `sub && ls`: that runs, but later commands then start nowhere.

    Raises:
        ValueError: the command is malformed.
    """
    if not command.startswith("cd"):
        return Execution(argv=split_as_docker(command), directory=directory, next_directory=directory)
    _, found, target = command.partition("cd ")
    if not found:  # the original fails with an exception here
        raise ValueError("a command that begins with cd must name a directory")
    changed = resolve(directory, target.strip())
    return Execution(argv=split_as_docker(f"cd {changed}"), directory="/", next_directory=changed)


def resolve(current: str, changed: str) -> str:
    """The directory that `cd <changed>` leads to, by its name alone: links are not followed.

    Nothing leads above the root directory; an empty `changed` stays.
    """
    if not changed:
        return current
    path: list[str] = []
    for segment in f"{'' if changed.startswith('/') else current}/{changed}".split("/"):
        if segment == "..":
            del path[-1:]
        elif segment not in ("", "."):
            path.append(segment)
    return "/" + "/".join(path)
