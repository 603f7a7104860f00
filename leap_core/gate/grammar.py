"""The grammar of claims: regular expressions over clauses in which `@0` stands for a spot and `#0` for a thing.

Every clause has a space before and behind each word. A pattern's groups `spot` and `thing` hold the numbers of its
references; one that lacks a group leaves it to what was spoken of before.
"""

import re

from leap_core.envs.sight import SpotKind
from leap_core.gate.lexicon import word, words


def _some(most: int) -> str:
    """Up to so many words, as few as possible, none of them a reference."""
    return rf"(?: (?![@#])\S+){{0,{most}}}?"


_SPOT, _THING = r"@(?P<spot>\d+)", r"#(?P<thing>\d+)"
_BE = words(
    """is, are, was, were, be, been, being, lies?, lying, sits?, sitting, stands?, standing, waits?,
    waiting, rests?, resting, stays?, remains?"""
)
_IS = words("""is, are, was, were, must be, has to be, will be, would be, be, is going to be, are going to be""")
_IN = words(
    """in, on, inside, at, within, under, underneath, behind, atop, among, upon, over, off, from, out of,
    beside"""
)
_HOLD = words("contains?, holds?, has, have, got, hides?, houses?, stores?")
_HAVE = words(
    """contains?, containing, holds?, holding, has, have, having, had, houses?, stores?, storing, hides?,
    hiding, keeps?, keeping, carries, bears?, shows?, includes?, including, offers?, offering, lists?,
    got, comes? in, comes? with, provides?, gives?, covers?, features?, sells?"""
)
_WANTED = words(
    r"""it, one, them, what i need, what i want, what i am looking for, what i am after, my target,
    my object, my item, the (?:target|object|item|thing|goal)(?: i need| that i need)?, the right one,
    the right thing, the right object, (?:one|two|both|all|some|three) of (?:them|these|those)"""
)
_MINE = r"the ones? (?:that )?i (?:want|need|seek|am after|am looking for|have to \w+)"
_THIS = words(r"it, that, this, this one, that one, which, the \w+ one, they, these, those")
_FETCH = words("grab, get, fetch, take, pick up, pick, collect, retrieve")
_JUST = r"(?! (?:next|beside|there|here|in|by|at|on|behind|now|after|where)\b)"
"""What may not follow "right" where it means more than "just"."""
_RIGHT = words(
    rf"""the (?:right |correct |only |actual |very )?(?:one|answer|target|winner)(?! (?:i|to|we|that i|which i)\b),
    what (?:the )?(?:user|task|they|shopper|customer) (?:really |actually )?(?:wants?|needs?|means?|asks?(?: for)?),
    (?:the )?(?:\w+ )?(?:\w+s?) that (?:fits?|matches|match|qualif\w+|is right|is correct|is meant),
    (?:the )?(?:target|gold|reference) (?:item|product|place|object|file), (?:the )?(?:\w+ )?\w+ (?:that )?i am after,
    (?:the )?(?:right{_JUST}|correct|actual|true|intended|exact|real|proper|wanted|desired|required) \w+(?: \w+)?,
    (?:the )?(?:product|item|object) (?:behind|of|for) (?:this|the) task, correct, right{_JUST},
    where i (?:need|have|must|should)"""
)
_INSIDE = words(
    """there, inside, in it, in there, on it, on top, in that one, in this one, inside it, in here,
    behind that door, behind the door, behind its door"""
)

