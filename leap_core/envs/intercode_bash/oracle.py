"""InterCode Bash's rule-based expert: it runs the gold command and submits. It knows nothing else."""

import re
from collections.abc import Sequence

from leap_core.envs.intercode_bash.nl2bash.commands import SUBMIT
from leap_core.envs.intercode_bash.privileged import IntercodeBashFacts
from leap_core.errors import TeacherReplyError
from leap_core.types import Action, Level, Observation, PrivilegedState, Spec, Step

_PURPOSES = {
    "awk": "picks columns and computes over lines",
    "basename": "strips the folders off a path",
    "cat": "prints files",
    "chmod": "changes permissions",
    "cp": "copies files",
    "cut": "picks columns",
    "diff": "compares files",
    "du": "tells how much room files take",
    "echo": "prints text",
    "find": "looks for files by name, kind, age or size",
    "grep": "looks for lines that match",
    "gzip": "compresses files",
    "head": "takes the first lines",
    "ln": "makes links",
    "ls": "lists a folder",
    "md5sum": "computes checksums",
    "mkdir": "makes folders",
    "mv": "moves and renames files",
    "paste": "joins lines",
    "rm": "removes files",
    "sed": "edits lines",
    "seq": "counts",
    "sort": "sorts lines",
    "tail": "takes the last lines",
    "tar": "packs and unpacks archives",
    "touch": "makes empty files",
    "tr": "replaces characters",
    "uniq": "merges equal lines",
    "wc": "counts lines, words and bytes",
    "xargs": "turns lines into arguments",
}
_STARTS = re.compile(r"(?:^|[|;&(`]|-exec(?:dir)?|xargs(?:\s+-\S+)*)\s*([a-z0-9]+)\b")


class IntercodeBashOracle:
    """The expert that InterCode Bash offers as an `Oracle`."""

    levels: tuple[Level, ...] = (100,)

    def advise(
        self, spec: Spec, history: Sequence[Step], observation: Observation, privileged: PrivilegedState, level: Level
    ) -> Action:
        """Run the gold command, or submit if that was the last thing done. What was done before is not undone.

        The reason tells what the programs in the command are for, which is general knowledge.

        Raises:
            TeacherReplyError: less than all of the privileged state may guide it.
        """
        if level not in self.levels:
            raise TeacherReplyError(
                f"This expert knows the gold command and nothing else, so it cannot advise at level {level}. "
                "Set demonstrations.level and correction.level to 100, or choose a teacher that is a language model."
            )
        gold = IntercodeBashFacts.of(privileged).gold
        if history and history[-1].action.command == gold:
            return Action(reason="The last command did what the task asks for, so I submit.", command=SUBMIT)
        programs = dict.fromkeys(name for name in _STARTS.findall(gold) if name in _PURPOSES)
        purposes = " and ".join(f"{name} {_PURPOSES[name]}" for name in programs)
        how = f"For that, {purposes}" if purposes else "One command can do that"
        return Action(reason=f"The task is: {spec.instruction.strip().rstrip('.')}. {how}.", command=gold)
