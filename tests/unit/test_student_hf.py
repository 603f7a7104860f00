"""The in-process student against the plainest possible generation with the same model."""

import json
import shutil

import pytest
import torch
from student_models import COMMANDS, conversation, make_bpe_tokenizer, make_model, make_small_tiny

from leap_core.config import ExecutionConfig, StudentConfig
from leap_core.errors import ConfigError, StudentError
from leap_core.prompts import read_reply
from leap_core.students.architecture import MASKABLE, takes_own_mask
from leap_core.students.base import ActRequest
from leap_core.students.decoding import Reply, Sampling, Vocabulary, choose
from leap_core.students.encoding import encode_prompt, load_tokenizer
from leap_core.students.hf import HfStudent
from leap_core.students.loading import wrapping_in_adapter
from leap_core.students.slot_engine import SlotEngine
from leap_core.students.slot_passes import PaddedPasses, make_passes


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_small_tiny(tmp_path_factory.mktemp("tiny"))


def make_student(path, temperature=0.8, batch_size=16, **settings):
    config = StudentConfig(**{"max_new_tokens": 16, **settings})
    return HfStudent(path, config, ExecutionConfig(device="cpu", batch_size=batch_size), temperature)


def request(episode, turn, admissible=None):
    return ActRequest(
        slot=str(episode),
        messages=conversation(episode, turn),
        admissible=admissible,
        seed=1000 * episode + turn,
    )


def plain_reply(model, tokenizer, asked, temperature, limit=16):
    """One reply by running the whole sequence anew for each token."""
    reply = Reply(Vocabulary(tokenizer), asked.seed, limit, asked.admissible)
    ids = encode_prompt(tokenizer, asked.messages) + reply.begin()
    while not reply.done:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[:, -1]
        token = choose(logits, [reply], Sampling(temperature=temperature))[0]
        ids += reply.accept(token)
    return reply.text


@pytest.mark.parametrize("admissible", [None, COMMANDS])
@pytest.mark.parametrize("temperature", [pytest.param(0, marks=pytest.mark.slow), 0.8])
def test_replies_are_those_of_plain_generation_over_turns(tiny, temperature, admissible):
    from transformers import AutoModelForCausalLM

    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny), load_tokenizer(tiny)
    student = make_student(tiny, temperature)
    episodes = list(range(6))
    for turn in range(5):
        asked = [request(episode, turn, admissible) for episode in episodes]
        for one, reply in zip(asked, student.act(asked), strict=True):
            assert reply.text == plain_reply(model, tokenizer, one, temperature), (one.slot, turn)
        if turn == 1:  # episodes end, others begin in their rows
            student.release(["1", "4"])
            episodes = [5, 0, 2, 3, 8, 9]


def test_rows_that_give_way_to_others_are_computed_again(tiny):
    small, large = make_student(tiny, batch_size=2), make_student(tiny, batch_size=16)
    for turn in range(3):
        asked = [request(episode, turn) for episode in range(5)]
        assert [r.text for r in small.act(asked)] == [r.text for r in large.act(asked)]


def test_more_episodes_may_come_while_others_are_held(tiny):
    alone = [make_student(tiny).act([request(episode, 1)])[0] for episode in range(5)]
    student = make_student(tiny, batch_size=4)
    first, second, *rest = alone
    assert student.act([request(0, 1)]) + student.act([request(1, 1)]) == [first, second]
    assert student.act([request(episode, 1) for episode in (2, 3, 4)]) == rest


