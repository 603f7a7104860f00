"""What must hold for a model of any family that somebody brings, each on a tiny random one with its family's habits.

A family is covered once it is in FAMILIES. Not covered: the real weights, tokenizers and templates of any family, and
that a model of a family learns anything.
"""

from dataclasses import replace
from itertools import takewhile

import pytest
import torch
from chat_server import ChatServer
from chat_server import reply as completion
from families import FAMILIES, TEMPLATES, make_family
from student_models import answer, conversation, write_rows

from leap_core.config import EndpointConfig, ExecutionConfig, LoraSection, StudentConfig, TrainingConfig
from leap_core.prompts import format_reply, read_reply
from leap_core.students.architecture import one_regime_length
from leap_core.students.base import ActRequest
from leap_core.students.decoding import Vocabulary
from leap_core.students.encoding import encode_completion, encode_prompt, end_ids, load_tokenizer, opened_thought
from leap_core.students.hf import HfStudent
from leap_core.students.openai import OpenAIStudent
from leap_core.students.trial import is_tame
from leap_core.trainers.base import TrainingJob
from leap_core.trainers.export import export_model
from leap_core.trainers.packing import PaddingCollator, TreeCollator, pack_rows, single_sequences
from leap_core.trainers.rows import EncodedRow
from leap_core.trainers.sft import SftTrainer
from leap_core.types import Message

EXECUTION = ExecutionConfig(device="cpu", batch_size=4, num_threads=1)
NUM_TOKENS = 10
TURNS = (1, 3, 0, 6)
"""Turns of the episodes that are answered together: some long, some short."""


def marks_of(name):
    """A template that is not tame is first rendered in a process of its own, which imports transformers."""
    template = FAMILIES[name].template
    return () if template is None or is_tame((TEMPLATES / f"{template}.jinja").read_text()) else pytest.mark.slow


@pytest.fixture(scope="module", params=[pytest.param(name, marks=marks_of(name)) for name in sorted(FAMILIES)])
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    folder = tmp_path_factory.mktemp(family)
    make_family(family, folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def adapter(folder, tmp_path_factory):
    """A low-rank adapter that has learned enough to answer otherwise than its base."""
    home = tmp_path_factory.mktemp("adapter")
    SftTrainer().train(make_job(folder, home))
    return home / "output"


def make_job(start, home, **settings):
    from transformers import AutoConfig

    config = TrainingConfig(
        method="lora",
        lora=LoraSection(rank=4, alpha=8, dropout=0.0),
        precision="fp32",
        learning_rate=3e-2,
        warmup_steps=0,
        epochs=1,
        batch_size=2,
        max_length=one_regime_length(AutoConfig.from_pretrained(start)) or 1000,
        max_truncated_share=0.9,
    )
    return TrainingJob(
        rows=write_rows(home / "rows.parquet", episodes=4, steps=3),
        validation_rows=None,
        start=start,
        output=home / "output",
        checkpoints=home / "checkpoints",
        config=config.with_(**settings),
        execution=EXECUTION,
        seed=1,
    )


def ask(student, turns, **settings):
    """One turn of as many episodes, together."""
    requests = [
        ActRequest(slot=f"e{episode}", messages=conversation(episode, turn), admissible=None, seed=episode, **settings)
        for episode, turn in enumerate(turns)
    ]
    return student.act(requests)


def open_student(path, temperature=0.0, **execution):
    config = StudentConfig(max_new_tokens=NUM_TOKENS)
    return HfStudent(path, config, EXECUTION.with_(**execution), temperature)


def plain_greedy(model, tokenizer, messages):
    """The reply by one forward pass over everything for each token: no cache, no batch, nobody's generation config."""
    ids, stop = encode_prompt(tokenizer, messages), end_ids(tokenizer)
    written = []
    while len(written) < NUM_TOKENS:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids + written]), use_cache=False).logits[0, -1]
        token = int(logits.argmax())
        if token in stop:
            break
        written.append(token)
    return Vocabulary(tokenizer).decode(written)


def test_everything_that_is_said_stands_in_the_prompt_once(tokenizer):
    messages = conversation(2, 3)
    text = tokenizer.decode(encode_prompt(tokenizer, messages))
    for message in messages:
        assert message.content.strip() in text
    assert text.count(messages[0].content) == 1


