"""InterCode Bash: the original's quoting, and where commands run."""

import pytest

from leap_core.envs.intercode_bash.nl2bash.commands import plan, resolve, split_as_docker


@pytest.mark.parametrize(
    ("command", "after_bash_c"),
    [
        ("ls -l", ["ls -l"]),
        ("  ls  ", ["ls"]),
        ("", [""]),
        ("grep 'a b' x", ["grep 'a b' x"]),
        ('grep "ab" x', ["grep ab x"]),
        ('find . -name "*.txt"', ["find . -name *.txt"]),
        ('echo "a b" c', ["echo a", "b c"]),  # the quote ends the script; the rest becomes its arguments
        (r"find . -exec rm {} \;", [r"find . -exec rm {} \;"]),
        (r"echo \"a b\"", ['echo "a b"']),
        (r"sed 's/\\r$//'", [r"sed 's/\r$//'"]),
        ("echo $HOME `id` #x", ["echo $HOME `id` #x"]),
        ("a\nb", ["a\nb"]),
    ],
)
def test_quoting(command, after_bash_c):
    assert split_as_docker(command) == ("/bin/bash", "-c", *after_bash_c)


@pytest.mark.parametrize("command", ['echo "', "echo \"don't\" x'", 'tr -d "\'"', "echo a\0b", "echo a\\"])
def test_malformed(command):
    with pytest.raises(ValueError, match=r"quotation|escape|null"):
        split_as_docker(command)


@pytest.mark.parametrize(
    ("current", "changed", "expected"),
    [
        ("/", "yard", "/yard"),
        ("/yard", "sub/x", "/yard/sub/x"),
        ("/yard", "/etc", "/etc"),
        ("/yard/sub", "..", "/yard"),
        ("/yard/sub", "../../../..", "/"),
        ("/yard", "./a//b/./", "/yard/a/b"),
        ("/yard", "", "/yard"),
        ("/", "~", "/~"),  # the original does not know a home directory
        ("/yard", "sub && ls", "/yard/sub && ls"),
    ],
)
def test_directories_by_name(current, changed, expected):
    assert resolve(current, changed) == expected


def test_cd_runs_from_the_root_and_moves_later_commands():
    execution = plan("cd sub", "/yard")
    assert (execution.argv[-1], execution.directory, execution.next_directory) == ("cd /yard/sub", "/", "/yard/sub")


def test_other_commands_stay_where_they_are():
    execution = plan("ls && cd /etc", "/yard")
    assert (execution.directory, execution.next_directory) == ("/yard", "/yard")


@pytest.mark.parametrize("command", ["cd", "cdparanoia", "cd\tx"])
def test_a_command_that_begins_with_cd_names_a_directory(command):
    with pytest.raises(ValueError, match="directory"):
        plan(command, "/")
