"""InterCode Bash from the first observation to the score, in real sandboxes."""

import time
from dataclasses import replace

import pytest
from intercode_sandboxes import SMALL, SMALL_IMAGE, make_small_image, needs_engine, needs_sandbox

from leap_core.config import EnvironmentConfig
from leap_core.envs.intercode_bash.environment import FILE_AGE_S, FindTask, IntercodeBashEnvironment, archive_path
from leap_core.envs.intercode_bash.privileged import IntercodeBashFacts
from leap_core.envs.intercode_bash.sandbox.backends import SandboxUnavailableError, require
from leap_core.envs.intercode_bash.sandbox.bubblewrap import BubblewrapBackend
from leap_core.envs.intercode_bash.sandbox.docker import DockerBackend
from leap_core.envs.intercode_bash.suite import IntercodeBashSuite
from leap_core.errors import EnvironmentCrashError, LeapError
from leap_core.loading import open_pool
from leap_core.types import Spec

pytestmark = pytest.mark.slow

GOLDS = {
    "list": "ls /yard",
    "append": "echo two >> /yard/a.txt",
    "create": "echo new > /yard/new.txt",
    "folder": "mkdir /yard/more && echo new > /yard/more/x.txt",
    "date": "stat -c %Y /yard/a.txt",
    "binary": r"printf '\377\376'",
    "quoted": 'echo "a b"',
    "malformed": 'echo "',
    "ignore": "echo x > /yard/.gitignore",
}


@pytest.fixture(
    scope="module",
    params=[pytest.param("bubblewrap", marks=needs_sandbox), pytest.param("docker", marks=needs_engine)],
)
def backend(request):
    if request.param == "bubblewrap":
        return BubblewrapBackend({})
    make_small_image()
    return DockerBackend({"image": SMALL_IMAGE})


@pytest.fixture(scope="module")
def root(backend, tmp_path_factory):
    root = tmp_path_factory.mktemp("specs")
    backend.build(SMALL, archive_path(root, "small"))
    return root


@pytest.fixture
def environment(backend, root):
    made = environment_of(backend, root, timeout_s=10.0)
    yield made
    made.close()


def environment_of(backend, root, timeout_s):
    return IntercodeBashEnvironment(backend, FindTask(root, GOLDS), timeout_s, 200)


def only_bubblewrap(backend):
    if backend.name != "bubblewrap":
        pytest.skip("a container has dates and folders of its image's own")


def spec(id):
    return Spec(id=id, env="intercode_bash", split="train", instruction=f"Do {id}.", params={"file_system": "small"})


def play(environment, id, *commands):
    environment.reset(spec(id))
    for command in commands[:-1]:
        environment.step(command)
    return environment.step(commands[-1])


@pytest.mark.parametrize("id", [id for id in GOLDS if id not in ("binary", "malformed")])
def test_gold_commands_score_one(backend, environment, id):
    if id == "date":
        only_bubblewrap(backend)  # `git reset` dates files anew, in the original too
    result = play(environment, id, GOLDS[id], "submit")
    assert (result.score, result.success, result.terminated) == (1.0, True, True)


def test_only_a_submission_has_parts_of_a_score(environment):
    result = play(environment, "create", "echo other > /yard/new.txt", "submit")
    assert result.score == pytest.approx(0.67)
    assert result.score_parts == {
        "base": 0.01, "file differences": 0.33, "contents of new files": 0.0, "answer": 0.33
    }  # fmt: skip
    assert play(environment, "create", "ls").score_parts == {}
    assert play(environment, "create", "skip").score_parts == {}


