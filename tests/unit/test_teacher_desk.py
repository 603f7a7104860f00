"""The process in which conversations with a teacher are led: how it ends, and what it is not told."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from taught_episode import episode

from leap_core.chat.messages import ChatReply
from leap_core.errors import LeapError
from leap_core.teachers.conversation import OpenAITeacherParams
from leap_core.teachers.desk import Desk, DeskSetup

SETUP = DeskSetup(
    environment="alfworld",
    params=OpenAITeacherParams(model="m"),
    level=100,
    check_leaks=True,
    address="http://127.0.0.1:1/v1",
)


def reply(text):
    return ChatReply(text=text, finish="stop", prompt_tokens=1, completion_tokens=1)


def on_a_desk(work, **environ):
    async def run():
        desk = await Desk.open(SETUP, without={"THE_KEY"})
        try:
            return await asyncio.wait_for(work(desk), 60)
        finally:
            await desk.close()

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        return asyncio.run(run())


def test_conversations_go_on_side_by_side():
    async def work(desk):
        first, second = await desk.begin(episode(1, num_steps=1)), await desk.begin(episode(2, num_steps=1))
        assert "Room 1" in first.asked.request.messages[1].content
        assert "Room 2" in second.asked.request.messages[1].content
        assert first.asked.key != second.asked.key
        good = '{"steps": [{"step": 1, "reason": "I look for it.", "action": "inventory"}]}'
        await second.answer(reply(good))
        await first.answer(reply("no"))
        assert second.asked is None
        assert second.steps[0].command == "inventory"
        assert "no JSON" in first.asked.request.messages[-1].content
        first.drop()

    on_a_desk(work)


def test_a_desk_that_is_killed_is_told_to_those_who_wait_and_to_those_who_come():
    async def work(desk):
        talk = await desk.begin(episode(1))
        os.kill(desk.pid, signal.SIGSTOP)
        waiting = asyncio.create_task(talk.answer(reply("{}")))
        await asyncio.sleep(0)
        os.kill(desk.pid, signal.SIGKILL)
        with pytest.raises(LeapError, match=r"has ended.*paid for is kept"):
            await waiting
        with pytest.raises(LeapError, match="has ended"):
            await desk.begin(episode(2))

    on_a_desk(work)


def test_a_defect_is_told_by_its_place_and_without_a_word_of_what_is_privileged():
    async def work(desk):
        broken = episode(1)
        object.__setattr__(broken.privileged, "facts", {"free_commands": {"form": "(SECRET", "unsayable": 3}})
        with pytest.raises(LeapError, match=r"ValidationError at \w+\.py:\d+") as caught:
            await desk.begin(broken)
        assert "SECRET" not in str(caught.value)
        assert (await desk.begin(episode(2))).asked, "the desk goes on"

    on_a_desk(work)


def test_the_key_is_not_handed_on():
    async def work(desk):
        await desk.begin(episode(1))
        return Path(f"/proc/{desk.pid}/environ").read_bytes()

    environ = on_a_desk(work, THE_KEY="sk-planted", ANOTHER="handed on")
    assert b"ANOTHER=handed on" in environ
    assert b"sk-planted" not in environ


def test_it_ends_when_whoever_began_it_is_killed(tmp_path):
    code = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_teacher_desk import SETUP, Desk
async def main():
    desk = await Desk.open(SETUP, without=())
    print(desk.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    tests = str(Path(__file__).parents[1])
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(tests).parent), tests])}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environ)
    pid = int(process.stdout.readline())
    assert is_running(pid)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
