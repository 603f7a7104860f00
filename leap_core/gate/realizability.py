"""The gate between a teacher and training: prompts only *ask* a teacher not to leak; this *checks*.

A correction passes if its command was admissible at that step, and if its reason gives nothing away that stands in the
privileged state but not in what the student had seen by then (paper, section 3.2). Where commands are in free form, the
hidden facts may say, as `FreeCommands`, which form that is and what no command may hold.
"""

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal

from leap_core.envs.base import find_suite
from leap_core.gate.amounts import amounts_said, amounts_shown
from leap_core.gate.giveaways import Giveaways, Place, Speech, normalise, share_a_word
from leap_core.gate.kinds import LeakKind, is_leak, leak, leak_in_command
from leap_core.gate.relations import ClaimCheck
from leap_core.gate.tellings import telling
from leap_core.text.markup import find_control_token
from leap_core.types import Correction, CorrectionStatus, HiddenFacts, PrivilegedState, Step, StepCorrection, Trajectory

_HEDGE = re.compile(
    r"\b(may|might|could|can|would|should|often|usually|typically|normally|commonly|likely|probably|perhaps|possibly|"
    r"maybe|sometimes|if|whether|not|t|hope|expect|guess|assume|plausible|chance|any|unless|until|when|once|common|"
    r"good)\b"
)
_ASKED_WORDS = 3
"""A hidden text of this many words or more gives nothing away if the task has all of them, as a search has."""
_QUOTED_WORDS = 8
"""This many consecutive words of the privileged text are a quotation, even where each name in them was already seen."""
_FETCH = r"(get|fetch|grab|retrieve|take|collect|pick up|pick)"
_STANDS = r"(is|are|lies|lie|sits|sit|stands|stand|waits|rests|was left)"
_IN = r"(in|on|inside|at|within|under|behind|atop)"


class Gate:
    """Checks the corrections of one trajectory against one privileged state."""

    def __init__(self, trajectory: Trajectory, privileged: PrivilegedState) -> None:
        facts, self._steps = HiddenFacts.of(privileged), trajectory.steps
        self._giveaways = Giveaways.of(facts)
        told = [line for line in privileged.text.splitlines() if trajectory.spec.instruction not in line]
        self._runs = frozenset(_runs(normalise("\n".join(told))))
        self._free = facts.free_commands
        self._unsayable = [normalise(word) for word in self._free.unsayable] if self._free else []
        asked = frozenset(normalise(trajectory.spec.instruction).split())
        texts = (
            text for text in self._giveaways.texts if text.count(" ") + 1 < _ASKED_WORDS or not asked >= {*text.split()}
        )
        self._secrets, self._task = (*texts, *self._unsayable), trajectory.spec.instruction.strip().rstrip(".")
        self._seen = _what_was_seen(trajectory)
        self._amounts_seen = _amounts_seen(trajectory) if self._giveaways.amounts else []
        self._sights = find_suite(trajectory.spec.env).sights(trajectory, privileged)

    def why_rejected(self, correction: StepCorrection, index: int) -> str:
        """Why the correction of step `index` must not train anyone; "" where it may."""
        step = self._steps[index]
        if correction.status is CorrectionStatus.REJECTED:
            return correction.why
        admissible = step.observation.admissible
        if admissible is not None and correction.command not in admissible:
            return "inadmissible: the command was not possible at this step"
        if not correction.reason.strip():
            return "no reason"
        control = find_control_token(correction.reason)
        if control is not None:
            return f"control token: the reason holds {control!r}, which models take for the end of a turn or the like"
        seen = self._seen[index]
        amounts_seen = self._amounts_seen[index] if self._amounts_seen else frozenset[Decimal]()
        if admissible is None:  # a command in free form says itself what it is about
            why = self._why_not_free(correction.command, seen)
            if why:
                return why
            seen = f"{seen} | {normalise(correction.command)}"
            amounts_seen |= amounts_shown(correction.command) if self._amounts_seen else set()
        told = self._what_it_gives_away(correction.reason, seen, amounts_seen)
        if told is None and self._sights:
            said = correction.reason.replace(self._task, " ")  # who repeats the task claims nothing
            told = next(ClaimCheck(self._sights[index]).leaks(said, correction.command), None)
        return leak(*told) if told else ""

    def _why_not_free(self, command: str, seen: str) -> str:
        if self._free is None:
            return ""
        if not re.fullmatch(self._free.form, command):
            return "inadmissible: the command has not the form that is possible at this step"
        named = leaks(command, seen, self._unsayable)
        told = f"names {named[0]!r}, which the student had not seen" if named else ""
        return leak_in_command(LeakKind.NAME, told) if told else ""

    def _what_it_gives_away(
        self, reason: str, seen: str, amounts_seen: AbstractSet[Decimal]
    ) -> tuple[LeakKind, str] | None:
        speech = Speech.of(reason)
        source = telling(speech.whole, seen)
        if source is not None:
            return source
        said, shown = [self._giveaways.joined(sentence) for sentence in speech.sentences], f" {seen} "
        named = [
            *_named(said, shown, self._secrets),
            *(topic for topic in _named(said, shown, self._giveaways.topics) if not share_a_word(topic, shown)),
        ]
        if named:
            return LeakKind.NAME, f"names {named[0]!r}, which the student had not seen"
        amounts = self._amounts_named(reason, amounts_seen)
        if amounts:
            return LeakKind.PRICE, f"names {amounts[0]!r}, which the student had not seen"
        if any(run in self._runs and f" {run} " not in shown for run in _runs(speech.whole)):
            return (
                LeakKind.QUOTE,
                f"quotes {_QUOTED_WORDS} words of the privileged state, which the student had not seen",
            )
        hidden = [place for place in self._giveaways.places if f" {place.thing} " not in shown]
        for sentence in said:
            for place in hidden:
                if _tells(sentence, place):
                    told = f"tells that the {place.kind} is at {place.place!r}, which the student had not seen"
                    return LeakKind.PLACE, told
        return None

    def _amounts_named(self, reason: str, seen: AbstractSet[Decimal]) -> list[str]:
        """The amounts that stand in the privileged state and were not seen, in the reason's words."""
        if not self._giveaways.amounts:
            return []
        said = amounts_said(reason)
        return [words for amount, words in said.items() if amount in self._giveaways.amounts and amount not in seen]