@pytest.mark.parametrize(
    ("command", "score", "why"),
    [
        ("printf '*\n!new.txt\n' > /yard/.gitignore", 1.0, "yard/.gitignore"),
        (
            "printf '*.txt text eol=lf' > /yard/.gitattributes; printf '.git*\\njunk*' > /yard/.gitignore; "
            "printf 'one\\r\\n' > /yard/a.txt",
            1.0,
            "/yard/.gitattributes, /yard/.gitignore",
        ),
        ("mkdir /yard/.git; mv /yard/junk.txt /yard/.git/", 1.0, "yard/.git"),
        ("rm /yard/junk.txt; echo '/yard/none' >> /.gitignore", 0.72, "/.gitignore"),
        ("rm /yard/junk.txt; mkdir -p '/x ?? yard'; touch '/x ?? yard/new.txt ?? y'", 0.67, "falls apart"),
        ("true", 0.72, None),
        ("rm /yard/junk.txt", 1.0, None),
        ("mv /yard/junk.txt /root; cd /root; git init -q", 1.0, None),
    ],
)
def test_what_steers_the_score_keeps_it_and_is_suspect(backend, environment, command, score, why):
    only_bubblewrap(backend)
    result = play(environment, "create", f"echo new > /yard/new.txt; echo junk > /yard/junk.txt; {command}", "submit")
    assert result.score == pytest.approx(score, abs=0.01)
    assert result.suspicion is None if why is None else why in result.suspicion
    assert result.suspicion is None or result.suspicion not in result.observation.text


def test_what_the_gold_command_does_too_is_not_suspect(environment):
    assert play(environment, "ignore", GOLDS["ignore"], "submit").suspicion is None
    assert "yard/.gitignore" in play(environment, "ignore", "ls", "submit").suspicion


def test_contents_of_a_new_folder_are_not_compared(environment):
    assert play(environment, "folder", "mkdir /yard/more; echo other > /yard/more/x.txt", "submit").score == 1.0


def test_the_score_without_any_command_compares_the_task_itself(environment):
    assert play(environment, "list", "submit").score == pytest.approx(0.67)


def test_output_that_is_no_text_is_malformed_and_matches_nothing(environment):
    result = play(environment, "binary", GOLDS["binary"])
    assert (result.observation.text, result.valid) == ("Malformed command", False)
    assert environment.step("submit").score == pytest.approx(0.67)


def test_skip_gives_nothing(environment):
    result = play(environment, "append", GOLDS["append"], "skip")
    assert (result.score, result.success, result.terminated) == (0.0, False, True)


def test_only_a_leading_cd_lasts(environment):
    environment.reset(spec("list"))
    assert environment.step("pwd").observation.text == "/\n"
    assert environment.step("cd yard").valid
    assert environment.step("pwd").observation.text == "/yard\n"
    environment.step("x=1; cd /; ls")
    assert environment.step("pwd; echo $x").observation.text == "/yard\n\n"
    environment.step("cd nowhere")
    assert environment.step("pwd").observation.text == "/yard\n"
    environment.step("cd ../yard/sub && ls")
    assert "chdir to cwd" in environment.step("pwd").observation.text
    assert environment.step("cd /yard").valid
    assert environment.step("cat a.txt").observation.text == "one\n"


def test_what_counts_as_valid(environment):
    environment.reset(spec("list"))
    for command, valid in {
        "grep nothing /yard/a.txt": True,
        "ls /nowhere": True,
        "no_such_program": False,
        "/yard/a.txt": False,
        'echo "': False,
        "cd": False,
        "": False,
    }.items():
        assert environment.step(command).valid is valid, command


def test_a_command_that_takes_too_long(backend, root):
    environment = environment_of(backend, root, timeout_s=2.0)
    environment.reset(spec("list"))
    started = time.monotonic()
    result = environment.step("touch /yard/before; sleep 30; touch /yard/after")
    assert 2 <= time.monotonic() - started < 15
    assert (result.observation.text, result.valid) == ("Command timed out", False)
    assert environment.step("ls /yard").observation.text == "a.txt\nbefore\nold.txt\nsub\n"
    environment.close()


def test_long_and_strange_output(environment):
    environment.reset(spec("list"))
    assert environment.step("seq 1000").observation.text.endswith("[cut off here: at least 3693 more characters]")
    assert environment.step(r"printf '\033[2J\000'").observation.text == "\\x1b[2J\\x00"


