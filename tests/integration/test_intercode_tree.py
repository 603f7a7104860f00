"""Trees that a hostile model wrote, in the bubblewrap sandbox: the score is not steered, held up or fooled by them."""

import time

import pytest
from intercode_sandboxes import needs_sandbox, run

pytestmark = [needs_sandbox, pytest.mark.slow]


# ---- the sandbox's own files


@pytest.mark.parametrize(
    "command",
    [
        "rm -rf /bin /sbin /lib64 /etc /proc/1 /dev",
        "rm -rf --no-preserve-root /",
        "mv /bin /nib; mv /usr /rsu; mv /lib64 /x; mv /etc /cte; mv /proc /corp; mv /dev /ved",
        "mv /usr/bin /usr/nib; rm -rf /usr/lib; ln -s /yard /usr/lib32; mkdir -p /usr/more/bin; mv /usr/share /usr/x",
        "rmdir /proc /dev /etc; ln -sfn /yard /usr; ln -sfn /yard /etc; ln -sfn /yard /dev",
        "cp /bin/false /yard/git; PATH=/yard:$PATH; echo 'exit 1' > /etc/profile; echo 'exit 1' > /root/.bashrc",
        "chmod 000 /yard /root /tmp /dev/shm",
    ],
)
def test_the_sandbox_cannot_be_broken_from_inside(sandbox, command):
    run(sandbox, command)
    assert run(sandbox, "echo still works; awk 'BEGIN { print 6 * 7 }'").output.endswith(b"still works\n42\n")
    assert sandbox.changes(10) is not None


def test_a_root_directory_that_may_not_be_entered(sandbox):
    run(sandbox, "echo new > /yard/new.txt; chmod 000 /")
    assert run(sandbox, "chmod 755 /").exit_status == 127  # the model has shut itself out
    assert sandbox.changes(10) == "?? yard/new.txt\n"


def test_no_permission_hides_a_file_from_the_score(sandbox):
    run(sandbox, "cd /yard; mkdir hidden; echo new | tee hidden/x.txt > new.txt; chmod 000 hidden new.txt a.txt sub")
    assert sandbox.changes(10) == "?? yard/hidden/\n?? yard/new.txt\n"
    assert sandbox.digests([["yard/new.txt"], ["yard/a.txt"]], 10) == [
        "9cd599a3523898e6a12e13ec787da50a  yard/new.txt\n",
        "5bbf5a52328e7439ae6e719dfe712200  yard/a.txt\n",
    ]


@pytest.mark.parametrize("target", ["/", "/proc/1/root", "/nowhere"])
def test_a_link_in_place_of_a_scored_folder(sandbox, target):
    run(sandbox, f"rm -rf /yard; ln -s {target} /yard")
    assert sandbox.changes(10) == " D yard/a.txt\n D yard/old.txt\n D yard/sub/b.txt\n?? yard\n"


def test_hard_links_are_files_like_others(sandbox):
    run(sandbox, "ln /yard/a.txt /yard/b.txt; echo two >> /yard/b.txt")
    assert sandbox.changes(10) == " M yard/a.txt\n?? yard/b.txt\n"


@pytest.mark.parametrize("preloaded", ["/yard/evil.so", "/lib/x86_64-linux-gnu/libSegFault.so"])
def test_the_score_does_not_start_programs_as_the_model_likes(sandbox, preloaded):
    run(sandbox, f"echo {preloaded} > /etc/ld.so.preload; echo /yard > /etc/ld.so.conf; echo x > /etc/passwd")
    assert sandbox.changes(10) == ""
    assert sandbox.digests([["yard/a.txt"]], 10) == ["5bbf5a52328e7439ae6e719dfe712200  yard/a.txt\n"]


