"""Training on sequences of 8,000 tokens: the real trainer, as the preset `alfworld` has it, and a plain loop."""

import time
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from leap_core.config import ExecutionConfig, LoraSection, TrainingConfig
from leap_core.loading import load_trainer
from leap_core.trainers.base import TrainingJob
from tests.gpu.job import Figures, Job, Stopwatch, forget_peak, peak_memory
from tests.gpu.profiling import Profiler
from tests.gpu.random_model import answer, conversation, load_plainly

ROWS_AN_EPISODE = 8
"""As many as are on the device at once, so that an episode is one packed sequence."""
EPISODES_A_BATCH = 2
WARM_UP, TIMED = 1, 3
"""Updates of the weights: the first are slow, and the one after the timed ones is profiled."""


def train(job: Job, figures: Figures) -> None:
    """Tokens a second, peak memory and a profile of the trainer `sft`."""
    rows = job.folder / "rows.parquet"
    updates = WARM_UP + TIMED + 1
    tokens = _write_rows(rows, job, updates * EPISODES_A_BATCH) / updates
    figures["tokens_a_sequence"] = tokens / EPISODES_A_BATCH
    figures["tokens_an_update"] = tokens
    clock = _Clock(job.device, tokens, figures)
    forget_peak()
    watch = Stopwatch()
    result = load_trainer("sft").train(
        TrainingJob(
            rows=rows,
            validation_rows=None,
            start=job.random_model,
            output=job.folder / "trained",
            checkpoints=job.folder / "checkpoints",
            config=_config(job),
            execution=ExecutionConfig(device=job.device, micro_batch_size=ROWS_AN_EPISODE, save_every_steps=1000),
            seed=0,
            progress=clock.tick,
        )
    )
    figures["seconds_with_loading_and_writing"] = watch.read()
    figures["final_loss"] = result.final_loss


def _config(job: Job) -> TrainingConfig:
    return TrainingConfig(
        method="lora",
        lora=LoraSection(rank=4) if job.dry_run else LoraSection(),
        batch_size=EPISODES_A_BATCH * ROWS_AN_EPISODE,
        max_length=8192,
        warmup_steps=1,
        precision="fp32" if job.dry_run else "bf16",
    )


class _Clock:
    """Hears of each update, as the trainer's `progress`, and profiles the last one."""

    def __init__(self, device: str, tokens: float, figures: Figures) -> None:
        self._profiler = Profiler(device)
        self._tokens, self._figures = tokens, figures
        self._times: list[float] = []

    def tick(self, line: str, **how: float) -> None:
        """An update has been made; its loss was read, so the device has done it."""
        self._times.append(time.perf_counter())
        if len(self._times) == WARM_UP + TIMED + 1:
            self._figures["profile"] = self._profiler.stop()
            return
        seconds = [after - before for before, after in pairwise(self._times)]
        if seconds:
            self._figures["seconds_an_update"] = seconds
            self._figures["tokens_per_second"] = self._tokens / fmean(seconds)
            self._figures["memory"] = peak_memory()
        if len(self._times) == WARM_UP + TIMED:
            self._profiler.start()


def _write_rows(path: Path, job: Job, num_episodes: int) -> int:
    """Write rows as a dataset artifact has them; return how many tokens they have, those that rows share once."""
    import pyarrow
    from pyarrow import parquet

    from leap_core.students.encoding import load_tokenizer

    length = 600 if job.dry_run else 8000
    each = length // (ROWS_AN_EPISODE + 1) - 10  # so that they are `length` tokens with all that is around them
    rows = [
        {
            "iteration": 0,
            "episode": f"episode-{episode}",
            "step": step,
            "prompt": [message.model_dump() for message in conversation(episode, step, each, max(each - 50, 1))],
            "completion": [{"role": "assistant", "content": answer(episode, step)}],
        }
        for episode in range(num_episodes)
        for step in range(ROWS_AN_EPISODE)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return _count_tokens(rows, load_tokenizer(job.random_model))


def _count_tokens(rows: list[dict[str, Any]], tokenizer: Any) -> int:
    """Tokens of all rows, without what each shares with the row before it."""
    from leap_core.students.encoding import encode_completion, encode_prompt
    from leap_core.types import Message

    total, before = 0, []
    for row in rows:
        prompt = encode_prompt(tokenizer, [Message(**message) for message in row["prompt"]])
        tokens = prompt + encode_completion(tokenizer, row["completion"][0]["content"])
        pairs = zip(before, prompt, strict=False)
        shared = next((index for index, (old, new) in enumerate(pairs) if old != new), len(before))
        total += len(tokens) - shared
        before = tokens
    return total


def train_plainly(job: Job, figures: Figures) -> None:
    """Forward and backward of the same model with the same adapter, one plain sequence after another."""
    import torch
    from peft import LoraConfig, get_peft_model

    lora = _config(job).lora
    model = get_peft_model(
        load_plainly(job.random_model, job.device),
        LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=lora.target_modules),
    )
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
    model.train()
    length = 600 if job.dry_run else 8000
    ids = torch.randint(3, 259, (1, length), device=job.device)
    forget_peak()
    for number in range(WARM_UP + TIMED):
        if number == WARM_UP:
            watch = Stopwatch()
        with torch.autocast(job.device, torch.bfloat16, enabled=not job.dry_run):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
    figures["tokens_per_second"] = TIMED * length / watch.read()
    figures["tokens_a_sequence"] = length
    figures["memory"] = peak_memory()
