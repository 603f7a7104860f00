"""Prefix trees: the same loss and gradients as the rows one by one, in fewer tokens."""

import random

import pytest
import torch
from student_models import answer, conversation, make_bpe_tokenizer, make_model

from leap_core.students.architecture import MASKABLE
from leap_core.students.encoding import encode_completion, encode_prompt
from leap_core.trainers.packing import (
    IGNORED,
    PaddingCollator,
    TreeCollator,
    TreeSequence,
    group_by_length,
    pack_rows,
    single_sequences,
)
from leap_core.trainers.rows import EncodedRow


def episode_rows(tokenizer, episode, steps):
    return [
        EncodedRow(
            episode=str(episode),
            step=step,
            prompt=encode_prompt(tokenizer, conversation(episode, step)),
            completion=encode_completion(tokenizer, answer(episode, step)),
        )
        for step in range(steps)
    ]


def features(sequences):
    return [vars(sequence) for sequence in sequences]


def token_loss(model, batch):
    """Sum of the losses over all labelled tokens, by the usual shift, and how many there are."""
    labels = batch.pop("labels")
    logits = model(**batch, use_cache=False).logits
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=IGNORED, reduction="sum"
    )
    return losses, int((labels[:, 1:] != IGNORED).sum())


def loss_and_gradients(model, batches):
    model.zero_grad()
    sums, counts = zip(*(token_loss(model, batch) for batch in batches), strict=True)
    mean = sum(sums) / sum(counts)
    mean.backward()
    return mean.item(), [parameter.grad.clone() for parameter in model.parameters()], sum(counts)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", sorted(MASKABLE))
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_loss_and_gradients_are_those_of_the_separate_rows(model_type, attention):
    tokenizer = make_bpe_tokenizer()
    extra = {"head_dim": 8} if model_type in {"gemma", "qwen3"} else {}
    window = {"sliding_window": None} if model_type in {"mistral", "starcoder2", "phi3"} else {}
    model = make_model(model_type, len(tokenizer), attn_implementation=attention, **extra, **window)
    rows = [row for episode in range(3) for row in episode_rows(tokenizer, episode, 2 + episode)]
    collate = TreeCollator(0, torch.float32 if attention == "eager" else None)
    packed = loss_and_gradients(model, [collate(features(pack_rows(rows, 4096)))])
    apart = loss_and_gradients(model, [PaddingCollator(0)(features(single_sequences([row]))) for row in rows])
    assert packed[2] == apart[2] == sum(len(row.completion) for row in rows)
    assert packed[0] == pytest.approx(apart[0], abs=1e-5)
    for one, other in zip(packed[1], apart[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def random_rows(rng, count):
    """Rows over three tokens, so that they share beginnings in every possible way."""
    return [
        EncodedRow(
            episode="e",
            step=step,
            prompt=[rng.randrange(3) for _ in range(rng.randint(1, 8))],
            completion=[rng.randrange(3) for _ in range(rng.randint(1, 4))],
        )
        for step in range(count)
    ]


def paths_to_labels(sequence, mask):
    """For each token with a label: what a model sees when it predicts it, the depths seen, and the label."""
    seen = []
    for node, label in enumerate(sequence.labels):
        if label != IGNORED:
            visible = [other for other in range(len(sequence.labels)) if mask[node - 1][other]]
            seen.append(
                (
                    [sequence.input_ids[other] for other in visible],
                    [sequence.positions[other] for other in visible],
                    label,
                )
            )
    return seen


def test_every_label_is_predicted_from_exactly_what_its_row_shows():
    rng = random.Random(0)
    for _ in range(100):
        rows = random_rows(rng, rng.randint(1, 6))
        limit = rng.choice([12, 20, 1000])
        found = []
        for sequence in pack_rows(rows, limit):
            assert len(sequence.input_ids) <= limit
            mask = TreeCollator(0)(features([sequence]))["attention_mask"][0, 0].tolist()
            found += paths_to_labels(sequence, mask)
        expected = []
        for row in rows:
            whole = row.prompt + row.completion
            for index in range(len(row.prompt), len(whole)):
                expected.append((whole[:index], list(range(index)), whole[index]))
        assert sorted(found) == sorted(expected)


def test_shared_history_is_held_once():
    tokenizer = make_bpe_tokenizer()
    rows = episode_rows(tokenizer, 1, 8)
    packed = pack_rows(rows, 100_000)
    assert len(packed) == 1
    assert len(packed[0].input_ids) < sum(row.length for row in rows) / 3


def test_episodes_never_share_a_sequence():
    tokenizer = make_bpe_tokenizer()
    rows = episode_rows(tokenizer, 0, 2) + episode_rows(tokenizer, 4, 2)
    assert len(pack_rows(rows, 4096)) == 2


def test_steps_may_come_in_any_order():
    tokenizer = make_bpe_tokenizer()
    rows = episode_rows(tokenizer, 1, 5)
    assert pack_rows(rows[::-1], 4096) == pack_rows(rows, 4096)


def test_padding_is_seen_by_nobody_and_sees_something():
    sequences = single_sequences(
        [
            EncodedRow(episode="a", step=0, prompt=[1, 2, 3], completion=[4]),
            EncodedRow(episode="b", step=0, prompt=[1], completion=[2]),
        ]
    )
    mask = TreeCollator(0)(features(sequences))["attention_mask"][1, 0]
    assert mask.tolist() == [
        [True, False, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [False, False, False, True],
    ]


def test_a_sequence_has_no_more_rows_than_are_allowed():
    rows = episode_rows(make_bpe_tokenizer(), 1, 7)
    assert [one.num_rows for one in pack_rows(rows, 100_000, 3)] == [3, 3, 1]
    assert [one.num_rows for one in pack_rows(rows, 100_000)] == [7]


def test_groups_are_of_like_length_and_hold_each_sequence_once():
    rng = random.Random(0)
    for _ in range(50):
        sequences = [
            TreeSequence(
                input_ids=[0] * rng.randint(1, 90), labels=[], positions=[], ends=[], num_rows=rng.randint(1, 4)
            )
            for _ in range(rng.randint(1, 30))
        ]
        groups = group_by_length(sequences, 6)
        assert sorted(map(id, sequences)) == sorted(id(one) for group in groups for one in group)
        for group in groups:
            lengths = [len(one.input_ids) for one in group]
            assert sum(one.num_rows for one in group) <= 6
            assert max(lengths) * len(lengths) <= 1.1 * sum(lengths)