def test_only_new_tokens_are_computed(tiny):
    student = make_student(tiny)
    widths = []
    student._model.register_forward_pre_hook(
        lambda module, args, kwargs: widths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    student.act([request(0, 1)])
    first = widths[0]
    widths.clear()
    student.act([request(0, 2)])
    new = len(encode_prompt(student._tokenizer, conversation(0, 2)))
    new -= len(encode_prompt(student._tokenizer, conversation(0, 1)))
    assert widths[0] == new < first


def test_two_requests_of_one_slot_are_both_answered(tiny):
    student = make_student(tiny)
    asked = [request(0, 1), request(0, 2)]
    together = [reply.text for reply in student.act(asked)]
    assert together == [make_student(tiny).act([one])[0].text for one in asked]


def test_usage_counts_prompt_and_reply(tiny):
    reply = make_student(tiny).act([request(1, 1)])[0]
    assert reply.usage.num_requests == 1
    assert reply.usage.prompt_tokens == len(encode_prompt(load_tokenizer(tiny), conversation(1, 1)))
    assert 1 <= reply.usage.completion_tokens <= 16


def test_a_prompt_beyond_the_context_is_out_of_context_by_itself(tiny):
    student = make_student(tiny)
    long = ActRequest(slot="long", messages=conversation(200, 40), admissible=None, seed=0)
    first, second = student.act([long, request(0, 0)])
    assert (first.out_of_context, first.error, first.text) == (True, None, "")
    assert (second.out_of_context, second.error) == (False, None)


@pytest.mark.parametrize("num_words_left", [0, 2])
def test_a_reply_ends_where_the_context_does(tiny, num_words_left):
    student = make_student(tiny)
    context, (*before, last) = student._model.config.max_position_embeddings, conversation(0, 1)

    def filled(num_words):
        return (*before, last.with_(content=last.content + " mug" * num_words))

    def room(num_words):
        return context - len(encode_prompt(student._tokenizer, filled(num_words)))

    most = (room(0) - 1) // (room(0) - room(1))
    messages, left = filled(most - num_words_left), room(most - num_words_left)
    assert 1 <= left < 16
    (reply,) = student.act([ActRequest(slot="full", messages=messages, admissible=None, seed=0)])
    assert (reply.out_of_context, reply.usage.completion_tokens) == (False, left)


def test_a_prompt_cannot_be_cut_to_nothing(tiny):
    with pytest.raises(StudentError, match=r"student\.max_new_tokens"):
        make_student(tiny, out_of_context="truncate", max_new_tokens=1024)


def test_a_prompt_beyond_the_context_can_be_cut_from_the_left(tiny):
    """Turn after turn, beside a short one, whatever was kept of earlier turns."""
    student = make_student(tiny, temperature=0, out_of_context="truncate")
    for turn in (40, 41):
        long = ActRequest(slot="long", messages=conversation(200, turn), admissible=None, seed=0)
        first, second = student.act([long, request(0, 0)])
        assert (first.out_of_context, first.error) == (False, None)
        assert first.usage.prompt_tokens == 1024 - 16
        alone = make_student(tiny, temperature=0, out_of_context="truncate").act([long])[0]
        assert (first.text, second.error) == (alone.text, None)


def test_a_reply_is_the_same_when_it_takes_the_place_of_another_that_is_over(tiny):
    asked = [request(episode, episode % 3, COMMANDS if episode == 1 else None) for episode in range(7)]
    alone = [make_student(tiny).act([one])[0].text for one in asked]
    student = make_student(tiny)
    student.submit(asked[:3])
    found = dict(student.collect())
    assert 0 < len(found) < 3, "it does not wait for all of them"
    student.submit(asked[3:])
    while len(found) < len(asked):
        found |= student.collect()
    assert [found[one.slot].text for one in asked] == alone


def test_an_end_of_all_episodes_leaves_no_trace(tiny):
    """Not even in the bits of what the rows of a later shard hold."""
    fresh, used = make_student(tiny), make_student(tiny)
    used.act([request(episode, 2) for episode in range(3)])
    used.release([request(episode, 2).slot for episode in range(3)])
    asked = [request(0, 1), request(1, 1)]
    for student in (fresh, used):
        student.act(asked)
    for number in range(2):
        held = [student._engine.table.cache.keys[-1][number, :, :40] for student in (fresh, used)]
        assert torch.equal(*held)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
)
def test_running_out_of_memory_is_an_error_of_the_replies_and_the_student_goes_on(tiny, error):
    def fail(module, args):
        raise error

    student = make_student(tiny)
    student.act([request(0, 0), request(1, 0)])
    hook = student._model.register_forward_pre_hook(fail)
    assert ["batch_size" in reply.error for reply in student.act([request(0, 1), request(1, 1)])] == [True, True]
    hook.remove()
    asked = [request(1, 1), request(0, 2)]
    assert [reply.text for reply in student.act(asked)] == [reply.text for reply in make_student(tiny).act(asked)]


def test_other_failures_of_the_model_are_raised(tiny):
    def fail(module, args):
        raise RuntimeError("size mismatch")

    student = make_student(tiny)
    student._model.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="size mismatch"):
        student.act([request(0, 0)])


