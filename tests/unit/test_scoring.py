"""How likely given replies are, against one plain forward pass for each of them."""

import pytest
import torch
from families import make_family
from student_models import answer, conversation, make_small_tiny

from leap_core.config import ExecutionConfig, StudentConfig
from leap_core.errors import StudentError
from leap_core.students.base import GivenReply
from leap_core.students.encoding import encode_completion, encode_prompt, load_tokenizer
from leap_core.students.loading import base_of_adapter, load_adapter, load_model
from leap_core.students.scoring import Scorer, common_length
from leap_core.students.weights import BUNDLED_DIRECTORY, is_adapter
from leap_core.types import Message


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_small_tiny(tmp_path_factory.mktemp("tiny"))


def scorer(path, batch_size=4, precision="fp32"):
    return Scorer(path, StudentConfig(precision=precision), ExecutionConfig(device="cpu", batch_size=batch_size))


def told(episode, turn, hidden, text):
    """A reply after a prompt whose last message begins with something else in each row of a group."""
    *before, last = conversation(episode, turn)
    return GivenReply(messages=(*before, Message(role="user", content=f"{hidden}\n{last.content}")), text=text)


def groups():
    """Prompts of growing episodes, replies of different lengths, one of them after three hidden states."""
    return [
        [told(episode, turn, hidden, answer(episode, turn) * (1 + turn % 2)) for hidden in ("", "mug 1 " * 9, "look")]
        for episode in range(2)
        for turn in range(4)
    ]


def one_by_one(path, given, dtype=torch.float32):
    """The same by the plainest means: the whole row, all logits, no padding, no cache."""
    tokenizer = load_tokenizer(base_of_adapter(path) if is_adapter(path) else path)
    if is_adapter(path):
        model = load_adapter(load_model(base_of_adapter(path), dtype), path).eval()
    else:
        model = load_model(path, dtype).eval()
    scores = []
    for reply in given:
        prompt, ids = encode_prompt(tokenizer, reply.messages), encode_completion(tokenizer, reply.text)
        with torch.no_grad():
            logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1].float()
        scores.append(logits.log_softmax(-1)[range(len(ids)), ids].tolist())
    return scores


def flat(scores):
    return [list(score.logprobs) for group in scores for score in group]


def assert_close(found, expected, tolerance=2e-4):
    assert [len(row) for row in found] == [len(row) for row in expected]
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=tolerance)


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_scores_are_those_of_one_plain_pass_for_each(tiny, batch_size):
    asked = groups()
    found = scorer(tiny, batch_size).score(asked)
    assert_close(flat(found), one_by_one(tiny, [reply for group in asked for reply in group]))
    assert found[0][0].total == pytest.approx(sum(found[0][0].logprobs))


def test_the_bundled_student_is_scored_alike():
    asked = groups()[:3]
    found = scorer(BUNDLED_DIRECTORY).score(asked)
    assert_close(flat(found), one_by_one(BUNDLED_DIRECTORY, [reply for group in asked for reply in group]), 1e-3)


def test_in_bf16_too(tiny):
    asked = groups()[:2]
    found = scorer(tiny, precision="bf16").score(asked)
    plain = one_by_one(tiny, [reply for group in asked for reply in group], torch.bfloat16)
    assert_close(flat(found), plain, 0.15)


@pytest.mark.parametrize("name", ["gemma3", "gpt2", "mistral-window", "phi3-long", "qwen3-moe", "r1"])
def test_families_with_habits_of_their_own_are_scored_alike(name, tmp_path):
    """Windows, angles that depend on the longest row, experts, thoughts: most of them cannot share what is computed."""
    make_family(name, tmp_path)
    asked = groups()[:4]
    found = scorer(tmp_path).score(asked)
    assert_close(flat(found), one_by_one(tmp_path, [reply for group in asked for reply in group]), 1e-3)


def test_an_adapter_is_scored_on_its_base(tiny, tmp_path):
    from brought_models import write_adapter

    write_adapter(tmp_path / "adapter", tiny)
    asked = groups()[:2]
    found = scorer(tmp_path / "adapter").score(asked)
    assert_close(flat(found), one_by_one(tmp_path / "adapter", [reply for group in asked for reply in group]))
    assert flat(found) != flat(scorer(tiny).score(asked))


def test_what_is_longer_than_the_model_reads_has_no_score(tiny):
    long = told(0, 1, "look " * 2000, "REASON: a\nACTION: look")
    short = told(0, 1, "", "REASON: a\nACTION: look")
    (found,) = scorer(tiny).score([[long, short]])
    assert found[0] is None
    assert len(found[1].logprobs) == len(found[1].ids)


def test_the_same_is_asked_twice_with_the_same_outcome(tiny):
    one = scorer(tiny)
    assert one.score(groups()) == one.score(groups()) == scorer(tiny).score(groups())


def test_tokens_are_read_back(tiny):
    one = scorer(tiny)
    (found,) = one.score([[told(0, 1, "", "REASON: look\nACTION: look")]])
    assert one.text_of(found[0].ids[:-1]) == "REASON: look\nACTION: look"


def test_a_closed_scorer_says_so(tiny):
    one = scorer(tiny)
    one.close()
    with pytest.raises(StudentError):
        one.score([])


def test_what_rows_have_in_common():
    assert common_length([[1, 2, 3], [1, 2, 4], [1, 2]]) == 2
    assert common_length([[], [1]]) == 0
