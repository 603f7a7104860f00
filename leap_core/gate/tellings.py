"""Words by which a reason speaks of what nobody but its teacher has: notes, a solution, what is scored."""

import re

from leap_core.gate.kinds import LeakKind

_HIDDEN = r"(?:hidden|privileged|secret|inside|insider|internal) (?:state|info|information|facts?|knowledge|notes?|data|layout)"
_BEST = r"(?:gold|golden|optimal|minimal|intended|reference|canonical|official|sample|recorded|shortest|model|expected|ideal|known|correct)"
_SOLUTION = (
    rf"(?:gold|golden) (?:command|answer|output|product|item|solution|path|route|plan|action|one)|{_BEST} (?:solution|answer|"
    r"sequence|path|route|pipeline|trajectory|purchase|command|plan|walkthrough|run|output)|"
    r"(?:the|a) reference(?: (?:uses?|does|has|says|chooses|picks|goes|is|was|list|session))?"
)
_NOTES = (
    r"(?:information|info|details?|notes?|facts?|data|hints?|knowledge|example|examples|answers?|product|solution|list|map|plan|"
    r"layout|briefing|records?|documents?)"
)
_GIVEN = r"(?:given|provided|told|handed|shown|supplied|informed|tipped off|briefed)"
_TASK = r"(?! (?:in|by|from|through|with) (?:the|my|this) (?:task|instruction|request|user|goal|page|assignment|prompt)|(?: (?:to|not to)\b))"
_TOLD = (
    rf"{_NOTES} (?:that )?(?:i|we) (?:was|were|have been|had been|have|got|am|had|hold)(?: been)?(?: {_GIVEN})?{_TASK}(?= )|"
    rf"(?:i|we) (?:was|were|have been|had been|am|have already been) {_GIVEN} (?:that|where|about|which|the|a|as|what)|"
    rf"according to (?:the|my|what) (?:{_NOTES}|i (?:was|have been|know))|"
    rf"(?:my|the|these|those|some) (?:solution )?(?:notes?|hints?|briefing|facts?|walkthrough|solution|answer key|cheat sheet|map) "
    r"(?:say|says|tell|tells|state|states|show|shows|list|lists|mention|mentions|give|gives|put|puts|point|points|is|are|has|have)\b|"
    r"(?:in|from|per|by|of) (?:the|my) (?:solution )?(?:notes|hints?|briefing|facts|answer key|walkthrough|solution)|"
    rf"as (?:listed|noted|given|stated|told|described) in the (?:{_NOTES}|critical|essential|optimal)|"
    r"(?:essential|critical) (?:object|location|item|place)s?|solution (?:says|shows|tells)|facts? (?:say|tell|show|state)s? that|"
    r"ground truth|walkthrough|answer key|cheat sheet|the teacher|my coach|the demonstration|the demonstrator|"
    r"example product|target product|(?:named|mentioned|pointed out|given|recommended|revealed|disclosed) to me|oracle|told beforehand|told in advance|known in advance|been told"
)
_SCORED = (
    r"(?:is|are|gets?|be|being|was|were|will be) (?:scored|graded|rewarded|evaluated)|the (?:scorer|grader|checker|evaluator|evaluation|"
    r"scoring|grading|reward function|reward)|(?:scored|graded|rewarded|scoring) (?:attributes?|options?|words|items?|part)|"
    r"(?:attribute|option) list|what (?:gets|is) checked|gets? checked|(?:expected|required) (?:changes?|change list|list)|(?:checked|compared) (?:against|at the end|in the end)|"
    r"full (?:score|reward|marks|points)|score (?:looks|counts|checks|wants|needs)|required attributes in|counts? (?:for|towards) the (?:score|reward)"
)
_SHAPE = (
    r"(?:only |just )?(?:takes?|needs?|requires?|has|is|are|in|of) (?:only |just |exactly )?(?:\d+|two|three|four|five|six|seven|eight|nine|ten) "
    r"(?:moves?|steps?|actions?|commands?|clicks?|stages?|parts?)(?: (?:long|overall|in total|altogether|enough|all in all|away|in all))?|"
    r"(?:\d+|two|three|four|five|six|seven|eight|nine|ten) (?:moves|steps|actions|commands|clicks|stages) (?:long|overall|in total|altogether|"
    r"(?:is|are) (?:enough|all)|suffice|in all)"
)
_PATTERNS = tuple(
    (kind, re.compile(rf"\b(?:{pattern})\b"))
    for kind, pattern in (
        (LeakKind.TOLD, rf"{_HIDDEN}|{_TOLD}"),
        (LeakKind.COMMAND, rf"{_SOLUTION}|{_SHAPE}"),
        (LeakKind.TOLD, _SCORED),
    )
)


def telling(said: str, shown: str) -> tuple[LeakKind, str] | None:
    """What a text, normalised, says of a source that the student does not have; None where it says nothing of one.

    Words that stand in what was shown speak of no such source.
    """
    for kind, pattern in _PATTERNS:
        for found in pattern.finditer(said):
            if found.group() not in shown:
                return kind, f"speaks of {found.group()!r}, which the student does not have"
    return None
