"""Long work in shards: what is finished is never done again, what is not leaves no trace."""

import pytest

from tasks.shards import Shards


def write(directory, results):
    (directory / "results").write_text("\n".join(results))


def read(directory):
    return (directory / "results").read_text().splitlines()


class Work:
    """Doubles letters, until it meets one that it cannot do."""

    def __init__(self, fails_at=None):
        self.done, self.fails_at = [], fails_at

    def __call__(self, items):
        if self.fails_at in items:
            raise KeyboardInterrupt
        self.done += items
        return [item * 2 for item in items]


@pytest.fixture
def shards(tmp_path):
    return lambda **more: Shards(**{"scratch": tmp_path, "size": 2, "tag": "x", "write": write, "read": read, **more})


def test_results_are_in_order_and_finished_shards_are_read_not_done(shards):
    first, again = Work(fails_at="e"), Work()
    with pytest.raises(KeyboardInterrupt):
        shards().map(first, list("abcdefg"))
    resumed = shards()
    assert resumed.map(again, list("abcdefg")) == ["aa", "bb", "cc", "dd", "ee", "ff", "gg"]
    assert (first.done, again.done) == (list("abcd"), list("efg"))
    assert resumed.num_resumed == 2


def test_what_is_done_is_told_shard_by_shard_and_so_is_what_was_done_before(shards):
    told = []
    shards().map(Work(), list("abcd"))
    shards().map(Work(), list("abcde"), told.append)
    assert told == [2, 4, 5]


def test_a_shard_cut_off_while_it_was_written_is_done_again(shards):
    def torn(directory, results):
        write(directory, results[:1])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shards(write=torn).map(Work(), list("ab"))
    assert shards().map(Work(), list("ab")) == ["aa", "bb"]


def test_a_shard_in_which_something_failed_is_done_again(shards):
    first, again = Work(), Work()
    shards().map(first, list("abcdef"))
    resumed = shards(failed=lambda result: result == "dd")
    assert resumed.map(again, list("abcdef")) == ["aa", "bb", "cc", "dd", "ee", "ff"]
    assert again.done == list("cd")
    assert resumed.num_resumed == 2


@pytest.mark.parametrize("other", [{"tag": "y"}, {"size": 3}])
def test_shards_of_other_settings_are_not_mixed_in(shards, other):
    shards().map(Work(), list("abcd"))
    work = Work()
    assert shards(**other).map(work, list("abcd")) == ["aa", "bb", "cc", "dd"]
    assert work.done == list("abcd")