def test_new_folders_in_usr_are_of_no_use_to_the_score(sandbox):
    assert run(sandbox, "mkdir -p /usr/yard/bin; cp /bin/true /usr/yard/bin/git; ls /usr/yard").output == b"bin\n"
    run(sandbox, "echo new > /yard/new.txt")
    assert sandbox.changes(10) == "?? yard/new.txt\n"


# ---- git, on a tree that the model wrote

RUN = "#!/bin/sh\ntouch /tmp/ran /yard/ran; echo ran\n"


@pytest.mark.parametrize(
    "trick",
    [
        "git init -q /; git -C / config core.fsmonitor /tmp/run; git -C / config alias.status '!/tmp/run'",
        "git init -q /; cp /tmp/run /.git/hooks/post-index-change; cp /tmp/run /.git/hooks/pre-commit",
        "git init -q /; git -C / config core.hooksPath /tmp; git -C / config core.pager /tmp/run",
        "git init -q /; git -C / config core.worktree /tmp; git -C / config status.showUntrackedFiles no",
        "printf '[core]\\n fsmonitor = /tmp/run\\n[status]\\n showUntrackedFiles = no\\n' > /root/.gitconfig",
        "printf '[core]\\n fsmonitor = /tmp/run\\n' > /etc/gitconfig",
        "printf '* filter=x\\n' > /.gitattributes; git config --global filter.x.clean /tmp/run; rm /.gitattributes",
        "mkdir /tmp/r; cd /tmp/r; git init -q; printf 'gitdir: /tmp/r/.git\\n' > /.git; rm /.git",
        "mkdir -p /.git; touch /.git/index.lock /.git/HEAD.lock",
        "export GIT_DIR=/tmp GIT_INDEX_FILE=/tmp/x; mkdir -p /root/.config/git; echo '*' > /root/.config/git/ignore",
        "cp /tmp/run /yard/../tmp/git; PATH=/tmp:$PATH; hash -p /tmp/git git",
    ],
)
def test_git_runs_nothing_of_the_model_and_sees_what_is_there(sandbox, trick):
    run(sandbox, f"printf '{RUN}' > /tmp/run; chmod +x /tmp/run; {trick}; echo new > /yard/new.txt")
    assert sandbox.changes(10) == "?? yard/new.txt\n"
    assert run(sandbox, "ls /tmp/ran /yard/ran").exit_status != 0


def test_a_repository_in_the_tree_is_only_a_folder(sandbox):
    run(
        sandbox,
        f"printf '{RUN}' > /tmp/run; chmod +x /tmp/run; git init -q /yard/sub2; cd /yard/sub2; "
        "git config core.fsmonitor /tmp/run; git config user.name x; git config user.email x; touch f; git add f; "
        "rm -f /tmp/ran /yard/ran; mkdir /yard/.git; echo 'ref: x' > /yard/.git/HEAD",
    )
    assert sandbox.changes(10) == "?? yard/sub2/\n"
    assert run(sandbox, "ls /tmp/ran").exit_status != 0


@pytest.mark.parametrize(
    "trick",
    [
        "mkfifo .gitignore",
        "mkfifo .gitattributes",
        "printf '*%.0sa' $(seq 60) > .gitignore; touch $(printf 'a%.0s' $(seq 200))b",
    ],
)
def test_what_holds_git_up_is_given_up(sandbox, trick):
    run(sandbox, f"cd /yard; {trick}")
    started = time.monotonic()
    sandbox.changes(1)
    assert time.monotonic() - started < 6


@pytest.mark.parametrize("trick", ["ln -s /dev/zero /yard/x.txt", "mkfifo /yard/x.txt"])
def test_a_file_without_end_is_not_hashed_for_ever(sandbox, trick):
    run(sandbox, trick)
    assert sandbox.digests([["yard/x.txt"]], 0.5) == [None]


def test_the_repository_cannot_be_reached(sandbox):
    assert b"No such file" in run(sandbox, "ls /etc/git /git").output
    assert run(sandbox, "find / -xdev -name '*.pack' 2>/dev/null").output == b""