def test_weights_that_diverged_are_an_error(tiny, tmp_path):
    student = make_student(tiny)
    with torch.no_grad():
        student._model.model.norm.weight.fill_(float("nan"))
    assert "not numbers" in student.act([request(0, 0)])[0].error


def full_forward_ids(model, prompt, count):
    ids = list(prompt)
    for _ in range(count):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def write_all(engine, slots, prompts, replies):
    for slot, prompt, reply in zip(slots, prompts, replies, strict=True):
        engine.submit(slot, prompt, reply)
    while engine.advance():
        pass


@pytest.mark.parametrize("make", [make_passes, PaddedPasses], ids=["flat", "padded"])
@pytest.mark.parametrize("model_type", sorted(MASKABLE))
def test_every_known_architecture_gives_the_same_with_slots(model_type, make):
    tokenizer = make_bpe_tokenizer()
    extra = {"head_dim": 8} if model_type in {"gemma", "qwen3"} else {}
    window = {"sliding_window": None} if model_type in {"mistral", "starcoder2", "phi3"} else {}
    model = make_model(model_type, len(tokenizer), **extra, **window)
    assert takes_own_mask(model.config)
    engine = SlotEngine(model, "cpu", 4, Sampling(temperature=0), make)
    vocabulary = Vocabulary(tokenizer)
    vocabulary.ends = frozenset()
    for turn in range(2):
        prompts = [encode_prompt(tokenizer, conversation(episode, turn)) for episode in (0, 2, 1)]
        replies = [Reply(vocabulary, 0, 6, None) for _ in prompts]
        write_all(engine, ["a", "b", "c"], prompts, replies)
        for prompt, reply in zip(prompts, replies, strict=True):
            assert reply.ids == full_forward_ids(model, prompt, 6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("mistral", {"sliding_window": 32}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 32, "max_window_layers": 1}),
        ("mamba", {}),
        ("gpt2", {}),
    ],
)
def test_other_models_are_answered_without_slots(model_type, settings, tmp_path):
    tokenizer = make_bpe_tokenizer()
    model = make_model(model_type, len(tokenizer), **settings)
    assert not takes_own_mask(model.config)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    student = make_student(tmp_path, temperature=0)
    asked = [request(0, 1), request(2, 0, COMMANDS), request(1, 2)]
    # Loaded again: for some architectures transformers puts a tokenizer class of its own in place of the saved one.
    expected = [plain_reply(model, load_tokenizer(tmp_path), one, 0) for one in asked]
    assert [reply.text for reply in student.act(asked)] == expected
    assert read_reply(expected[1], None).command in COMMANDS


def adapter_beside(base, folder, reference):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with wrapping_in_adapter():
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(base),
            LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"),
        )
    model.save_pretrained(folder)
    settings = folder / "adapter_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "base_model_name_or_path": reference}))
    return model.eval()


def test_an_adapter_plays_on_the_base_in_its_folder_wherever_it_is_moved(tiny, tmp_path):
    made = tmp_path / "made"
    model = adapter_beside(tiny, made, "base")
    shutil.copytree(tiny, made / "base")
    moved = tmp_path / "moved"
    made.rename(moved)
    asked = request(1, 1)
    expected = plain_reply(model, load_tokenizer(tiny), asked, 0)
    assert make_student(moved, temperature=0).act([asked])[0].text == expected
    assert make_student(tiny, temperature=0).act([asked])[0].text != expected


def test_an_adapter_without_its_base_is_an_error(tiny, tmp_path):
    adapter_beside(tiny, tmp_path / "adapter", "/nowhere/base")
    with pytest.raises(StudentError, match="/nowhere/base"):
        make_student(tmp_path / "adapter")


def test_a_missing_model_is_an_error(tmp_path):
    with pytest.raises(StudentError, match=r"config\.json"):
        make_student(tmp_path / "nothing")


def test_a_damaged_model_is_an_error(tiny, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(tiny, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(StudentError, match=str(broken)):
        make_student(broken)


def test_a_closed_student_says_so(tiny):
    student = make_student(tiny)
    student.close()
    with pytest.raises(StudentError, match="closed"):
        student.act([request(0, 0)])


def test_settings_that_mean_nothing_are_an_error(tiny):
    with pytest.raises(ConfigError, match="params"):
        make_student(tiny, model="some/model", params={"hidden_size": 64})
