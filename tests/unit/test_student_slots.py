"""The table of rows: who sits where, what is reused, and that a batch's rows are neighbours."""

import torch

from leap_core.students.slot_attention import runs
from leap_core.students.slots import SlotCache, SlotTable, common_prefix


def table_of(max_rows=4):
    cache = SlotCache(1)
    cache.reserve(max_rows, 10)
    return SlotTable(cache, max_rows)


def seat(table, slots, prompts=None):
    """Place episodes and let each row hold its prompt; return which rows they got."""
    prompts = prompts or [[1]] * len(slots)
    start, order = table.place(slots, prompts)
    for row, index in enumerate(order):
        table.tokens[start + row][:] = prompts[index]
    assert sorted(order) == list(range(len(slots)))
    return {slots[index]: start + row for row, index in enumerate(order)}


def test_an_episode_keeps_its_row_while_nothing_else_moves():
    table = table_of()
    first = seat(table, ["a", "b", "c"])
    assert seat(table, ["c", "a", "b"]) == first


def test_rows_of_a_batch_are_neighbours_after_others_have_left():
    table = table_of()
    seat(table, ["a", "b", "c", "d"], [[1], [2], [3], [4]])
    table.release(["b"])
    rows = seat(table, ["a", "c", "d"], [[1], [3], [4]])
    assert max(rows.values()) - min(rows.values()) == 2


def test_tokens_move_with_their_row():
    table = table_of()
    seat(table, ["a", "b", "c", "d"], [[1], [2], [3], [4]])
    start, order = table.place(["a", "d"], [[1, 9], [4, 9]])
    held = [table.tokens[start + row] for row in range(2)]
    assert held == [[[1], [4]][index] for index in order]


def test_a_new_episode_takes_the_free_row_that_shares_most():
    table = table_of()
    seat(table, ["a", "b"], [[1, 2, 3], [1, 7, 8]])
    table.release(["a", "b"])
    start, _ = table.place(["c"], [[1, 7, 9]])
    assert table.tokens[start] == [1, 7, 8]


def test_when_rows_run_out_the_one_unused_for_longest_goes():
    table = table_of(max_rows=2)
    seat(table, ["a"], [[1]])
    seat(table, ["b"], [[2]])
    seat(table, ["c"], [[3]])
    assert sorted(table.tokens) == [[2], [3]]


def test_keys_move_with_swapped_rows_and_survive_growth():
    cache = SlotCache(1)
    cache.reserve(2, 3)
    cache.aim(0, torch.tensor([[0], [0]]), 1)
    states = torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1)
    cache.update(states, states, 0)
    cache.swap([0], [1])
    cache.reserve(5, 1000)
    cache.aim(0, torch.tensor([[1], [1]]), 2)
    keys, _ = cache.update(states * 10, states, 0)
    assert keys[:, 0, :, 0].tolist() == [[2.0, 10.0], [1.0, 20.0]]


def test_common_prefix():
    assert common_prefix([1, 2, 3], [1, 2, 4, 5]) == 2
    assert common_prefix([1, 2], [1, 2, 3]) == 2
    assert common_prefix([], [1]) == 0


def test_rows_of_like_length_are_attended_together_and_none_is_cut():
    assert runs([100, 100, 99]) == [(0, 3, 100)]
    assert runs([100, 1, 100, 400]) == [(0, 1, 100), (1, 2, 1), (2, 3, 100), (3, 4, 400)]
    lengths = [37, 40, 300, 290, 310, 5]
    covered = [(row, length) for first, stop, length in runs(lengths) for row in range(first, stop)]
    assert [row for row, _ in covered] == list(range(6))
    assert all(length >= lengths[row] for row, length in covered)