THING_IN_SPOT = re.compile(rf"{_THING}{_some(9)} {_IN}{_some(4)} {_SPOT}")
SPOT_HAS_THING = re.compile(rf"{_SPOT}(?P<between>{_some(7)}) {_HAVE}{_some(6)} {_THING}")
IT_IN_SPOT = re.compile(
    rf" (?:it|they|one|that|them|which|both|all|each|some|the others?|the two|the ones?|{_MINE}|{_WANTED})(?: \w+)?"
    rf" {_BE}"
    rf"{_some(4)} {_IN}{_some(4)} {_SPOT}"
)
HOLDS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_SPOT}{_some(5)} {_HOLD} (?:\w+ )?{_WANTED} ",
        rf"{_SPOT}{_some(6)} (?:going to|will|shall){_some(2)} (?:see|find|spot|get|have|discover){_some(4)} {_THING}",
        rf"{_SPOT}.* {_FETCH}{_some(4)} {_THING}{_some(3)} (?:from (?:inside|it|there)|out of it|there|inside|in it) ",
        rf" {_IN}(?: the| my)? {_SPOT}(?: there)? (?:is|are|will be|must be|lies?|sits?|stands?){_some(5)} {_THING}",
        rf"{_THING}{_some(3)} {words('shares?, occupies, occupy, fills?, lives? in, lives? on')}(?: the)? {_SPOT}",
        rf"^ (?:both|one|two|all|each|the other)(?: of them| one)? {_IN}(?: the)? {_SPOT}",
        rf"^ (?:{_BE}|hides?){_some(4)} {_IN}{_some(5)} {_SPOT}",
    )
)
"""Ways to say that a spot holds a thing, beside the first three."""
HELD_BY_IT = tuple(
    re.compile(pattern)
    for pattern in (
        rf"^ {_THIS}{_some(4)} {_HAVE}{_some(5)} {_THING}",
        rf"^ {_THIS}{_some(3)} {_HOLD} (?:\w+ )?{_WANTED} ",
        rf"^ (?:none|neither|both|all|each|one) of (?:them|these|those|which) {_HAVE}{_some(4)} {_THING}",
        rf"^ (?:behind|in|inside|on) (?:this|that|the|its|it|here|there)(?: door| one| place)?(?: there)? (?:is|are)"
        rf"{_some(4)} {_THING}",
    )
)
"""Ways to say that the spot which was spoken of last holds a thing."""
THING_THERE = re.compile(rf"{_THING}{_some(5)} {_INSIDE} ")
WHERE_THING = re.compile(rf"{_THING}{_some(4)} {_BE} |^ (?:it|they|one) {_BE} ")
WHERE_FETCHED = re.compile(rf" (?:find|{_FETCH}){_some(3)} {_THING}")
NOWHERE_ELSE = re.compile(
    rf"{_THING}{_some(4)} (?:nowhere|not(?: \w+)? anywhere) else | no (?:other|more|further) #(?P<other>\d+) "
)
RIGHT = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_SPOT}{_some(3)} {_IS}{_some(2)} {_RIGHT} ",
        rf" {_RIGHT}{_some(6)} {_IS}{_some(3)} {_SPOT}",
        rf" it is{_some(2)} {_SPOT}(?: that| which)?{_some(3)} (?:correct|right|wanted|meant|intended|real|needed) ",
    )
)
"""Ways to say that a spot is the right one."""
THAT_IS = re.compile(rf"^ (?:it|that|this) (?:is|must be)(?: \w+){{0,2}} {_SPOT} $")
IT_IS_RIGHT = re.compile(rf"^ (?:it|that|this|this one|that one|which|and that) {_IS}{_some(2)} {_RIGHT} ")
_PRAISE = words("best, right, correct, the one, wanted, match, answer, fits?, to buy")
BEST = re.compile(rf" {_PRAISE} .*@\d+|@\d+ .*{_PRAISE} ")
EMPTY = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_SPOT}{_some(5)} (?:with nothing|empty|bare|vacant|empties) ",
        rf"{_SPOT}{_some(4)} (?:contains?|holds?|has|have|shows?)(?: \w+){{0,2}} (?:nothing|none|no \w+) ",
        rf" (?:nothing|none|no \w+){_some(5)} {_IN}{_some(4)} {_SPOT}",
    )
)
IT_IS_EMPTY = re.compile(
    r"^ (?:it|that|this|this one|that one|which|there|they) (?:is|are|was|were|has|have|holds?|contains?|will|"
    r"turns? out|stands?)(?: \w+){0,5}? (?:empty|bare|nothing) |^ (?:is|are|was) (?:\w+ )?empty |"
    r"nothing (?:in|inside|on) (?:it|them|there|either) "
)
NOT_IN_THOSE = re.compile(
    rf" (?:no|not|none|nothing) .*#.* {_IN} (?:(?:any|all|one) of )?(?:those|these|them|it|there) "
)
_SHUT = r"(?P<state>closed|shut|locked|open|opened|unlocked)(?! away) "
SHUT = re.compile(rf"{_SPOT}{_some(4)} (?:is|are|was|were|being|stays?|stands?|remains?){_some(4)} {_SHUT}")
DOOR_IS_SHUT = re.compile(rf" (?:its door|the door|it|which) (?:is|stands|was|stays)(?: \w+){{0,2}}? {_SHUT}")
IN_STATE = re.compile(
    rf"{_THING}{_some(4)} (?:is|are|was|were|being|kept|stays?){_some(3)} "
    + words(
        """clean, cleaned, washed, dirty, hot, heated, warm, warmed, cold, cool, cooled, chilled, frozen,
    sliced, cut, full, broken"""
    )
    + " "
)
EXISTS = re.compile(
    r" (?:there (?:is|are|will be)|room|kitchen|house|apartment|bathroom|bedroom|exists?|in total|altogether|here) "
)
SKIPS = tuple(
    re.compile(pattern)
    for pattern in (
        " "
        + words(
            r"""skip\w*, ignor\w+, bypass\w*, pass over, leave, leave out, rul(?:e|es|ed|ing) out, exclud\w+, avoid,
    disregard, no (?:need|point|use|reason|sense), not (?:need|have to|worth|necessary|bother|help),
    need not, wast\w+, pointless, useless, needless, irrelevant, unnecessary, fruitless"""
        )
        + rf"(?: (?!go|straight|head|move|and|until|before|@)\w+){{0,5}} {_SPOT}",
        rf"{_SPOT}(?: \w+){{0,4}} "
        + words(
            """skipped, ignored, dropped, left out, ruled out, excluded, irrelevant, useless, pointless,
    unnecessary, wasted, waste, lookalike, decoy, dead end, red herring, distraction, not (?:the )?right,
    not (?:the )?correct"""
        )
        + " ",
    )
)
GROUNDS = word(
    r"""unlikely, usually, rarely, seldom, hardly, belong\w*, typical\w*, normally, later, first, yet, now,
    before, already, seen, saw, searched, checked, looked, opened, visited, again, odd, strange, would,
    probably, more likely, less likely, tend, often, rather"""
)
"""Words that ground it in common sense, or in what was seen, that a spot is passed over."""

