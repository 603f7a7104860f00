"""Replies: how they end, how commands are constrained, and what a sample depends on."""

import pytest
import torch
from student_models import COMMANDS, make_bpe_tokenizer, make_small_tiny

from leap_core.prompts import read_reply
from leap_core.students.decoding import Reply, Sampling, Vocabulary, choose, uniform
from leap_core.students.encoding import load_tokenizer


@pytest.fixture(scope="module", params=["tiny", "bpe"])
def vocabulary(request, tmp_path_factory):
    if request.param == "tiny":
        return Vocabulary(load_tokenizer(make_small_tiny(tmp_path_factory.mktemp("tiny"))))
    return Vocabulary(make_bpe_tokenizer())


def write(reply, tokens):
    """Let the model say `tokens`, then whatever is allowed first; return all tokens that were fed."""
    fed = list(reply.begin())
    for token in tokens:
        if reply.done or reply.allowed is not None:
            break
        fed += reply.accept(token)
    while not reply.done:
        fed += reply.accept(min(reply.allowed))
    return fed


def test_a_free_reply_ends_at_its_end_token(vocabulary):
    reply = Reply(vocabulary, 0, 50, None)
    said = [*vocabulary.encode("REASON: x\nACTION: look"), min(vocabulary.ends)]
    assert write(reply, said + said) == said
    assert reply.text == "REASON: x\nACTION: look"


def test_a_free_reply_ends_at_the_limit(vocabulary):
    reply = Reply(vocabulary, 0, 3, None)
    assert reply.begin() == []
    write(reply, vocabulary.encode("a b c d e f g h"))
    assert len(reply.ids) == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_every_admissible_command_can_be_said(vocabulary, command):
    reply = Reply(vocabulary, 0, 80, COMMANDS)
    reply.begin()
    for token in vocabulary.encode(" need it.\nACTION:"):
        reply.accept(token)
    for token in vocabulary.command(command):
        if not reply.done and token in reply.allowed and reply.ids[-1:] != [token]:
            reply.accept(token)
    assert reply.done
    assert read_reply(reply.text, None).command == command
    assert reply.text.startswith("REASON: need it.\nACTION: ")


def test_what_follows_of_itself_needs_no_model(vocabulary):
    reply = Reply(vocabulary, 0, 80, ["look"])
    opening = reply.begin()
    fed = [token for word in vocabulary.encode(" so\nACTION:") for token in reply.accept(word)]
    assert reply.done
    assert opening + fed == reply.ids
    assert reply.text == "REASON: so\nACTION: look"


def test_ending_without_a_command_gets_one(vocabulary):
    reply = Reply(vocabulary, 0, 80, COMMANDS)
    write(reply, [*vocabulary.encode(" done"), min(vocabulary.ends)])
    assert read_reply(reply.text, None).reason == "done"
    assert read_reply(reply.text, None).command in COMMANDS


@pytest.mark.parametrize("limit", [1, 20, 25, 40])
def test_a_constrained_reply_ends_in_a_command_within_its_limit(vocabulary, limit):
    reply = Reply(vocabulary, 0, limit, COMMANDS)
    write(reply, vocabulary.encode(" and so on") * 20)
    assert read_reply(reply.text, None).command in COMMANDS
    longest = max(len(vocabulary.command(command)) for command in COMMANDS)
    smallest = len(vocabulary.opening) + len(vocabulary.heading_line) + longest
    assert len(reply.ids) <= max(limit, smallest) <= reply.max_length


def test_a_token_that_reaches_beyond_the_heading_is_split():
    """A tokenizer in which the colon and what follows are one token still gives whole commands."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    words = ["<|end|>", "REASON", "ACTION", ":", ": ", "l", "look", " look", "\n", "x", " "]
    model = models.Unigram([(word, -1.0) for word in words], unk_id=0, byte_fallback=False)
    tokenizer = Tokenizer(model)
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    fast.chat_template = "{% for m in messages %}{{ m['content'] }}<|end|>{% endfor %}"
    vocabulary = Vocabulary(fast)
    reply = Reply(vocabulary, 0, 30, ["look"])
    write(reply, fast.convert_tokens_to_ids(["x", "\n", "ACTION", ": "]))
    assert reply.text == "REASON:x\nACTION: look"


def test_numbers_depend_on_seed_and_index_alone_and_are_spread_evenly():
    numbers = [uniform(seed, index) for seed in range(200) for index in range(50)]
    assert numbers == [uniform(seed, index) for seed in range(200) for index in range(50)]
    assert len(set(numbers)) > 9_990
    assert all(0 <= number < 1 for number in numbers)
    counts = torch.histc(torch.tensor(numbers), bins=10, min=0, max=1)
    assert counts.min() > 900
    assert counts.max() < 1100


def replies_at(vocabulary, seeds):
    return [Reply(vocabulary, seed, 10, None) for seed in seeds]


def test_samples_follow_the_probabilities(vocabulary):
    logits = torch.log(torch.tensor([[0.0, 0.5, 0.3, 0.2]])).expand(4000, 4)
    chosen = torch.tensor(choose(logits, replies_at(vocabulary, range(4000)), Sampling(temperature=1.0)))
    shares = torch.bincount(chosen, minlength=4) / 4000
    assert torch.allclose(shares, torch.tensor([0.0, 0.5, 0.3, 0.2]), atol=0.03)


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (1.0, [0.1, 0.4, 0.3, 0.2]),
        (0.9, [0.0, 4 / 9, 3 / 9, 2 / 9]),  # reached with the third
        (0.7, [0.0, 4 / 7, 3 / 7, 0.0]),
        (0.69, [0.0, 4 / 7, 3 / 7, 0.0]),
        (0.01, [0.0, 1.0, 0.0, 0.0]),  # one there always is
    ],
)
def test_top_p_draws_from_the_most_probable_tokens_alone(vocabulary, top_p, expected):
    logits = torch.log(torch.tensor([[0.1, 0.4, 0.3, 0.2]], dtype=torch.float64)).expand(4000, 4)
    # A hair less, where a sum of shares should be met exactly.
    sampling = Sampling(temperature=1.0, top_p=top_p if top_p == 1 else top_p - 1e-6)
    chosen = torch.tensor(choose(logits, replies_at(vocabulary, range(4000)), sampling))
    assert torch.allclose(torch.bincount(chosen, minlength=4) / 4000, torch.tensor(expected), atol=0.03)


def test_a_sample_does_not_depend_on_its_neighbours(vocabulary):
    logits = torch.randn(8, 100, generator=torch.Generator().manual_seed(0))
    together = choose(logits, replies_at(vocabulary, range(8)), Sampling(temperature=0.7))
    alone = [choose(logits[i : i + 1], replies_at(vocabulary, [i]), Sampling(temperature=0.7))[0] for i in range(8)]
    assert together == alone


def test_temperature_zero_takes_the_best(vocabulary):
    assert choose(torch.tensor([[0.1, 3.0, 2.9]]), replies_at(vocabulary, [5]), Sampling(temperature=0)) == [1]


def test_logits_that_are_not_numbers_fail_that_reply_alone(vocabulary):
    logits = torch.zeros(2, 5)
    logits[1, 3] = float("nan")
    replies = replies_at(vocabulary, [0, 1])
    choose(logits, replies, Sampling(temperature=1.0))
    assert replies[0].error is None
    assert "not numbers" in replies[1].error
    assert replies[1].done
