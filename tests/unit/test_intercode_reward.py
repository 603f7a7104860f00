"""InterCode Bash's reward: three parts, rounded as the original rounds. Similarities are scikit-learn's."""

import pytest

from leap_core.envs.intercode_bash.nl2bash.reward import answer_similarity, parse_status, score, words_to_hash


def of(agent="", gold="", same=0, said="x", expected="x"):
    return score(agent, gold, lambda paths: same, said, expected)


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        ("", []),
        (" M a.txt\n?? b/\n D c\n", [("a.txt", "M"), ("b/", "??"), ("c", "D")]),
        ('?? "a b.txt"\n D c\n', [('"a', "??"), ("D", 'b.txt"'), ("", "c")]),  # a space shifts all that follows
        ("R  a -> b\n", [("a", "R"), ("b", "->")]),
    ],
)
def test_status_is_read_word_by_word(status, changes):
    assert parse_status(status) == changes


@pytest.mark.parametrize(
    ("agent", "gold", "part"),
    [
        ("", "", 0.33),
        ("?? a\n", "?? a\n", 0.33),
        ("?? a\n", "", 0.05),
        ("", " D a\n", 0.05),
        (" M a\n", " D a\n", 0.0),
        ("?? a\n?? b\n?? c\n", "", 0.0),
        ("?? a\n?? a\n", "?? a\n", 0.33),  # as sets
    ],
)
def test_differences_of_files(agent, gold, part):
    assert of(agent, gold, same=1).file_diff == part


@pytest.mark.parametrize(("num_same", "part"), [(0, 0.0), (1, 0.11), (2, 0.22), (3, 0.33)])
def test_contents_of_new_files(num_same, part):
    status = "?? a\nA  b\n?? c\n M d\n D e\n"
    asked = []
    reached = score(status, status, lambda paths: asked.extend(paths) or num_same, "", "")
    assert reached.file_changes == part
    assert asked == ["a", "b", "c"]


def test_without_new_files_in_both_there_is_nothing_to_compare():
    assert of("?? a\n M b\n", "?? c\n M b\n", same=0).file_changes == 0.33


def test_a_tree_that_git_cannot_read_gives_nothing_for_files():
    reached = score(None, "", lambda paths: 0, "x1", "x1")
    assert (reached.file_diff, reached.file_changes, reached.answer) == (0, 0, 0.33)


@pytest.mark.parametrize(
    ("agent", "gold", "said"), [("", "", "x"), ("?? a\n", " D a\n", "y1"), ("?? a\n", "?? a\n", "x")]
)
def test_the_parts_add_up_to_the_score(agent, gold, said):
    reached = of(agent, gold, said=said)
    assert list(reached.parts) == ["base", "file differences", "contents of new files", "answer"]
    assert sum(reached.parts.values()) == pytest.approx(reached.total)
    assert reached.parts["file differences"] == reached.file_diff
    assert (reached.parts["contents of new files"], reached.parts["answer"]) == (reached.file_changes, reached.answer)


def test_all_parts_make_exactly_one():
    assert of().total == 1.0
    assert of().success


def test_a_hundredth_less_is_no_success():
    said, expected = "a1 b1 c1 d1 e1 f1 g1 h1 i1 j1 k1 l1 m1 n1", "a1 b1 c1 d1 e1 f1 g1 h1 i1 j1 k1 l1 m1 o1"
    reached = of(said=said, expected=expected)
    assert 0.9 < reached.total < 1.0
    assert not reached.success


def test_what_is_missing_and_extra_is_told():
    reached = of(" M a\n?? b\n", " M a\n D c\n")
    assert (reached.missing, reached.extra) == ((("c", "D"),), (("b", "??"),))


@pytest.mark.parametrize(
    ("first", "second", "similarity"),
    [
        ("/yard/a.txt\n/yard/b.txt\n", "/yard/a.txt\n", 1.0),
        ("Hello hello world", "hello", 0.8181802073667197),
        ("total 24", "total 42 kB", 0.2605556710562624),
        ("3\n", "3\n", 1.0),  # no term of two characters: equal or not
        ("3\n", "4\n", 0.0),
        ("", "", 1.0),
        ("", "word", 0.0),
        ("any", None, 0.0),
    ],
)
def test_similarity(first, second, similarity):
    assert answer_similarity(first, second) == pytest.approx(similarity, abs=1e-12)


def test_only_paths_with_a_dot_are_hashed():
    assert words_to_hash("yard/a.txt") == ["yard/a.txt"]
    assert words_to_hash('"a') is None
    assert words_to_hash("yard/new/") is None
    with pytest.raises(ValueError, match="quotation"):
        words_to_hash('"a.txt')