def apply_gate(
    correction: Correction, trajectory: Trajectory, privileged: PrivilegedState, *, check_leaks: bool = True
) -> Correction:
    """Mark each step correction that fails a check as rejected, with the reason; none is dropped.

    Without `check_leaks`, one that fails for a leak alone keeps its status, and only `why` says that it leaks.
    """
    gate, checked = Gate(trajectory, privileged), []
    if len(correction.steps) != len(trajectory.steps):
        raise ValueError(
            f"{len(correction.steps)} corrections for the {len(trajectory.steps)} steps of {trajectory.id}"
        )
    for index, step_correction in enumerate(correction.steps):
        why = gate.why_rejected(step_correction, index)
        passes = is_leak(why) and not check_leaks
        status = step_correction.status if passes else CorrectionStatus.REJECTED
        checked.append(step_correction.with_(status=status, why=why) if why else step_correction)
    return correction.with_(steps=tuple(checked))


def leaks(reason: str, seen: str, secrets: Sequence[str]) -> list[str]:
    """The secrets that `reason` names and `seen` does not show. `seen` and the secrets are normalised."""
    return _named(Speech.of(reason).sentences, f" {seen} ", secrets)


def _named(sentences: Sequence[str], shown: str, secrets: Sequence[str]) -> list[str]:
    said = f" {' | '.join(sentences)} "
    return [secret for secret in secrets if f" {secret} " in said and f" {secret} " not in shown]


def _runs(normalised: str) -> Iterator[str]:
    """All runs of words that are long enough to be a quotation."""
    words = normalised.split()
    return (" ".join(words[start : start + _QUOTED_WORDS]) for start in range(len(words) - _QUOTED_WORDS + 1))


def _tells(sentence: str, place: Place) -> bool:
    """Whether a sentence states, rather than supposes, that a thing of this kind is at its place."""
    if place.place not in sentence or place.kind not in sentence:
        return False
    kind, at = rf"{re.escape(place.kind)}s?( \d+)?", re.escape(place.place)
    states = (
        rf"\b{kind}( \w+){{0,3}}? {_STANDS}( \w+){{0,3}}? {_IN}( \w+){{0,2}}? {at}\b",
        rf"\b{at} (is where|contains|holds|has|hides|stores)( \w+){{0,3}}? {kind}\b",
        rf"\b{at} where( \w+){{0,3}}? {kind} {_STANDS}\b",
        rf"\b{at} (because|since|as) (that is where )?(\w+ )?{kind} {_STANDS} (there|inside|{_IN} it)\b",
        rf"\b{_FETCH}( \w+){{0,2}}? {kind} (\w+ )?(from|out of|off|{_IN})( the)? {at}\b",
    )
    if re.search(rf"\b{kind}( \w+){{0,3}}? {_STANDS} not {_IN}( \w+){{1,4}}? but {_IN}( the)? {at}\b", sentence):
        return True
    matches = (re.search(pattern, sentence) for pattern in states)
    return any(match and not _HEDGE.search(sentence[: match.end()]) for match in matches)


def _what_was_seen(trajectory: Trajectory) -> list[str]:
    """For each step, all that the student knew by then, normalised: goal, observations, possible commands, its own."""
    seen, known = [], normalise(trajectory.spec.instruction)
    for step in trajectory.steps:
        known = f"{known} | {_shown(step)}"
        seen.append(known)
        known = f"{known} | {normalise(step.action.command)}"
    return seen


def _amounts_seen(trajectory: Trajectory) -> list[AbstractSet[Decimal]]:
    """For each step, the numbers of all that the student knew by then."""
    seen, known = list[AbstractSet[Decimal]](), frozenset(amounts_shown(trajectory.spec.instruction))
    for step in trajectory.steps:
        known |= amounts_shown("\n".join((step.observation.text, *(step.observation.admissible or ()))))
        seen.append(known)
        known |= amounts_shown(step.action.command)
    return seen


def _shown(step: Step) -> str:
    # Separators keep two neighbouring commands from forming a phrase that neither of them has.
    admissible = " | ".join(normalise(command) for command in step.observation.admissible or ())
    return f"{normalise(step.observation.text)} | {admissible}"
