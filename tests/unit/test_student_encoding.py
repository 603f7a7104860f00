"""Messages to token ids: exactly the chat template's own, and answers that end."""

import json

import pytest
from student_models import CHATML, conversation, make_bpe_tokenizer, make_small_tiny

from leap_core.errors import StudentError
from leap_core.students.encoding import (
    encode_completion,
    encode_prompt,
    end_ids,
    load_tokenizer,
    prepare,
)
from leap_core.students.templates import PLAIN_TEMPLATE
from leap_core.types import Message

AWKWARD = (
    Message(role="system", content="  be brief \n\n"),
    Message(role="user", content="\n日本 🤖  double  blanks\t"),
    Message(role="assistant", content=""),
    Message(role="user", content="im_end inside <end> and \x00"),
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
    assert loaded.decode(encode_prompt(loaded, conversation(0, 1))).endswith("assistant:")
    assert encode_completion(loaded, "ok")[-1] == loaded.eos_token_id


def load_with(template, folder, make=make_bpe_tokenizer):
    tokenizer = make()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return load_tokenizer(folder)


DATED = (
    "{% if date_string is not defined %}{% set date_string = strftime_now('%d %B %Y, %A') %}{% endif %}"
    "Today is {{ date_string }}, {{ strftime_now('%Y-%m-%d') }}.\n" + CHATML
)


def test_a_template_that_asks_for_the_date_gets_the_same_on_every_day(tmp_path):
    tokenizer = load_with(DATED, tmp_path / "first")
    text = tokenizer.decode(encode_prompt(tokenizer, conversation(0, 1)))
    assert text.startswith("Today is 26 Jul 2024, 2024-07-26.\n<|im_start|>")
    tokenizer.save_pretrained(tmp_path / "published")
    published = load_tokenizer(tmp_path / "published")
    assert published.chat_template == tokenizer.chat_template
    assert encode_prompt(published, conversation(0, 1)) == encode_prompt(tokenizer, conversation(0, 1))


@pytest.mark.parametrize("when", ["{% if loop.index0 > 0 %}", "{% if false %}"])
def test_a_system_message_that_the_template_leaves_out_goes_into_the_first_user_message(when, tmp_path):
    body = "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    silent = "{% if message.role != 'system' %}" + body + "{% else %}" + when + body + "{% endif %}{% endif %}"
    tokenizer = load_with("{% for message in messages %}" + silent + "{% endfor %}" + _ANSWERS, tmp_path)
    text = tokenizer.decode(encode_prompt(tokenizer, conversation(0, 1)))
    assert text.startswith("<|im_start|>user\nAnswer with REASON: and ACTION:.\n\nGoal:")


def test_of_several_templates_the_default_is_taken(tmp_path):
    tokenizer = load_with({"default": CHATML, "rag": "{{ documents }}"}, tmp_path)
    assert tokenizer.chat_template == CHATML


def test_several_templates_without_a_default_are_an_error_that_names_them(tmp_path):
    with pytest.raises(StudentError, match=r"rag, tool_use.*chat_template\.jinja"):
        load_with({"rag": CHATML, "tool_use": CHATML}, tmp_path)


def tried(template):
    """A case that is rendered in a process of its own first, which imports transformers."""
    return pytest.param(template, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "template",
    [
        "",
        "no words at all",
        "{{ messages[0].content }}",
        "{{ 1 / 0 }}" + CHATML,
        tried(CHATML.replace("message['content']", "message['content'][:100]")),
        tried("{% include 'x' %}"),
        tried("{% for i in range(10 ** 9) %}a{% endfor %}" + CHATML),
        tried("{{ messages[0].nothing.there }}" + CHATML),
        tried("{{ 'a' * (10 ** 15) }}" + CHATML),
        tried("{% for"),
        tried("{{ raise_exception('never') }}"),
        tried("{{ raise_exception }}" + CHATML),
        tried(CHATML.replace("message['content']", "message['content'] | e")),
        tried("{% if messages | length > 9 %}{{ raise_exception('no more turns') }}{% endif %}" + CHATML),
    ],
)
def test_a_template_of_no_use_is_an_error_that_says_so(template, tmp_path):
    with pytest.raises(StudentError, match="chat template") as caught:
        load_with(template, tmp_path)
    assert len(str(caught.value)) < 700


@pytest.mark.slow
@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}" + CHATML,
        "{{ 10 ** (10 ** 9) }}" + CHATML,
        "{{ '%3000000000d' | format(1) }}" + CHATML,
        "{{ 'a' * 100000000 }}" + CHATML,
        "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}" + CHATML,
    ],
)
def test_a_template_without_bounds_is_ended(template, tmp_path):
    with pytest.raises(StudentError, match="chat template"):
        load_with(template, tmp_path)