def test_a_prompt_begins_as_the_one_before_it(tokenizer):
    """Up to the words of its last turn: so what was computed for it is used again, and rows of an episode share it."""
    shorter, longer = (encode_prompt(tokenizer, conversation(1, turn)) for turn in (1, 2))
    shared = [a for a, b in takewhile(lambda pair: pair[0] == pair[1], zip(shorter, longer, strict=False))]
    assert conversation(1, 1)[-1].content in tokenizer.decode(shared)


def test_the_prompt_opens_once(tokenizer):
    ids = encode_prompt(tokenizer, conversation(1, 1))
    opening = tokenizer.bos_token_id
    if opening is not None and opening != tokenizer.eos_token_id:
        assert ids[0] == opening
        assert ids[1] != opening


def test_what_is_learned_is_what_the_template_writes_and_reads_back_as_the_answer(tokenizer):
    text = answer(1, 1)
    ids = encode_completion(tokenizer, text)
    assert ids[-1] in end_ids(tokenizer)
    assert not set(ids[:-1]) & set(tokenizer.all_special_ids)
    assert format_reply(read_reply(Vocabulary(tokenizer).decode(ids), None)) == text
    question = Message(role="user", content="Where?")
    prompt = encode_prompt(tokenizer, [question])
    turn = [question.model_dump(), {"role": "assistant", "content": text}]
    whole = tokenizer.encode(tokenizer.apply_chat_template(turn, tokenize=False), add_special_tokens=False)
    if not opened_thought(tokenizer):  # else the turn of the template lacks the thought that its prompt opens
        assert (prompt + ids)[: len(whole)] == whole[: len(prompt + ids)]


def test_control_tokens_in_what_is_said_stay_text(tokenizer, family):
    token = next(token for token in FAMILIES[family].special if token != "<unk>")
    clean = [
        Message(role="user", content="On the page stands a word."),
        Message(role="assistant", content="ACTION: look"),
    ]
    clean += [Message(role="user", content="Nothing happens.")]
    hostile = [Message(role=m.role, content=f"{m.content} {token}{FAMILIES[family].eos} after") for m in clean]

    def count(messages):
        ids = encode_prompt(tokenizer, messages)
        return [ids.count(number) for number in sorted(tokenizer.all_special_ids)]

    assert count(hostile) == count(clean)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    assert not special & set(encode_completion(tokenizer, f"REASON: {token} a\nACTION: look {token}")[:-1])


@pytest.mark.slow
def test_play_equals_plain_greedy_decoding(folder, tokenizer):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    student = open_student(folder)
    for turns in (TURNS, [turn + 1 for turn in TURNS]):
        replies = ask(student, turns)
        expected = [plain_greedy(model, tokenizer, conversation(e, turn)) for e, turn in enumerate(turns)]
        assert [reply.text for reply in replies] == expected
        assert [reply.usage.prompt_tokens for reply in replies] == [
            len(encode_prompt(tokenizer, conversation(e, turn))) for e, turn in enumerate(turns)
        ]


@pytest.mark.slow
def test_a_sampled_reply_is_the_same_alone_and_among_others(folder):
    together = [reply.text for reply in ask(open_student(folder, 0.7), TURNS)]
    alone = [reply.text for reply in ask(open_student(folder, 0.7, batch_size=1), TURNS)]
    assert together == alone


@pytest.mark.slow
def test_a_foreign_generation_config_changes_no_reply(folder, family, tmp_path):
    import json
    import shutil

    before = [reply.text for reply in ask(open_student(folder), TURNS)]
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    config = {
        "repetition_penalty": 50.0,
        "no_repeat_ngram_size": 1,
        "num_beams": 2,
        "suppress_tokens": [9],
        "max_time": 1e-9,
    }
    (copy / "generation_config.json").write_text(json.dumps(config))
    assert [reply.text for reply in ask(open_student(copy), TURNS)] == before


