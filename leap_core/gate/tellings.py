"""Words by which a reason speaks of what nobody but its teacher has: notes, a solution, what is scored."""

import re

from leap_core.gate.kinds import LeakKind
from leap_core.gate.lexicon import words

_HIDDEN = r"(?:hidden|privileged|secret|inside|insider|internal) " + words(
    "state, info, information, facts?, knowledge, notes?, data, layout"
)
_BEST = words(
    """gold, golden, optimal, minimal, intended, reference, canonical, official, sample, recorded, shortest,
    model, expected, ideal, known, correct"""
)
_SOLUTION = words(
    "(?:gold|golden) (?:command|answer|output|product|item|solution|path|route|plan|action|one), "
    + _BEST
    + " (?:solution|answer|sequence|path|route|pipeline|trajectory|purchase|command|plan|walkthrough|run|output), "
    "(?:the|a) reference(?: (?:uses?|does|has|says|chooses|picks|goes|is|was|list|session))?"
)
_NOTES = words(
    """information, info, details?, notes?, facts?, data, hints?, knowledge, examples?, answers?, product,
    solution, list, map, plan, layout, briefing, records?, documents?"""
)
_GIVEN = words("given, provided, told, handed, shown, supplied, informed, tipped off, briefed")
_BY_THE_TASK = (
    r"(?! (?:in|by|from|through|with) (?:the|my|this) (?:task|instruction|request|user|goal|page|assignment|prompt)|"
    r" (?:to|not to)\b)"
)
_TOLD = words(
    _NOTES
    + " (?:that )?(?:i|we) (?:was|were|have been|had been|have|got|am|had|hold)(?: been)?(?: "
    + _GIVEN
    + ")?"
    + _BY_THE_TASK
    + "(?= ), (?:i|we) (?:was|were|have been|had been|am|have already been) "
    + _GIVEN
    + " (?:that|where|about|which|the|a|as|what), according to (?:the|my|what) (?:"
    + _NOTES
    + "|i (?:was|have been|know)), "
    "(?:my|the|these|those|some) (?:solution )?"
    "(?:notes?|hints?|briefing|facts?|walkthrough|solution|answer key|cheat sheet|map) "
    "(?:says?|tells?|states?|shows?|lists?|mentions?|gives?|puts?|points?|is|are|has|have), "
    "(?:in|from|per|by|of) (?:the|my) (?:solution )?(?:notes|hints?|briefing|facts|answer key|walkthrough|solution), "
    "as (?:listed|noted|given|stated|told|described) in the (?:" + _NOTES + "|critical|essential|optimal), "
    "(?:essential|critical) (?:object|location|item|place)s?, solution (?:says|shows|tells), "
    "facts? (?:say|tell|show|state)s? that, ground truth, walkthrough, answer key, cheat sheet, the teacher, my coach, "
    "the demonstration, the demonstrator, example product, target product, oracle, told beforehand, told in advance, "
    "known in advance, been told, (?:named|mentioned|pointed out|given|recommended|revealed|disclosed) to me"
)
_SCORED = words(
    """(?:is|are|gets?|be|being|was|were|will be) (?:scored|graded|rewarded|evaluated), the
    (?:scorer|grader|checker|evaluator|evaluation|scoring|grading|reward function|reward),
    (?:scored|graded|rewarded|scoring) (?:attributes?|options?|words|items?|part), (?:attribute|option)
    list, what (?:gets|is) checked, gets? checked, (?:checked|compared) (?:against|at the end|in the
    end), (?:expected|required) (?:changes?|change list|list), full (?:score|reward|marks|points), score
    (?:looks|counts|checks|wants|needs), required attributes in, counts? (?:for|towards) the
    (?:score|reward)"""
)
_SOME = words(r"\d+, two, three, four, five, six, seven, eight, nine, ten")
_MOVES = words("moves?, steps?, actions?, commands?, clicks?, stages?, parts?")
_IN_ALL = words(
    """long, overall, in total, altogether, enough, all in all, away, in all, suffice,
    (?:is|are) (?:enough|all)"""
)
_TAKES = words("takes?, needs?, requires?, has, is, are, in, of")
_SHAPE = rf"{_TAKES} (?:only |just |exactly )?{_SOME} {_MOVES}|{_SOME} {_MOVES} {_IN_ALL}"
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