PUTS = word(
    """put, puts, putting, place, placing, move, moves, moving, moved, bring, bringing, deliver, delivering,
    store it, set, drop, thrown?, return, carry, carrying, transfer, go in, go on, fit, cool, heat,
    clean, wash, rinse, chill, warm, microwave, use, examine it"""
)
SEEKS = re.compile(
    " "
    + words(
        """look, looking, looks, search, searching, check, checking, hunt, seek, seeking, try, trying, need,
    want, hope, hoping, asks? for, asked for, wants, asks, see if, must, have to, has to, task"""
    )
    + r"(?= )(?! (?:is|be) )"
)
STATE_VERB = re.compile(rf" {_BE}(?= )")
FIRST_PERSON = re.compile(r" (?:i|we|you|me|my)(?= |$)")
SINGLES_OUT = re.compile(r" (?:only|one|single) ")

# What is said of something offered or of a file, in whatever words.

SAYS_OF = word(
    """is, are, was, were, has, have, had, lacks?, sells?, sold, comes?, offers?, offered, contains?,
    holds?, lists?, covers?, includes?, supports?, made, available, in stock, out of stock, lets, does,
    do, carries, features?, keeps?, meets?, begins?, starts?, ends?, uses?, separated, goes?, go, past,
    appears?, shows? up, occurs?, mentions?, exists?, allows?, fits, can(?: not)? be"""
)
HAS_THAT = re.compile(r" (?:has|have|offers?|supports?|lacks?|meets?|is|are) (?:one|it|that|this|them|both|all three) ")
WILL_SAY = re.compile(
    r" (?:will|going to|shall)(?: \w+)? "
    + words("say, find, see, list, show, mention, talk, tell, state, have, return, give, confirm, print, be")
    + r"(?= )"
)
NEW_START = re.compile(r" (?:is|are|i|so|has|have) ")
CONTINUES = re.compile(
    r"^ "
    + words(
        """it, its, this, that, they, their, both, these, which, also, and,
    the (?:page|details|features|description|item|one|others?|file)"""
    )
    + r"(?= )"
)
_DO = words(
    """choose, pick, select, set, click, search, grep, cut, sort(?! of), list, print, count, filter, run,
    pipe, use, look, check, read, open, take, find, see, cat, head, delete, remove, copy"""
)
_PROGRAMS = "grep, awk, sed, find, sort(?! of), uniq, wc, cut, tail, head, cat, ls, xargs"
OF_THE_GOAL = word(
    rf"""tasks?, instruction, asks?, asked, wanted, want, wants, need, needs, needed, requests?, requested,
    requirements?, required, looking for, user, goal, must, {_PROGRAMS}, glob, pattern, command, pipe, pipeline,
    flag, regex,
    (?:i|we|let me|let us|to|and) (?:\w+ )?{_DO}"""
)
"""A clause with one of these speaks of what is wanted or done, not of how things are."""
IMPERATIVE = re.compile(r"^ (?:list|print|count|delete|find|copy|make|create|show|display|search) ")
_ITEM_SHOWN = word(
    """titles?, says?, said, mentions?, mentioned, listed, listing, listings, showed, shown, shows, read,
    told me, gave, in the name"""
)
_FILE_SHOWN = word("listings?, output, printed, showed, shown, shows, saw, seen")
SHOWN = {SpotKind.ITEM: _ITEM_SHOWN, SpotKind.FILE: _FILE_SHOWN}
"""Words by which a clause speaks of what is in view: titles in a list, the output of a command."""
SHOWN_BY = re.compile(r" (?:titles?|in the names?|listings?|output) ")
NOT_SHOWN = re.compile(
    r" (?:even if|even though|although|though) .*(?:title|name) |"
    r" (?:title|name|listing)s?(?: \w+)? (?:not|leaves?|omits?|hides?|cut|stops) "
)