@pytest.mark.slow
def test_packed_rows_train_as_unpacked_ones(folder, tokenizer):
    from transformers import AutoModelForCausalLM

    from leap_core.students.architecture import takes_own_mask

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if not takes_own_mask(model.config):
        pytest.skip("this family's rows are never packed: its layers take no mask of our making")
    rows = [
        EncodedRow(
            episode="e",
            step=turn,
            prompt=encode_prompt(tokenizer, conversation(1, turn)),
            completion=encode_completion(tokenizer, answer(1, turn)),
        )
        for turn in range(3)
    ]
    assert loss_of(model, pack_rows(rows, 4000), TreeCollator(0)) == pytest.approx(
        loss_of(model, single_sequences(rows), PaddingCollator(0)), rel=1e-5
    )


def loss_of(model, sequences, collate):
    """Summed over all answers' tokens."""
    fields = ("input_ids", "labels", "positions", "ends")
    batch = collate([{name: getattr(sequence, name) for name in fields} for sequence in sequences])
    labels = batch.pop("labels")
    with torch.inference_mode():
        logits = model(**batch).logits
    losses = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:], reduction="sum")
    return float(losses)


@pytest.mark.slow
def test_a_trained_adapter_answers_as_its_weights_say(folder, adapter, tokenizer):
    """Merged or not, what plays is base and adapter together, as PEFT computes them apart."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(adapter / "base", dtype=torch.float32)
    apart = PeftModel.from_pretrained(base, adapter).eval()
    replies = [reply.text for reply in ask(open_student(adapter), TURNS)]
    assert replies == [plain_greedy(apart, tokenizer, conversation(e, turn)) for e, turn in enumerate(TURNS)]
    assert replies != [reply.text for reply in ask(open_student(folder), TURNS)]


@pytest.mark.slow
def test_what_training_writes_has_the_text_that_it_was_trained_on(folder, adapter, tokenizer):
    written = load_tokenizer(adapter)
    for turn in TURNS:
        assert encode_prompt(written, conversation(1, turn)) == encode_prompt(tokenizer, conversation(1, turn))
    assert encode_completion(written, answer(1, 1)) == encode_completion(tokenizer, answer(1, 1))
    assert end_ids(written) == end_ids(tokenizer)


@pytest.mark.slow
def test_all_weights_saved_and_loaded_are_those_in_memory(family, tmp_path):
    from transformers import AutoModelForCausalLM

    model, tokenizer = make_family(family, tmp_path / "start", seed=1)
    export_model(model, tokenizer, tmp_path / "saved", torch.float32, end_ids(load_tokenizer(tmp_path / "start")))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", dtype=torch.float32)
    ours = dict(model.named_parameters())
    assert all(torch.equal(weight, ours[name]) for name, weight in loaded.named_parameters())
    written = load_tokenizer(tmp_path / "saved")
    expected = [plain_greedy(model, written, conversation(e, turn)) for e, turn in enumerate(TURNS)]
    assert [reply.text for reply in ask(open_student(tmp_path / "saved"), TURNS)] == expected


@pytest.mark.slow
def test_two_trainings_of_all_weights_end_alike(folder, tmp_path):
    job = make_job(folder, tmp_path, method="full", learning_rate=1e-3)
    SftTrainer().train(job)
    again = replace(job, output=tmp_path / "again", checkpoints=tmp_path / "afresh")
    SftTrainer().train(again)
    ours, theirs = (ask(open_student(path), TURNS) for path in (job.output, again.output))
    assert [reply.text for reply in ours] == [reply.text for reply in theirs]
    assert all(reply.error is None for reply in ours)


@pytest.mark.slow
def test_a_served_model_is_sent_what_it_was_trained_on(adapter, tmp_path):
    """A chat server renders the messages by the published template; the ids must be those of training."""
    from transformers import AutoTokenizer

    seen = []

    def serve(body, number):
        seen.append(body["messages"])
        return completion("REASON: a.\nACTION: look")

    with ChatServer(serve) as server:
        execution = ExecutionConfig(student=EndpointConfig(base_url=server.url), journal=str(tmp_path / "j.sqlite"))
        student = OpenAIStudent(adapter, StudentConfig(kind="openai"), execution, 0.0)
        ask(student, (2,))
        student.close()
    published = AutoTokenizer.from_pretrained(adapter)
    text = published.apply_chat_template(seen[0], tokenize=False, add_generation_prompt=True)
    rendered = published.encode(text, add_special_tokens=False)
    assert rendered == encode_prompt(load_tokenizer(adapter), conversation(0, 2))
