"""What endpoints do wrong, what the teacher makes of it, and what ends on the record.

    python tests/endpoint_faults.py          the table, by running all of it

Each fault is met twice: once, after which the endpoint behaves; and always, so that it ends on the record.
"""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time

from chat_server import Answer, ChatServer, completion, error, reply
from scripted_teacher import advice, corrections, well_behaved
from taught_episode import correct, episode

from leap_core.errors import LeapError

TIMEOUT_S = 3.0
"""The client's, where the endpoint is slow."""
NUM_AT_ONCE = 8
MOST_SHOWN = 110


@dataclass(frozen=True, kw_only=True)
class EndpointFault:
    """One fault: what the endpoint answers, and where it must lead if it passes and if it stays.

    `stays` begins what is told: "rejected" and "failed" stand on the correction, "ends" is the run's last line.
    """

    name: str
    bad: Callable[[dict], Answer]
    passes: str = "corrected"
    stays: str
    timeout_s: float = 60.0


def _value(value):
    return lambda body: Answer(content=json.dumps(value).encode())


def _cut(**fields):
    return lambda body: Answer(content=corrections(advice(body)).content, **fields)


def _steps(change):
    return lambda body: corrections(change(advice(body)))


def _always(answer):
    return lambda body: answer


_TRIES = "failed: No reply after 2 tries"
FAULTS = (
    EndpointFault(name="429", bad=_always(error(429, "slow down")), stays=_TRIES),
    EndpointFault(name="429, retry-after", bad=_always(error(429, retry_after="0.2")), stays=_TRIES),
    EndpointFault(
        name="429, retry-after a date",
        bad=lambda body: error(429, retry_after=formatdate(time() + 1, usegmt=True)),
        stays=_TRIES,
    ),
    EndpointFault(name="500", bad=_always(error(500)), stays=_TRIES),
    EndpointFault(name="503, no JSON", bad=_always(Answer(status=503, content=b"<html>")), stays=_TRIES),
    EndpointFault(name="slow first byte", bad=_always(reply(delay_s=2 * TIMEOUT_S)), stays=_TRIES, timeout_s=TIMEOUT_S),
    EndpointFault(name="stalled stream", bad=_cut(cut=40, stall_s=2 * TIMEOUT_S), stays=_TRIES, timeout_s=TIMEOUT_S),
    EndpointFault(name="reset before the answer", bad=_cut(cut=-1), stays=_TRIES),
    EndpointFault(name="reset after the head", bad=_cut(cut=0), stays=_TRIES),
    EndpointFault(name="reset in the middle", bad=_cut(cut=40), stays=_TRIES),
    EndpointFault(name="truncated JSON", bad=_always(Answer(content=reply().content[:-9])), stays=_TRIES),
    EndpointFault(name="huge reply", bad=_always(Answer(content=b" " * 33_000_000)), stays=_TRIES),
    EndpointFault(name="wrong length: a step missing", bad=_steps(lambda steps: steps[:-1]), stays="rejected: missing"),
    EndpointFault(
        name="wrong length: steps beyond the end",
        bad=_steps(lambda all: [*all, all[0] | {"step": 99}]),
        stays="corrected",
    ),
    EndpointFault(
        name="an impossible action",
        bad=_steps(lambda all: [one | {"action": "fly"} for one in all]),
        stays="rejected: inadmissible",
    ),
    EndpointFault(
        name="a leak",
        bad=_steps(lambda all: [one | {"reason": "Mug 2 is in cabinet 3."} for one in all]),
        stays="rejected: leak",
    ),
    EndpointFault(name="no JSON in the reply", bad=_always(reply("No idea.")), stays="rejected: unreadable"),
    EndpointFault(name="refusal", bad=_value(completion(None, refusal="I will not.")), stays="rejected: refused"),
    EndpointFault(
        name="empty choices",
        bad=_value(completion("") | {"choices": []}),
        stays="rejected: unreadable: the reply was empty",
    ),
    EndpointFault(
        name="finish_reason length", bad=_value(completion('{"summary": "', finish="length")), stays="rejected: cut off"
    ),
    EndpointFault(
        name="all in reasoning_content",
        bad=lambda body: Answer(
            content=json.dumps(
                completion(None, reasoning_content=json.dumps({"summary": "", "steps": advice(body)}))
            ).encode()
        ),
        stays="corrected",
    ),
    EndpointFault(
        name="an unknown parameter", bad=_always(error(400, "Unsupported", param="response_format")), stays="failed"
    ),
    EndpointFault(
        name="prompt too long",
        bad=_always(error(400, "maximum context length is 8 tokens", code="context_length_exceeded")),
        stays="rejected: too long",
    ),
    EndpointFault(name="bad request", bad=_always(error(400, "no such role")), passes="failed", stays="failed"),
    EndpointFault(name="wrong model", bad=_always(error(404, "no such model")), passes="ends", stays="ends"),
    EndpointFault(name="bad key", bad=_always(error(401, "Incorrect API key")), passes="ends", stays="ends"),
    EndpointFault(name="402", bad=_always(error(402, "pay first")), passes="ends", stays="ends"),
    EndpointFault(
        name="redirect to another address",
        bad=_always(Answer(status=307, headers={"location": "http://elsewhere.example/v1"})),
        passes="ends",
        stays="ends",
    ),
    EndpointFault(name="529", bad=_always(error(529, "overloaded")), stays=_TRIES),
    EndpointFault(name="JSON 200,000 deep", bad=_always(Answer(content=b"[" * 200_000)), stays=_TRIES),
    EndpointFault(
        name="advice 200,000 deep", bad=_always(reply("[" * 200_000 + "]" * 200_000)), stays="rejected: unreadable"
    ),
    EndpointFault(name="half a pair of surrogates", bad=_always(reply("\ud83d")), stays="rejected: unreadable"),
    EndpointFault(name="429, retry-after nan", bad=_always(error(429, retry_after="nan")), stays=_TRIES),
    EndpointFault(
        name="an error that comes as a success", bad=_value({"error": {"message": "no", "code": 503}}), stays=_TRIES
    ),
    EndpointFault(
        name="no credit", bad=_always(error(429, "quota", code="insufficient_quota")), passes="ends", stays="ends"
    ),
)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What came of a fault: the requests that were sent, and what was told in the end."""

    num_requests: int
    told: str


def meet(fault, path, num_bad):
    """Let a teacher correct one episode at an endpoint whose first so many answers are bad."""
    with ChatServer(lambda body, n: fault.bad(body) if n < num_bad else well_behaved(body, n)) as server:
        try:
            (correction,) = correct(server, path, episode(), timeout_s=fault.timeout_s)
        except LeapError as failure:
            return Seen(num_requests=server.num_requests, told=f"ends: {failure}")
    if correction.error:
        return Seen(num_requests=server.num_requests, told=f"failed: {correction.error}")
    whys = [step.why for step in correction.steps if step.why]
    return Seen(num_requests=server.num_requests, told=f"rejected: {whys[0]}" if whys else "corrected")


def meet_all(path):
    """For each fault, what came of it when it passed and when it stayed. Most of that is waiting."""

    def meet_both(numbered):
        number, fault = numbered
        passing, staying = path / f"{number}-passes", path / f"{number}-stays"
        return meet(fault, passing, 1), meet(fault, staying, 10**9)

    with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        return list(pool.map(meet_both, enumerate(FAULTS)))


def main():
    with TemporaryDirectory() as name:
        met = meet_all(Path(name))
    print("| fault | once: requests, then | if it stays: requests, on the record |\n|---|---|---|")
    for fault, outcomes in zip(FAULTS, met, strict=True):
        passed, stayed = (f"{seen.num_requests}, {_shortened(seen.told)}" for seen in outcomes)
        print(f"| {fault.name} | {passed} | {stayed} |")


def _shortened(told):
    told = re.sub(r"http://[\d.:]+/v1", "ADDRESS", told)
    return told if len(told) <= MOST_SHOWN else f"{told[:MOST_SHOWN]} ..."


if __name__ == "__main__":
    main()
