"""The loss where there are labels: the same loss and gradients as plain rows give, whatever the head of the model."""

import gc

import pytest
import torch
from families import make_family
from student_models import make_small_tiny, write_rows

from leap_core.config import ExecutionConfig, TrainingConfig
from leap_core.students.encoding import load_tokenizer
from leap_core.trainers.base import TrainingJob
from leap_core.trainers.rows import read_rows
from leap_core.trainers.sft import SftTrainer
from leap_core.trainers.sft_loss import has_plain_head, summed_loss
from leap_core.trainers.trl_setup import ExactTrainer


@pytest.mark.parametrize("most_logits", [1, 700, 10**9])
def test_a_loss_made_in_parts_has_the_same_value_and_gradients(most_logits):
    torch.manual_seed(0)
    head, hidden = torch.nn.Linear(8, 50, bias=True), torch.randn(33, 8, requires_grad=True)
    targets = torch.randint(0, 50, (33,))
    plain = torch.nn.functional.cross_entropy(head(hidden), targets, reduction="sum")
    parameters = [hidden, head.weight, head.bias]
    expected = torch.autograd.grad(plain, parameters)
    found = summed_loss(head, hidden, targets, most_logits)
    torch.testing.assert_close(found, plain)
    torch.testing.assert_close(torch.autograd.grad(found, parameters), expected)


def test_no_label_at_all_is_a_loss_of_zero_with_gradients():
    head, hidden = torch.nn.Linear(8, 50), torch.randn(0, 8, requires_grad=True)
    loss = summed_loss(head, hidden, torch.zeros(0, dtype=torch.long), 100)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(head.weight.grad, torch.zeros(50, 8))


def test_a_head_that_caps_its_logits_is_told_from_a_plain_one(tmp_path):
    plain, _ = make_family("llama3", tmp_path / "llama3")
    capped, _ = make_family("gemma2", tmp_path / "gemma2")
    assert has_plain_head(plain)
    assert not has_plain_head(capped)


def train_once(start, rows, folder, **settings):
    """One update of all rows; the weights after it, and its loss."""
    from safetensors.torch import load_file

    job = TrainingJob(
        rows=rows,
        validation_rows=None,
        start=start,
        output=folder / "output",
        checkpoints=folder / "checkpoints",
        config=TrainingConfig(
            method="full",
            precision="fp32",
            learning_rate=1e-3,
            warmup_steps=0,
            batch_size=18,
            max_length=1000,
            **settings,
        ),
        execution=ExecutionConfig(device="cpu", micro_batch_size=18),
        seed=0,
    )
    return SftTrainer().train(job).final_loss, load_file(folder / "output" / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama32", "gemma2", "qwen3"])
def test_an_update_is_that_of_plain_rows(family, tmp_path):
    """Held against a loop that knows nothing of packing, parts or labelled positions."""
    from transformers import AutoModelForCausalLM

    make_family(family, tmp_path / "start")
    rows = write_rows(tmp_path / "rows.parquet", episodes=6, steps=3)
    encoded = read_rows(rows, load_tokenizer(tmp_path / "start"), 1000).rows
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "start", dtype=torch.float32).train()
    losses = []
    for row in encoded:
        ids = torch.tensor([row.prompt + row.completion])
        logits = model(input_ids=ids, use_cache=False).logits[0, len(row.prompt) - 1 : -1]
        losses.append(torch.nn.functional.cross_entropy(logits, ids[0, len(row.prompt) :], reduction="sum"))
    loss = sum(losses) / sum(len(row.completion) for row in encoded)
    found, _ = train_once(tmp_path / "start", rows, tmp_path)
    assert found == pytest.approx(loss.item(), rel=1e-4)


@pytest.mark.slow
def test_a_training_leaves_nothing_of_itself_in_memory(tmp_path):
    rows = write_rows(tmp_path / "rows.parquet", episodes=2, steps=2)
    train_once(make_small_tiny(tmp_path / "start"), rows, tmp_path)
    assert not [one for one in gc.get_objects() if issubclass(type(one), ExactTrainer)]
