"""The tiny student: its tokens, exact round trips, and the same bytes everywhere."""

import random
import re
from hashlib import sha256

import pytest
from student_models import SMALL, make_small_tiny, texts

from leap_core.errors import ConfigError
from leap_core.students.encoding import load_tokenizer
from leap_core.students.tiny import TinyParams, build_vocabulary, find_phrases, make_tiny_student


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(make_small_tiny(tmp_path_factory.mktemp("tiny")))


def pieces(tokenizer, text):
    return [tokenizer.decode([token]) for token in tokenizer.encode(text, add_special_tokens=False)]


def test_an_entity_is_one_token_everywhere(tokenizer):
    assert pieces(tokenizer, "ACTION: go to cabinet 2") == ["ACTION:", " go", " to", " cabinet 2"]
    for text in ("REASON: not in cabinet 2; so", "You see a cabinet 2.", "a cabinet 2, a cabinet 2\n"):
        assert " cabinet 2" in pieces(tokenizer, text)


def test_numbers_reach_one_beyond_the_largest_seen():
    vocabulary = build_vocabulary(["a drawer 4"])
    assert {f" drawer {number}" for number in range(1, 6)} <= set(vocabulary)
    assert " drawer 6" not in vocabulary


def test_words_know_their_form_within_a_line():
    assert {" go", "go", " cabinet 3"} <= set(build_vocabulary(["go to cabinet 2"]))


def test_every_text_round_trips(tokenizer):
    rng = random.Random(0)
    samples = ["", " ", "  a ", "cabinet 99, mug 1a", "<0x41><|end|>", "▁ é 日本 🤖 \x00\r\n\t", "REASON:ACTION:  x"]
    for _ in range(300):
        codes = [rng.choice([rng.randrange(32, 127), rng.randrange(0x110000)]) for _ in range(12)]
        samples.append("".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000))
    for text in samples:
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def digests(folder):
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    first, second = tmp_path / "first", tmp_path / "deep" / "second"
    make_small_tiny(first)
    make_tiny_student(second, reversed(list(texts())), 0, SMALL)
    assert digests(first) == digests(second)
    assert digests(make_small_tiny(tmp_path / "third", seed=1)) != digests(first)


def test_it_loads_like_any_other_model(tmp_path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(make_small_tiny(tmp_path))
    tokenizer = load_tokenizer(tmp_path)
    assert model.config.vocab_size == len(tokenizer)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|end|>")


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"hidden": 64}, "hidden_size"),
        ({"num_layers": 0}, "num_layers"),
        ({"hidden_size": 100, "num_heads": 3}, "hidden_size"),
    ],
)
def test_wrong_params_are_named(params, named):
    with pytest.raises(ConfigError, match=named):
        TinyParams.read(params)


def test_an_entity_begins_nearer_to_its_kind_than_to_any_other(tmp_path):
    make_tiny_student(
        tmp_path, ["You see a mug 1, a pan 1, and a plate 2. Take the mug, the pan or the plate."], seed=0
    )
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(tmp_path)
    weights = AutoModelForCausalLM.from_pretrained(tmp_path).get_input_embeddings().weight.detach()

    def vector(piece):
        row = weights[tokenizer.convert_tokens_to_ids(piece)]
        return row / row.norm()

    for entity, kind in ((" mug 1", " mug"), (" pan 1", " pan"), (" plate 2", " plate")):
        likeness = {other: float(vector(entity) @ vector(other)) for other in (" mug", " pan", " plate")}
        assert max(likeness, key=likeness.get) == kind
        assert likeness[kind] > 0.3


def test_a_large_number_is_no_entity(tmp_path):
    make_tiny_student(tmp_path, ["more than 3000, a mug 2"], 0, TinyParams(hidden_size=32, num_layers=1, num_heads=2))
    tokenizer = load_tokenizer(tmp_path)
    text = "fewer than 3000"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_a_phrase_ends_with_its_sentence():
    texts = [f"Is a {kind} here? Not yet. Next I check shelf {n}." for kind in ("mug", "pan") for n in range(1, 9)]
    phrases = find_phrases([*texts, "pan 1 mug 1"], lambda text: re.findall(r" ?[a-z]+ [0-9]+| ?\w+|[^\w\s]", text))
    assert " Not yet." in phrases
    assert not any("." in phrase[:-1] or "?" in phrase[:-1] for phrase in phrases)
