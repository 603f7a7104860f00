"""What a user of a shell has seen by each step: which files were named, which were read, and what commands printed."""

import re
from collections.abc import Mapping

from leap_core.envs.sight import Sight, Spot, SpotKind
from leap_core.types import PrivilegedState, Trajectory

_PATH = re.compile(r"/(?:[\w.+-]+/)*[\w.+-]*\w|\b[\w+-]+\.[a-z]{1,5}\b")
_NAME = re.compile(r"^\S+$", re.MULTILINE)
_READS = re.compile(r"\b(cat|head|tail|grep|awk|sed|cut|sort|wc|less|more|uniq|stat|du|ls -l\w*|find .*-(?:size|empty|mtime|perm|newer)|md5sum|diff)\b")
_LISTS = re.compile(r"\b(ls|find|tree)\b")
_QUALITIES = (
    "header line row column field byte size mode permission executable separator separated tab comma space modified "
    "touched newer older empty larger smaller bigger big limit blank zero bit year old fresh new recipe value number "
    "timestamp date entry record name word"
).split()
_WORD = re.compile(r"[A-Za-z]{3,}")


def see(trajectory: Trajectory, privileged: PrivilegedState) -> list[Sight]:
    """What was seen by each step of an episode; what the commands that solve it print is hidden."""
    gold, printed = str(privileged.facts.get("gold", "")), str(privileged.facts.get("gold_output", ""))
    instruction = trajectory.spec.instruction
    known, read, text, before = set(_PATH.findall(instruction)), set[str](), instruction, ""
    sights = []
    for step in trajectory.steps:
        output = step.observation.text
        named = set(_PATH.findall(output)) | ({*_NAME.findall(output)} if _LISTS.search(before) else set())
        known |= named
        if _READS.search(before) and "No such file" not in output:
            read |= _named_in(before, known) | named
        text = f"{text}\n{output}"
        sights.append(_sight(known, read, text, gold, printed))
        before = step.action.command
        text = f"{text}\n{before}"
    return sights


def _named_in(command: str, known: set[str]) -> set[str]:
    """The files that a command names, itself or by a pattern."""
    paths = [path.replace("*", "") for path in re.findall(r"/[\w./*+-]+", command)]
    return {one for one in known for path in paths if path in one or one.rpartition("/")[2] in command}


def _sight(known: set[str], read: set[str], text: str, gold: str, printed: str) -> Sight:
    spots = []
    for path in sorted(known):
        base = path.rpartition("/")[2]
        spots.append(
            Spot(names=tuple(dict.fromkeys((path.lower(), base.lower()))), kind=SpotKind.FILE, opened=path in read)
        )
    things = {word: word for word in _QUALITIES} | _searched(gold, text)
    lowered = text.lower()
    secrets = frozenset(word for word in map(str.lower, _WORD.findall(printed)) if word not in lowered)
    return Sight(spots=tuple(spots), things=things, wanted=frozenset(), secrets=secrets)


def _searched(gold: str, text: str) -> Mapping[str, str]:
    """The words that the solution looks for and that the task names."""
    words = {word.lower() for word in _WORD.findall(gold)}
    return {word: word for word in words if re.search(rf"\b{word}\b", text.lower()) and word not in _COMMANDS}


_COMMANDS = frozenset("find grep sort cat cut head tail type name size empty delete print sum end awk sed mtime uniq".split())
