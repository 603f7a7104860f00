"""Models that somebody brings, in play: what comes with them decides nothing, and nothing of them is lost."""

import json

import pytest
import torch
from families import make_family
from student_models import COMMANDS, conversation, make_bpe_tokenizer, make_model, write_rows

from leap_core.config import ExecutionConfig, LoraSection, StudentConfig, TrainingConfig
from leap_core.errors import StudentError
from leap_core.students.architecture import one_regime_length, valid_padding
from leap_core.students.base import ActRequest
from leap_core.students.decoding import Reply, Sampling, Vocabulary, choose
from leap_core.students.encoding import encode_prompt, load_tokenizer
from leap_core.students.hf import HfStudent, _load_adapted
from leap_core.trainers.base import TrainingJob
from leap_core.trainers.sft import SftTrainer


def first_reply(folder, admissible=None, **config):
    student = HfStudent(folder, StudentConfig(max_new_tokens=12, **config), ExecutionConfig(device="cpu"), 0.0)
    asked = ActRequest(slot="e", messages=conversation(1, 1), admissible=admissible, seed=0)
    return student.act([asked])[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "foreign",
    [
        {"suppress_tokens": list(range(20))},
        {"stop_strings": ["a", "e"]},
        {"num_beams": 4},
        {"max_time": 1e-9},
        {"min_new_tokens": 11},
        {"forced_eos_token_id": 1},
        {"do_sample": False, "temperature": 0.9},
    ],
    ids=lambda foreign: next(iter(foreign)),
)
@pytest.mark.parametrize("admissible", [None, ("look", "go to cabinet 1")], ids=["free", "constrained"])
def test_how_a_model_would_be_sampled_elsewhere_decides_nothing(foreign, admissible, tmp_path):
    make_family("gemma2", tmp_path)
    expected = first_reply(tmp_path, admissible)
    (tmp_path / "generation_config.json").write_text(json.dumps(foreign))
    assert first_reply(tmp_path, admissible).text == expected.text
    assert expected.error is None


@pytest.mark.slow
def test_a_padding_token_without_a_row_pads_with_another(tmp_path):
    model, tokenizer = make_family("gemma2", tmp_path)
    expected = first_reply(tmp_path).text
    tokenizer.add_special_tokens({"pad_token": "<|padding|>"})
    tokenizer.save_pretrained(tmp_path)
    assert valid_padding(model.config, tokenizer.pad_token_id) == 0
    assert first_reply(tmp_path).text == expected


def test_models_that_rotate_by_the_longest_row_are_known_by_their_ropes(tmp_path):
    long, _ = make_family("phi3-long", tmp_path / "long")
    assert one_regime_length(long.config) == 130
    for name in ("llama3", "gemma3", "gpt2"):
        assert one_regime_length(make_family(name, tmp_path / name)[0].config) is None
    dynamic = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    assert one_regime_length(make_family("llama3", tmp_path / "dynamic", rope_parameters=dynamic)[0].config) == 2048


@pytest.mark.slow
def test_an_adapter_on_a_model_in_bf16_keeps_all_that_it_learned(tmp_path):
    """A sum of 8 bits has no room for a small update: it must be computed beside the base."""
    model, _ = make_family("llama3", tmp_path / "base")
    model.to(torch.bfloat16).save_pretrained(tmp_path / "base")
    job = TrainingJob(
        rows=write_rows(tmp_path / "rows.parquet", episodes=2, steps=2),
        validation_rows=None,
        start=tmp_path / "base",
        output=tmp_path / "adapter",
        checkpoints=tmp_path / "checkpoints",
        config=TrainingConfig(
            method="lora", lora=LoraSection(rank=4, alpha=8), learning_rate=1e-4, warmup_steps=0, precision="fp32"
        ),
        execution=ExecutionConfig(device="cpu", num_threads=1),
        seed=0,
    )
    SftTrainer().train(job)
    exact = _load_adapted(job.output, torch.float32)
    base = type(model).from_pretrained(tmp_path / "base", dtype=torch.float32)
    adapted = _load_adapted(job.output, torch.bfloat16)
    assert adapted.dtype == torch.bfloat16
    name = "model.layers.1.mlp.down_proj"
    learned = exact.get_submodule(name).weight - base.get_submodule(name).weight
    layer = adapted.get_submodule(name)
    assert torch.allclose(layer.get_delta_weight("default"), learned, atol=1e-7)
    merged = (layer.base_layer.weight + learned.bfloat16()).float() - layer.base_layer.weight.float()
    assert float(((merged - learned).norm() / learned.norm()).detach()) > 0.5  # what would have been lost


def ids_from_scratch(model, prompt, vocabulary, limit):
    reply = Reply(vocabulary, 0, limit, None)
    ids = list(prompt)
    while not reply.done:
        with torch.inference_mode():
            logits = model(torch.tensor([ids]), use_cache=False).logits[:, -1]
        ids += reply.accept(choose(logits, [reply], Sampling(temperature=0))[0])
    return reply.text


@pytest.mark.slow
def test_a_reply_that_outgrows_the_first_length_does_not_go_on_from_keys_of_its_angles(tmp_path):
    """Other models than Phi-3 do not begin their cache anew when the angles change."""
    longrope = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 130}
    longrope |= {"short_factor": [1.0] * 4, "long_factor": [3.0] * 4}
    model, _ = make_family("llama3", tmp_path, rope_parameters=longrope)
    tokenizer = load_tokenizer(tmp_path)
    prompt = encode_prompt(tokenizer, conversation(2, 1))
    assert len(prompt) < 130 < len(prompt) + 60
    student = HfStudent(tmp_path, StudentConfig(max_new_tokens=60), ExecutionConfig(device="cpu"), 0.0)
    reply = student.act([ActRequest(slot="e", messages=conversation(2, 1), admissible=None, seed=0)])[0]
    assert len(prompt) + reply.usage.completion_tokens > 130
    assert reply.text == ids_from_scratch(model, prompt, Vocabulary(tokenizer), 60)


def test_a_model_that_reads_padding_answers_each_row_by_itself(tmp_path):
    tokenizer = make_bpe_tokenizer()
    make_model("rwkv", len(tokenizer), attention_hidden_size=32).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)

    def replies(batch_size):
        execution = ExecutionConfig(device="cpu", batch_size=batch_size)
        student = HfStudent(tmp_path, StudentConfig(max_new_tokens=8), execution, 0.8)
        return student.act(
            [
                ActRequest(slot=str(turn), messages=conversation(turn, turn), admissible=None, seed=turn)
                for turn in (0, 2, 1)
            ]
        )

    assert [reply.text for reply in replies(3)] == [reply.text for reply in replies(1)]


@pytest.mark.parametrize("admissible", [None, COMMANDS], ids=["free", "constrained"])
def test_a_token_that_the_model_has_no_row_for_is_named(admissible, tmp_path):
    make_family("llama3", tmp_path, vocab_size=300)
    with pytest.raises(StudentError, match="300"):
        first_reply(tmp_path, admissible)


@pytest.mark.parametrize("temperature", [0, 0.7])
def test_logits_that_rule_out_every_token_are_an_error(temperature):
    tokenizer = make_bpe_tokenizer()
    reply = Reply(Vocabulary(tokenizer), 0, 8, None)
    choose(torch.full((1, len(tokenizer)), float("-inf")), [reply], Sampling(temperature=temperature))
    assert reply.done
    assert "numbers" in reply.error
