"""The table of rows, its cache, and attention over rows of unlike length."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from leap_core.students.slot_attention import Piece, attend, group, make_ladder, plan_runs
from leap_core.students.slots import SlotCache, SlotTable, common_prefix


def table_of(max_rows=4):
    cache = SlotCache(1)
    cache.reserve(max_rows, 10)
    return SlotTable(cache, max_rows)


def seat(table, **prompts):
    """Seat episodes and let each row hold its prompt; return which rows they got."""
    for slot, prompt in prompts.items():
        assert table.seat(slot, prompt)
        table.tokens[table.row_of(slot)][:] = prompt
    return {slot: table.row_of(slot) for slot in prompts}


def test_an_episode_keeps_its_row():
    table = table_of()
    first = seat(table, a=[1], b=[1], c=[1])
    assert seat(table, c=[1, 2], a=[1, 2], b=[1, 2]) == first


def test_gathered_rows_are_neighbours_and_their_tokens_move_with_them():
    table = table_of()
    seat(table, a=[1], b=[2], c=[3], d=[4])
    start = table.gather(["a", "d"])
    assert {table.row_of(slot) for slot in "ad"} == {start, start + 1}
    assert [table.tokens[table.row_of(slot)] for slot in "abcd"] == [[1], [2], [3], [4]]


def test_a_new_episode_takes_the_free_row_that_shares_most():
    table = table_of()
    seat(table, a=[1, 2, 3], b=[1, 7, 8], c=[1, 7, 9, 9])
    table.release(["a", "b"])
    table.seat("d", [1, 7, 9])
    assert table.tokens[table.row_of("d")] == [1, 7, 8]


def test_when_all_episodes_are_over_nothing_is_kept():
    table = table_of()
    seat(table, a=[1, 2, 3], b=[1, 7, 8])
    table.release(["a"])
    assert [1, 2, 3] in table.tokens
    table.release(["b"])
    assert table.tokens == [[], []]


def test_when_rows_run_out_the_one_unused_for_longest_goes():
    table = table_of(max_rows=2)
    rows = seat(table, a=[1], b=[2])
    table.seat("a", [1])
    assert seat(table, c=[3]) == {"c": rows["b"]}


def test_rows_of_the_busy_are_not_given_away():
    table = table_of(max_rows=2)
    rows = seat(table, a=[1], b=[2])
    assert not table.seat("c", [3], busy={"a", "b"})
    assert table.seat("c", [3], busy={"a"})
    assert (table.row_of("a"), table.row_of("c")) == (rows["a"], rows["b"])


ROWS = torch.tensor([[0], [1]])


def test_keys_move_with_swapped_rows_and_survive_growth():
    cache = SlotCache(1)
    cache.reserve(2, 3)
    cache.aim(ROWS, torch.tensor([[0], [0]]), (0, 2, 1))
    states = torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1)
    cache.update(states, states, 0)
    cache.swap([0], [1])
    cache.reserve(5, 1000)
    cache.aim(ROWS, torch.tensor([[1], [1]]), (0, 2, 2))
    keys, _ = cache.update(states * 10, states, 0)
    assert keys[:, 0, :, 0].tolist() == [[2.0, 10.0], [1.0, 20.0]]


def test_common_prefix():
    assert common_prefix([1, 2, 3], [1, 2, 4, 5]) == 2
    assert common_prefix([1, 2], [1, 2, 3]) == 2
    assert common_prefix([], [1]) == 0


@pytest.mark.parametrize(("longest", "capacity"), [(None, 9_088), (8_192, 8_320), (4_000, 6_016)])
def test_rows_do_not_grow_beyond_what_the_model_reads(longest, capacity):
    cache = SlotCache(1, longest)
    cache.reserve(1, 6_000)
    assert cache.capacity == capacity


def test_rows_of_like_length_share_a_call():
    row = [Piece(number, length, 1) for number, length in enumerate([700, 690, 710, 2_000, 2_100, 30])]
    assert group(row, size=192) == [(0, 3), (3, 5), (5, 6)]
    assert group(row, size=1) == [(0, 6)], "where keys are small, a call costs more than reading them"
    assert group([Piece(0, 700, 1), Piece(1, 0, 700), Piece(2, 700, 1)], size=192) == [(0, 1), (1, 2), (2, 3)]
    assert group([Piece(0, 700, 1), Piece(9, 700, 1)], size=192) == [(0, 1), (1, 2)], "rows between are read, too"


PIECES = [Piece(0, 5, 1), Piece(1, 9, 1), Piece(3, 7, 1), Piece(4, 0, 6), Piece(6, 2, 3)]


@pytest.mark.parametrize("size", [1, 10**9], ids=["one call", "a call for each row"])
@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
def test_each_token_attends_to_its_own_row_up_to_itself(size, num_kv_heads):
    torch.manual_seed(0)
    keys, values = torch.randn(2, 8, num_kv_heads, 16, 4)
    query = torch.randn(1, 4, sum(piece.num_new for piece in PIECES), 4)
    runs = plan_runs(PIECES, size, make_ladder(16, torch.float32))
    assert len(runs) == (1 if size == 1 else len(PIECES))
    found = attend(SimpleNamespace(), query, keys, values, None, 0.5, runs=runs)[0][0]
    seen = [(piece.row, piece.known + number + 1) for piece in PIECES for number in range(piece.num_new)]
    for token, (row, length) in enumerate(seen):
        expected = scaled_dot_product_attention(
            query[0, :, token : token + 1], keys[row, :, :length], values[row, :, :length], scale=0.5, enable_gqa=True
        )
        torch.testing.assert_close(found[token], expected[:, 0])
