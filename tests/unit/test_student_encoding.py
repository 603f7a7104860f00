"""Messages to token ids: exactly the chat template's own, and answers that end."""

import pytest
from student_models import CHATML, conversation, make_bpe_tokenizer, make_small_tiny

from leap_core.errors import StudentError
from leap_core.students.encoding import PLAIN_TEMPLATE, encode_completion, encode_prompt, end_ids, load_tokenizer
from leap_core.types import Message

AWKWARD = (
    Message(role="system", content="  be brief \n\n"),
    Message(role="user", content="\n日本 🤖  double  blanks\t"),
    Message(role="assistant", content=""),
    Message(role="user", content="<|im_end|> inside <|end|> and \x00"),
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load_tokenizer(make_small_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def bpe():
    return make_bpe_tokenizer()


def own_ids(tokenizer, messages):
    chat = [message.model_dump() for message in messages]
    return tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)


@pytest.mark.parametrize("kind", ["tiny", "bpe"])
def test_a_prompt_is_what_the_template_gives(kind, request):
    tokenizer = request.getfixturevalue(kind)
    for messages in (conversation(2, 3), conversation(2, 4), AWKWARD):
        assert encode_prompt(tokenizer, messages) == own_ids(tokenizer, messages)


def test_turns_share_their_beginning(tiny):
    first, second = encode_prompt(tiny, conversation(1, 2)), encode_prompt(tiny, conversation(1, 3))
    assert second[: len(first)] == first


def test_a_completion_ends_as_the_template_ends_an_answer(bpe):
    ids = encode_completion(bpe, "ACTION: look")
    assert bpe.decode(ids) == "ACTION: look<|im_end|>"
    assert end_ids(bpe) == {bpe.convert_tokens_to_ids("<|im_end|>")}


def test_the_end_of_turn_is_found_where_it_is_not_the_end_of_text(bpe):
    other = make_bpe_tokenizer()
    other.eos_token = "<|endoftext|>"
    ids = encode_completion(other, "ok")
    assert other.convert_ids_to_tokens(ids[-1]) == "<|im_end|>"
    assert end_ids(other) == {ids[-1], other.eos_token_id}


def test_a_template_without_a_special_end_gets_the_end_of_text():
    tokenizer = make_bpe_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    assert encode_completion(tokenizer, "ok")[-1] == tokenizer.eos_token_id


def test_a_template_without_a_system_role_gets_its_text_in_the_first_user_message():
    tokenizer = make_bpe_tokenizer()
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    )
    text = tokenizer.decode(encode_prompt(tokenizer, conversation(0, 1)))
    assert text.startswith("<|im_start|>user\nAnswer with REASON: and ACTION:.\n\nGoal:")


def test_roles_the_template_refuses_are_an_error():
    tokenizer = make_bpe_tokenizer()
    tokenizer.chat_template = "{% if messages|length > 2 %}{{ raise_exception('too long') }}{% endif %}" + CHATML
    with pytest.raises(StudentError, match="too long"):
        encode_prompt(tokenizer, conversation(0, 2))


def test_a_base_model_gets_the_plain_template(tmp_path):
    tokenizer = make_bpe_tokenizer()
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.chat_template == PLAIN_TEMPLATE
    assert loaded.decode(encode_prompt(loaded, conversation(0, 1))).endswith("assistant: ")
    assert encode_completion(loaded, "ok")[-1] == loaded.eos_token_id


def test_a_missing_tokenizer_is_an_error(tmp_path):
    with pytest.raises(StudentError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
