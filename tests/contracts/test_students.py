"""What every kind of student must do. A new kind adds one line to MAKERS.

Not covered: that replies are any good.
"""

import atexit

import pytest
from chat_server import ChatServer
from chat_server import reply as completion
from student_models import conversation, make_small_tiny

from leap_core.config import EndpointConfig, ExecutionConfig, StudentConfig
from leap_core.registry import load_kind
from leap_core.students import STUDENTS
from leap_core.students.base import ActRequest

EXECUTION = ExecutionConfig(device="cpu", batch_size=4)


def make_hf(folder):
    make_small_tiny(folder)
    return folder, StudentConfig(max_new_tokens=12), EXECUTION


def make_scripted(folder):
    replies = ["REASON: a\nACTION: look", "REASON: b\nACTION: go to cabinet 1"]
    return folder, StudentConfig(kind="scripted", params={"replies": replies}), EXECUTION


def make_openai(folder):
    server = ChatServer(lambda body, n: completion(f"REASON: {len(str(body))}.\nACTION: look"))
    atexit.register(server.__exit__)
    execution = ExecutionConfig(student=EndpointConfig(base_url=server.url), journal=str(folder / "journal.sqlite"))
    return "a-model", StudentConfig(kind="openai"), execution


MAKERS = {"hf": make_hf, "scripted": make_scripted, "openai": make_openai}


@pytest.fixture(scope="module", params=sorted(STUDENTS))
def make(request, tmp_path_factory):
    assert request.param in MAKERS, f"add the student {request.param!r} to MAKERS"
    path, config, execution = MAKERS[request.param](tmp_path_factory.mktemp(request.param))
    return lambda: load_kind("student", request.param, STUDENTS)(path, config, execution, 0.7)


def requests(episodes, turn):
    return [
        ActRequest(slot=f"e{e}", messages=conversation(e, turn), admissible=None, seed=10 * e + turn) for e in episodes
    ]


def play(student, episodes, turns):
    return [reply.text for turn in range(turns) for reply in student.act(requests(episodes, turn))]


def test_there_is_one_reply_for_each_request(make):
    student = make()
    for count in (0, 1, 3, 9):
        replies = student.act(requests(range(count), 1))
        assert len(replies) == count
        assert all(reply.error is None for reply in replies)


def test_the_same_requests_give_the_same_replies(make):
    assert play(make(), range(6), 3) == play(make(), range(6), 3)


def test_a_reply_belongs_to_its_request_whatever_stands_beside_it(make):
    together = [reply.text for reply in make().act(requests(range(6), 1))]
    backwards = [reply.text for reply in make().act(requests(range(5, -1, -1), 1))]
    alone = [make().act(requests([episode], 1))[0].text for episode in range(6)]
    assert together == backwards[::-1] == alone


def test_a_released_episode_starts_afresh(make):
    student = make()
    first = play(student, range(3), 2)
    student.release(["e0", "e1", "e2"])
    assert play(student, range(3), 2) == first


def test_releasing_an_unknown_episode_is_harmless(make):
    student = make()
    student.release(["nobody"])
    student.release([])
    assert len(student.act(requests([1], 0))) == 1


def test_every_reply_says_what_it_cost(make):
    for reply in make().act(requests(range(3), 1)):
        assert reply.usage.num_requests == 1


def test_it_can_be_closed_twice(make):
    student = make()
    student.act(requests([0], 0))
    student.close()
    student.close()


def test_its_name_is_the_one_it_is_chosen_by(make):
    student = make()
    assert student.name in STUDENTS
