"""How sure a reason is of what it says: its clauses, and whether each asserts, denies, supposes or asks."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leap_core.gate.lexicon import word, word_set, words
from leap_core.gate.mentions import Sentence

_BREAKS = word_set(
    ", : ( ) - – — because since so but where which while although though therefore whereas hence thus however"
)
_LOOSE = word_set(", ( ) - – —")
_SUBJECTS = word_set("i it there they that this so then he she nothing none only neither both we you")
_AS = word_set("the it there i they this that my no nothing @ # we")
_NOT_AS = word_set("such well far soon long same just much")
_VERB = word_set(
    """is are was were has have had holds hold contains contain does do did will would lies lie sits sit
    stands stand comes come offers offer might may could can must should"""
)
_NEGATION = word(
    "not, no, nothing, never, none, neither, nor, without, lacks?, lacking, free of, devoid, nobody, nowhere, cannot"
)
_AND_NOT = re.compile(r" (?:(?:and|but) not|rather than|instead of) (?:the |on |in |at |with )*@\d+(?= )")
_CAN = (
    "can(?! (?:be (?:had|chosen|selected|picked|ordered|bought|set|skipped|dropped|left|ignored|ruled|executed)|only|"
    "choose|select|pick|get|skip|leave|not ))"
)
_SUPPOSES = word(
    rf"""{_CAN}, may, might, could, should, would, often, usually, typically, normally, commonly, generally, mostly,
    likely, unlikely, probably, perhaps, possibly, maybe, sometimes, rarely, seldom, hardly, tends?,
    seems?, hop(?:e|es|ing), expect(?:ing)?, guess, assum\w+, suppos\w+, suspect, think, believe, imagine, wonder,
    bet, plausible, possible, chances?, candidates?, sensible, reasonable, natural, promising, common, worth,
    presumably, apparently, in general, good (?:place|spot|start|candidate|bet|idea|guess|choice), kind of place,
    belongs?, such as, like to be, potentially, either way, (?:do|did|does) not know,
    not (?:sure|certain|clear|known), unknown, unsure, no idea,
    can not (?:tell|say|know), (?<!going )to see, see (?:if|whether), check (?:if|whether|for), as good as any"""
)
_CONDITION = word("(?<!even )if, whether, unless, in case, until, provided, suppose, assuming, otherwise, should i")
_SURE = word(
    r"""definitely, certainly, surely, undoubtedly, precisely, specifically, of all places, no doubt,
    for sure, to be exact, of all (?:the )?(?:\w+ )?\w+s, not the other"""
)
_GO_AND = words("then, now, just, therefore, also, go, head, walk, over, back, straight")
_DO = words(
    """go, head, walk, take, get, fetch, grab, pick, move, open, return, collect, retrieve, start, skip, leave, ignore,
    drop, to"""
)
_I_SHOULD = re.compile(rf" (?:i|we) (?:should|can|could|would|might|may)(?= (?:{_GO_AND} )*{_DO} )")
"""A plan, and no guess."""
_FINITE = word(
    """is, are, was, were, am, has, have, had, will, do, does, did, holds?, contains?, comes?, lies?, sits?,
    stands?, i, so, because"""
)
_WONDER = words(
    "know, tell, say, sure, see, wonder, clear, out, check, decide, learn, matter, from here, question(?: is)?"
)
_SHORT = 3
_ASKS = re.compile(f" {_WONDER} $")
"""The end of a clause after which "which" and "where" ask."""
_CONTRAST = re.compile(
    r" (?:and |but |while |, )*(?:probably |perhaps )?not (?:on |in |the |at |with )*@\d|"
    r" (?:while|whereas|and|but) (?:the )?@\d+(?: \w+){0,2} not | the other way (?:round|around) |"
    r"rather than (?:the )?@"
)
"""A guess that also says which alternative it is not: only who knows can tell those apart."""


@dataclass(frozen=True, kw_only=True)
class Clause:
    """A part of a sentence that says one thing. `text` has a space before and behind each word.

    `link` is the word that joins it to the one before, `around` the text of all that only commas join it to.
    `supposes`: as a guess, a rule of thumb or under a condition. `denies`: it has a negation.
    `sure`: it insists, whatever else it says.
    """

    text: str
    link: str
    around: str
    sentence: Sentence
    supposes: bool
    denies: bool
    sure: bool


def clauses_of(sentence: Sentence) -> Iterator[Clause]:
    """The clauses of a sentence, in order."""
    is_conditional = supposed = asks = False
    whole = f" {' '.join(sentence.words)} "
    insists = _SURE.search(whole) is not None or _CONTRAST.search(whole) is not None
    parts = list(_split(sentence.words))
    for number, (link, spoken) in enumerate(parts):
        text = f" {' '.join(spoken)} "
        condition = _CONDITION.search(text)
        guess = bool(_SUPPOSES.search(_I_SHOULD.sub(" i", text)) or condition or sentence.is_question)
        is_guess = number + 1 < len(parts) and _is_guess(*parts[number + 1])
        follows = (
            (is_conditional and link in (",", "and", "then"))
            or (supposed and not _FINITE.search(text))
            or (asks and link in ("which", "where"))
            or is_guess
        )
        asks = _ASKS.search(text) is not None
        supposed = guess or follows
        yield Clause(
            text=text,
            link=link,
            around=_around(parts, number),
            sentence=sentence,
            supposes=supposed,
            denies=_NEGATION.search(_AND_NOT.sub(" ", text)) is not None,
            sure=insists,
        )
        is_conditional = condition is not None and (number == 0 or is_conditional or condition.start() < 3)


def _is_guess(link: str, said: Sequence[str]) -> bool:
    """Whether a clause does nothing but call the one before a guess: ", I think"."""
    is_short = len(said) <= _SHORT and not any(one[0] in "@#" for one in said)
    return link == "," and is_short and _SUPPOSES.search(f" {' '.join(said)} ") is not None


def _around(parts: Sequence[tuple[str, list[str]]], number: int) -> str:
    first = last = number
    while parts[first][0] in _LOOSE and first > 0:
        first -= 1
    while last + 1 < len(parts) and parts[last + 1][0] in _LOOSE:
        last += 1
    return f" {' '.join(one for _, spoken in parts[first : last + 1] for one in spoken)} "


def _split(said: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    link, part = "", list[str]()
    for index, one in enumerate(said):
        if one in _BREAKS or _breaks(said, index):
            if part:
                yield link, part
                link, part = one, []
            else:
                link = one
        else:
            part.append(one)
    if part:
        yield link, part


def _breaks(said: Sequence[str], index: int) -> bool:
    """Whether "and" or "as" begins a clause here."""
    one, following = said[index], said[index + 1 : index + 6]
    if not following:
        return False
    if one == "as":
        return following[0][0] in "@#" or (following[0] in _AS and said[max(index - 1, 0)] not in _NOT_AS)
    if one not in ("and", "or", "nor"):
        return False
    starts = following[1:] if following[0] in ("the", "a", "my") else following
    has_subject = bool(starts) and starts[0][0] in "@#"
    return (following[0] in _SUBJECTS and one == "and") or (has_subject and bool(_VERB & set(starts[1:3])))
