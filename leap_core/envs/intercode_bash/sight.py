"""What a user of a shell has seen by each step: which files were named, which were read, and what commands printed."""

import re
from collections.abc import Mapping

from pydantic import JsonValue

from leap_core.envs.sight import Sight, Spot, SpotKind
from leap_core.types import PrivilegedState, Trajectory

_PATH = re.compile(r"/(?:[\w.+-]+/)*[\w.+-]*\w|\b[\w+-]+\.[a-z]{1,5}\b")
_NAME = re.compile(r"^\S+$", re.MULTILINE)
_READS = re.compile(
    r"^\s*(?:cat|head|tail|grep|awk|sed|cut|sort|wc|less|more|uniq|stat|du|md5sum|diff)\b|\bls (?:\S+ )*-\w*l|"
    r"\bfind .*-(?:size|empty|mtime|perm|newer|exec)"
)
_LISTS = re.compile(r"\b(ls|find|tree)\b")
_QUALITIES = [
    "header",
    "line",
    "row",
    "column",
    "field",
    "byte",
    "size",
    "mode",
    "permission",
    "executable",
    "executed",
    "separator",
    "separated",
    "tab",
    "comma",
    "modified",
    "touched",
    "newer",
    "older",
    "empty",
    "larger",
    "smaller",
    "bigger",
    "limit",
    "blank",
    "zero",
    "bit",
    "year",
    "value",
    "timestamp",
    "date",
    "entry",
    "record",
]
_FAILED = re.compile(r"No such file|Is a directory|Permission denied|command not found|cannot ")
_WORD = re.compile(r"[A-Za-z]{3,}")


def see(trajectory: Trajectory, privileged: PrivilegedState) -> list[Sight]:
    """What was seen by each step of an episode; what the commands that solve it print is hidden."""
    instruction = trajectory.spec.instruction
    known, read, text, before = set(_PATH.findall(instruction)), set[str](), instruction, ""
    sights = []
    for step in trajectory.steps:
        output = step.observation.text
        named = set(_PATH.findall(output)) | ({*_NAME.findall(output)} if _LISTS.search(before) else set())
        known |= named
        if _READS.search(before) and not _FAILED.search(output):
            read |= _named_in(before, known) | named
        text = f"{text}\n{output}"
        sights.append(_sight(known, read, text, trajectory.spec.instruction, privileged.facts))
        before = step.action.command
        text = f"{text}\n{before}"
    return sights


def _named_in(command: str, known: set[str]) -> set[str]:
    """The files that a command reads: those that it names, or those below a folder that it goes through."""
    paths = re.findall(r"/[\w./*+-]+", command)
    goes_below = re.search(r"\bfind\b| -\w*[rR]\b|\*", command) is not None
    return {
        one
        for one in known
        for path in paths
        if path == one or (goes_below and one.startswith(path.partition("*")[0])) or path.endswith(f"/{one}")
    }


def _sight(known: set[str], read: set[str], text: str, task: str, hidden: Mapping[str, JsonValue]) -> Sight:
    gold, printed, changed = (str(hidden.get(name, "")) for name in ("gold", "gold_output", "gold_changes"))
    lowered, answers = text.lower(), {*_PATH.findall(printed), *_PATH.findall(changed)}
    spots = [_file(path, path in read, answers, task) for path in sorted(known | answers)]
    things = {word: word for word in _QUALITIES} | _searched(gold, text)
    groups = {spot.group: spot.group for spot in spots if spot.group}
    return Sight(
        spots=tuple(spots),
        groups=groups,
        things=things,
        wanted=_ANSWER,
        secrets=_hidden_words(printed, lowered),
        numbers=_hidden_numbers(printed, text),
        unknown=SpotKind.FILE,
    )


def _file(path: str, is_read: bool, answers: set[str], task: str) -> Spot:
    base = path.rpartition("/")[2].lower()
    names = [path.lower()]
    if "." in base or not re.search(rf"\b{re.escape(base)}\b", task.lower()):
        names.append(base)
    numbered = _NUMBERED.match(base)
    is_answer = path not in task and any(path == answer or answer.endswith(f"/{path}") for answer in answers)
    return Spot(
        names=tuple(dict.fromkeys(names)),
        kind=SpotKind.FILE,
        opened=is_read,
        group=numbered[1] if numbered else "",
        number=int(numbered[2]) if numbered else None,
        holds=_ANSWER if is_answer else frozenset(),
    )


def _searched(gold: str, text: str) -> dict[str, str]:
    """The words that the solution looks for in files and that the task names."""
    words = {word.lower() for part in _GREPS.findall(gold) for word in _WORD.findall(re.sub(r"/\S+| -\S+", " ", part))}
    return {word: word for word in words if re.search(rf"\b{word}\b", text.lower())}


def _hidden_words(printed: str, lowered: str) -> frozenset[str]:
    """The telling words of what the solution prints, where that is little; none of them was seen."""
    words = {word.lower() for word in _WORD.findall(printed)}
    return (
        frozenset(word for word in words if word not in lowered and word not in _COMMON)
        if len(words) < 30
        else frozenset()
    )


def _hidden_numbers(printed: str, text: str) -> frozenset[int]:
    """The number that the solution prints, where it is one alone, and no output was it."""
    number = printed.strip()
    return frozenset({int(number)}) if number.isdigit() and number not in text.split("\n") else frozenset()


_GREPS = re.compile(r"\bgrep\b([^|]*)")
_COMMON = frozenset(
    [
        "the",
        "and",
        "for",
        "you",
        "not",
        "are",
        "was",
        "has",
        "have",
        "with",
        "that",
        "this",
        "from",
        "file",
        "files",
        "directory",
        "folder",
        "total",
        "usage",
        "name",
        "names",
        "size",
        "error",
        "line",
        "lines",
        "list",
        "none",
        "true",
        "false",
        "yes",
        "home",
        "user",
        "root",
        "bin",
        "etc",
        "usr",
        "var",
        "tmp",
        "opt",
        "lib",
        "dev",
        "text",
        "txt",
        "log",
        "csv",
        "tsv",
        "conf",
        "data",
        "test",
        "main",
        "new",
        "old",
        "end",
        "start",
        "one",
        "two",
        "three",
        "first",
        "last",
        "all",
        "any",
        "can",
        "will",
        "use",
        "used",
        "using",
        "see",
        "help",
        "number",
        "count",
        "value",
        "values",
        "date",
        "time",
        "day",
        "week",
        "month",
        "year",
        "north",
        "south",
        "east",
        "west",
        "red",
        "green",
        "blue",
        "write",
        "read",
        "open",
        "close",
        "print",
    ]
)
_ANSWER = frozenset({"answer"})
_NUMBERED = re.compile(r"([a-z]{3,})[_-]?0*(\d+)\.\w+")