def test_an_adapter_without_a_template_takes_that_of_its_base(tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    load_with(CHATML, base)
    (base / "config.json").write_text("{}")
    plain = make_bpe_tokenizer()
    plain.chat_template = None
    plain.save_pretrained(adapter)
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    assert load_tokenizer(adapter).chat_template == CHATML
    (base / "chat_template.jinja").unlink()
    assert load_tokenizer(adapter).chat_template == PLAIN_TEMPLATE


def test_a_control_token_in_an_answer_is_taught_as_its_letters(bpe):
    text = "REASON: I print <|im_end|> once.\nACTION: echo '<|im_start|>'"
    ids = encode_completion(bpe, text)
    assert bpe.decode(ids[:-1]) == text
    assert [token for token in ids if token in bpe.all_special_ids] == [bpe.eos_token_id]


def test_what_a_server_is_sent_holds_no_control_token(bpe):
    messages = (Message(role="user", content="<|<|im_end|>im_end|> and </think>"),)
    sent = prepare(bpe, messages)
    assert sent[0].content == "<|< |im_end|>im_end|> and < /think>"
    assert prepare(bpe, sent) == sent
    clean = (Message(role="user", content="words"),)
    assert prepare(bpe, clean)[0] is clean[0]


def test_a_missing_tokenizer_is_an_error(tmp_path):
    with pytest.raises(StudentError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


_ANSWERS = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
_LOOP = "{%% for message in %s %%}<|im_start|>{{ message.role }}\n{{ %s }}<|im_end|>\n{%% endfor %%}"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (_LOOP % ("messages[-5:]", "message.content"), "of 23 messages"),
        pytest.param(_LOOP % ("messages", "message.content | capitalize"), "of 23 messages", marks=pytest.mark.slow),
        pytest.param(_LOOP % ("messages", "message.content | truncate(40)"), "of 23 messages", marks=pytest.mark.slow),
        pytest.param(_LOOP % ("messages", "message.content | tojson"), "of 23 messages", marks=pytest.mark.slow),
        pytest.param(
            _LOOP % ("messages", "message.content") + "{{ range(99999) | random ~ range(99999) | random }}",
            "each time",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_template_that_changes_an_episode_is_refused(tmp_path, template, told):
    tokenizer = make_bpe_tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(StudentError, match=told):
        load_tokenizer(tmp_path)


def test_a_template_without_a_prompt_for_answers_is_refused(tmp_path):
    with pytest.raises(StudentError, match="add_generation_prompt"):
        load_with(_LOOP % ("messages", "message.content"), tmp_path)


def test_a_tokenizer_that_does_not_keep_the_text_is_refused(tmp_path):
    def lower_case():
        from tokenizers import normalizers

        tokenizer = make_bpe_tokenizer()
        tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
        return tokenizer

    with pytest.raises(StudentError, match="tokenizer"):
        load_with(CHATML, tmp_path, lower_case)


def test_a_system_message_that_long_talks_lose_is_folded(tmp_path):
    tokenizer = make_bpe_tokenizer()
    tokenizer.chat_template = "{% set all = messages if messages | length < 5 else messages[1:] %}" + (
        "{% if messages[0].role != 'system' %}{% set all = messages %}{% endif %}"
        + _LOOP % ("all", "message.content")
        + _ANSWERS
    )
    tokenizer.save_pretrained(tmp_path)
    told = prepare(load_tokenizer(tmp_path), conversation(1, 4))
    assert [message.role for message in told[:2]] == ["user", "assistant"]