def test_error_and_output_are_one(environment):
    environment.reset(spec("list"))
    text = environment.step("echo first; echo second >&2; echo third").observation.text
    assert text == "first\nsecond\nthird\n"


def test_files_have_an_age_and_dates_of_their_own(backend, environment):
    only_bubblewrap(backend)
    environment.reset(spec("date"))
    age = time.time() - int(environment.step("stat -c %Y /yard/a.txt").observation.text)
    assert FILE_AGE_S <= age < FILE_AGE_S + 60
    assert environment.step("find /yard -mtime +1000").observation.text == "/yard/old.txt\n"


def test_the_next_episode_is_clean(backend, environment):
    play(environment, "list", "rm -rf /yard /etc /root; echo x > /new; cd /tmp", "submit")
    environment.reset(spec("list"))
    assert environment.step("cat /yard/a.txt; cat /new").observation.text.startswith("one\ncat: /new: No such")
    only_bubblewrap(backend)
    listing = environment.step("pwd; ls -A / /yard | grep -v -E '^(bin|s?bin|lib.*)$'").observation.text
    names = "/ /: .gitignore dev etc home mnt opt proc root run set_up.sh srv sys tmp usr var yard"
    assert " ".join(listing.split()) == f"{names} /yard: a.txt old.txt sub"


def test_thirty_two_episodes_at_once(backend, root):
    only_bubblewrap(backend)
    environments = [environment_of(backend, root, timeout_s=10.0) for _ in range(32)]
    for number, environment in enumerate(environments):
        environment.reset(spec("create"))
        environment.step(f"echo {number} > /yard/mine")
    for number, environment in enumerate(environments):
        assert environment.step("cat /yard/mine").observation.text == f"{number}\n"
        environment.close()


def test_a_step_without_an_episode(environment):
    with pytest.raises(EnvironmentCrashError, match="reset"):
        environment.step("ls")


@needs_sandbox
def test_a_set_up_script_that_fails(tmp_path):
    broken = replace(SMALL, script="#!/bin/bash\necho no room here\nexit 3\n")
    with pytest.raises(LeapError, match=r"set_up\.sh.*small.*exit status 3.*no room here"):
        BubblewrapBackend({}).build(broken, tmp_path / "x.tar")


@needs_sandbox
def test_building_again_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        BubblewrapBackend({}).build(SMALL, tmp_path / f"{name}.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


class NoSandbox:
    """A backend on a machine where none works."""

    name = "none"

    def problem(self):
        return "namespaces are forbidden. Allow them."


def test_without_a_sandbox_nothing_runs():
    with pytest.raises(SandboxUnavailableError, match=r"namespaces are forbidden.*never run outside a sandbox"):
        require(NoSandbox())


@needs_sandbox
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_bundled_golds_score_one_and_doing_nothing_would_not(tmp_path, split):
    suite = IntercodeBashSuite(EnvironmentConfig(name="intercode_bash"))
    specs = suite.prepare(tmp_path, split, 0)
    environment = suite.make(tmp_path)
    for one in specs:
        facts = IntercodeBashFacts.of(suite.privileged_state(tmp_path, one))
        environment.reset(one)
        environment.step(facts.gold)
        assert environment.step("submit").score == 1.0, one.id
        assert facts.gold_output or facts.gold_changes, one.id
    environment.close()


def test_doing_nothing_scores_less_where_something_is_to_be_done(environment):
    for id in ("list", "append", "create"):
        assert play(environment, id, "true", "submit").score < 1.0


@needs_sandbox
def test_worker_processes_leave_nothing_behind(tmp_path):
    config = EnvironmentConfig(name="intercode_bash", num_train=2)
    specs = IntercodeBashSuite(config).prepare(tmp_path, "train", 0)
    with open_pool(config, tmp_path, 1) as pool:
        pool.reset_many([(one.id, one) for one in specs])
        results = pool.step_many([(one.id, "echo hello") for one in specs])
    assert [result.observation.text for result in results] == ["hello\n", "hello\n"]
