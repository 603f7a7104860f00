"""The loss where there are labels: the same loss and gradients as plain rows give, whatever the head of the model."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from families import make_family
from student_models import make_bpe_tokenizer, make_model, make_small_tiny, write_rows
from transformers import Trainer, TrainingArguments

from leap_core.config import ExecutionConfig, TrainingConfig
from leap_core.students.encoding import load_tokenizer
from leap_core.trainers.base import TrainingJob
from leap_core.trainers.learner import Learner
from leap_core.trainers.rows import read_rows
from leap_core.trainers.sft import SftTrainer
from leap_core.trainers.sft_loss import has_plain_head, summed_loss
from leap_core.trainers.trl_setup import TrlSetup


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


def make_job(start, rows, folder):
    """One update of all rows."""
    return TrainingJob(
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
        ),
        execution=ExecutionConfig(device="cpu", micro_batch_size=18),
        seed=0,
    )


def train_once(start, rows, folder):
    """The loss before the one update."""
    return SftTrainer().train(make_job(start, rows, folder)).final_loss


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
    found = train_once(tmp_path / "start", rows, tmp_path)
    assert found == pytest.approx(loss.item(), rel=1e-4)


LEFT = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from test_sft_loss import train_once

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

rows, folder = Path({rows!r}), Path({folder!r})
train_once(folder / "small", rows, folder / "first")  # what is imported stays
before = held()
train_once(folder / "large", rows, folder / "second")
print(held() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to give memory back")
def test_a_training_gives_its_memory_back(tmp_path):
    """Of a model of 100 MB, whose weights, gradients and optimizer take four times that."""
    make_small_tiny(tmp_path / "small")
    tokenizer = make_bpe_tokenizer()
    shape = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 8}
    model = make_model("llama", len(tokenizer), **shape, num_key_value_heads=8, head_dim=64)
    assert 90 < sum(one.numel() * one.element_size() for one in model.parameters()) / 1e6 < 120
    model.save_pretrained(tmp_path / "large")
    tokenizer.save_pretrained(tmp_path / "large")
    rows = write_rows(tmp_path / "rows.parquet", episodes=2, steps=2)
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    code = LEFT.format(paths=paths, rows=str(rows), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout.splitlines()[-1]) < 60


class MeanTrainer(Trainer):
    """A loss that is a mean over sequences, as those of preference trainers are over pairs."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return model(input_ids=inputs["input_ids"]).logits.square().mean(dim=(1, 2)).mean()


@pytest.mark.slow
def test_of_a_loss_that_is_a_mean_each_sequence_of_a_batch_weighs_the_same(tmp_path):
    """Whatever the parts: here one of three sequences, and one of one."""
    start = make_small_tiny(tmp_path / "start")
    tokenizer = load_tokenizer(start)
    job = make_job(start, write_rows(tmp_path / "rows.parquet", episodes=4, steps=1), tmp_path)
    rows = read_rows(job.rows, tokenizer, 1000).rows
    setup = TrlSetup(
        job=job, learner=Learner.load(start, job.config), tokenizer=tokenizer, rows=rows, validation_rows=[]
    )
    trainer = setup.make(
        MeanTrainer,
        TrainingArguments(**setup.arguments()),
        cut=lambda some, at_once: [[{"input_ids": row.prompt[:20]} for row in part] for part in (some[:3], some[3:])],
        collate=lambda part: {"input_ids": torch.tensor([item["input_ids"] for item in part])},
        measure=None,
    )
    batch = next(iter(trainer.get_train_dataloader()))
    assert [len(part["input_ids"]) for part in batch["parts"]] == [3, 1]
    parameters = list(trainer.model.parameters())
    whole = trainer.compute_loss(trainer.model, {"input_ids": torch.cat([one["input_ids"] for one in batch["parts"]])})
    expected = torch.autograd.grad(whole, parameters)
    loss = trainer.training_step(trainer.model, batch)
    torch.testing.assert_close(loss, whole.detach())
    torch.testing.assert_close([one.grad for one in parameters], list(expected))
