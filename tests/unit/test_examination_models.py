"""Whether a brought model can be played and trained is known before it is loaded: its kind, keys, words and room."""

import shutil

import pytest
from brought_models import edit_json, edit_weights, errors_of, the_error_of, write_brought
from student_models import make_bpe_tokenizer, make_model

from leap_core.config import TrainingConfig
from leap_core.errors import StudentError
from leap_core.students.examination import examine
from leap_core.students.examination.examine import examine_model
from leap_core.students.examination.findings import Purpose
from leap_core.students.loading import load_model, read_tokenizer
from leap_core.types import Message

UP = "model.layers.1.mlp.up_proj"
LORA, FULL = TrainingConfig(max_length=512), TrainingConfig(method="full", max_length=512)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_brought(tmp_path_factory.mktemp("brought") / "whole")


@pytest.fixture
def model(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


FAMILIES = {
    "llama": {},
    "mistral": {"sliding_window": 8},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 8},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8},
    "phi3": {},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gpt_neox": {},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 2, "n_head": 4},
    "falcon": {},
    "starcoder2": {},
    "olmo2": {},
    "granite": {},
    "qwen3_moe": {"num_experts": 4, "moe_intermediate_size": 16, "num_experts_per_tok": 2, "head_dim": 8},
    "mixtral": {"num_local_experts": 4},
    "mamba": {"state_size": 4},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_raises_a_false_alarm(tmp_path, family):
    sizes = {"bos_token_id": 0, **FAMILIES[family]}
    model = write_brought(tmp_path / family, family, **sizes)
    assert errors_of(model, training=LORA, num_new_tokens=64) == []
    load_model(model, "auto")


BROKEN_KEYS = {
    "weights are missing, and would be filled at random: " + UP + ".weight": lambda weights: weights.pop(
        UP + ".weight"
    ),
    "weights have another shape than config.json makes: " + UP + ".weight (48, 31) in place of (48, 32)": (
        lambda weights: weights.update({UP + ".weight": weights[UP + ".weight"][:, :31].contiguous()})
    ),
    "weights have no place in what config.json describes: " + UP + ".bias": (
        lambda weights: weights.update({UP + ".bias": weights[UP + ".weight"][:, 0].contiguous()})
    ),
    "weights have no place in what config.json describes: model.layers.1.self_attn.q_norm.weight": (
        lambda weights: weights.update({"model.layers.1.self_attn.q_norm.weight": weights["model.norm.weight"].clone()})
    ),
    "weights have no place in what config.json describes: model.layers.2.mlp.up_proj.weight": (
        lambda weights: weights.update({"model.layers.2.mlp.up_proj.weight": weights[UP + ".weight"].clone()})
    ),
}


@pytest.mark.parametrize("told", BROKEN_KEYS)
def test_weights_that_do_not_belong_to_the_config_are_told_before_and_at_the_load(model, told):
    edit_weights(model, BROKEN_KEYS[told])
    assert told in the_error_of(model)
    with pytest.raises(StudentError) as error:
        load_model(model, "auto")
    assert told in str(error.value)


def test_a_config_with_more_layers_than_the_weights_is_told(model):
    edit_json(model, "config.json", num_hidden_layers=3)
    assert "filled at random: model.layers.2.input_layernorm.weight" in the_error_of(model)
    with pytest.raises(StudentError, match=r"model\.layers\.2\.input_layernorm\.weight, .* and 6 more"):
        load_model(model, "auto")


def test_missing_experts_of_a_mixture_are_told(tmp_path):
    model = write_brought(tmp_path / "moe", "qwen3_moe", **FAMILIES["qwen3_moe"])
    edit_weights(model, lambda weights: weights.pop("model.layers.1.mlp.experts.2.up_proj.weight"))
    assert "as those of experts are, are not all there or do not fit together" in the_error_of(model)
    with pytest.raises(StudentError, match="are not all there or do not fit together"):
        load_model(model, "auto")


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: weights.update({"v_head.summary.weight": weights["model.norm.weight"].clone()}),
        lambda weights: weights.update(
            {"model.layers.1.self_attn.rotary_emb.inv_freq": weights["model.norm.weight"].clone()}
        ),
        lambda weights: [weights.update({key.removeprefix("model."): weights.pop(key)}) for key in list(weights)],
    ],
    ids=["a head of another kind", "a buffer of older versions", "names without their prefix"],
)
def test_weights_that_change_nothing_are_let_be(model, change):
    edit_weights(model, change)
    assert errors_of(model) == []
    load_model(model, "auto")


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("t5", "it is of the type 't5', which has an encoder and a decoder"),
        ("bert", "it is of the type 'bert', which reads both ways (an encoder)"),
        ("vit", "it is of the type 'vit', which has no causal language model"),
    ],
)
def test_models_that_write_no_text_are_refused(model, kind, told):
    edit_json(model, "config.json", model_type=kind, architectures=None)
    assert the_error_of(model).startswith(f"config: {told}. Expected a causal language model. Take a model that writes")


def test_a_classifier_is_refused_though_its_weights_would_load(tmp_path):
    tokenizer = make_bpe_tokenizer()
    model = make_model("qwen2", len(tokenizer), tie_word_embeddings=True)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    edit_json(tmp_path, "config.json", architectures=["Qwen2ForSequenceClassification"])
    assert "it is a Qwen2ForSequenceClassification, which writes no text" in the_error_of(tmp_path)
    with pytest.raises(StudentError, match="no causal language model"):
        load_model(tmp_path, "auto")


def test_code_of_the_model_never_runs_and_nobody_is_asked_for_leave(model, monkeypatch):
    code = f"open({str(model / 'ran')!r}, 'w')\n"
    (model / "own.py").write_text(code)
    edit_json(
        model, "config.json", model_type="mystery", auto_map={"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"}
    )
    monkeypatch.setattr("builtins.input", lambda *words: pytest.fail("somebody was asked"))
    error = the_error_of(model)
    assert "has no model_type 'mystery'; its own code (auto_map) is never run here. Take a model that" in error
    with pytest.raises(StudentError, match="could not be loaded"):
        load_model(model, "auto")
    assert not (model / "ran").exists()


def test_code_beside_a_model_that_transformers_knows_does_not_matter(model):
    edit_json(model, "config.json", auto_map={"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"})
    assert errors_of(model) == []
    load_model(model, "auto")


def test_a_slip_in_the_type_is_guessed(model):
    assert "Did you mean 'llama'?" in the_error_of(edit_json(model, "config.json", model_type="lama"))


@pytest.mark.parametrize(
    "asked", ["flash_attention_2", "flash_attention_3", "kernels-community/flash-attn", "flex_attention"]
)
@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_attention_that_needs_a_package_is_told(model, key, asked):
    error = the_error_of(edit_json(model, "config.json", **{key: asked}))
    assert f"asks for attn_implementation = '{asked}'" in error
    assert "Remove that line" in error


@pytest.mark.parametrize("asked", ["sdpa", "eager"])
def test_attention_of_torch_itself_is_let_be(model, asked):
    assert errors_of(edit_json(model, "config.json", attn_implementation=asked)) == []


@pytest.mark.parametrize(
    ("quantization", "package"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"load_in_8bit": True}, "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 4}, "optimum gptqmodel"),
        ({"quant_method": "awq", "bits": 4}, "gptqmodel"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
        ({"quant_method": "quanto"}, "optimum-quanto"),
    ],
)
def test_a_quantized_model_names_the_package_that_it_needs(model, quantization, package):
    edit_json(model, "config.json", quantization_config=quantization)
    assert f"Expected the package {package}. pip install {package}. Or take" in errors_of(model)[0]


def test_quantized_weights_are_trained_by_an_adapter_or_not_at_all(model):
    edit_json(model, "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    assert any("--set training.method=lora" in error for error in errors_of(model, training=FULL))
    edit_json(model, "config.json", quantization_config={"quant_method": "fp8"})
    assert errors_of(model) == []
    assert "no low-rank adapter can be trained on such weights" in the_error_of(model, training=LORA)


def test_a_quantization_that_nobody_knows_is_not_passed_over(model):
    edit_json(model, "config.json", quantization_config={"quant_method": "zzz"})
    assert "transformers knows no quantization 'zzz'" in the_error_of(model)


def test_a_generation_config_that_contradicts_itself_does_no_harm_at_the_load(model):
    edit_json(model, "generation_config.json", do_sample=False, temperature=0.9)
    assert errors_of(model) == []
    load_model(model, "auto")


def tokenizer_of(model, **settings):
    return edit_json(model, "tokenizer_config.json", **settings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"eos_token": None}, "has no eos_token, so no reply could ever end"),
        ({"eos_token": "</none>"}, "its eos_token '</none>' has the id {rows}, but the model has rows for 0 to {last}"),
        ({"pad_token": "[PAD]"}, "its pad_token '[PAD]' has the id {rows}, but the model has rows for 0 to {last}"),
        ({"tokenizer_class": "MysteryTokenizer", "auto_map": {"AutoTokenizer": ["own.T", None]}}, "is code of its own"),
    ],
)
def test_special_tokens_that_the_model_does_not_have_are_told(model, settings, told):
    num_rows = len(make_bpe_tokenizer())
    expected = told.format(rows=num_rows, last=num_rows - 1)
    assert any(expected in error for error in errors_of(tokenizer_of(model, **settings)))


def test_tokens_that_were_added_without_rows_are_told(model):
    tokenizer = make_bpe_tokenizer()
    tokenizer.add_tokens(["<fresh>"])
    tokenizer.save_pretrained(model)
    assert "it adds tokens for which the model has no row: <fresh>" in the_error_of(model)


def test_an_added_token_that_no_text_makes_needs_no_row(model):
    tokenizer = make_bpe_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.save_pretrained(model)
    assert errors_of(model) == []


def test_a_template_that_writes_tokens_without_rows_is_told(model):
    tokenizer = make_bpe_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    tokenizer.chat_template = "<|turn|>" + tokenizer.chat_template
    tokenizer.save_pretrained(model)
    assert "prompts hold '<|turn|>', but the model has rows for" in the_error_of(model)


def test_a_tokenizer_larger_than_the_embedding_is_told(tmp_path):
    tokenizer = make_bpe_tokenizer()
    make_model("llama", len(tokenizer) - 20).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert any(f"it has {len(tokenizer)} tokens, but the model has rows for 0 to" in one for one in errors_of(tmp_path))


def test_a_model_without_a_tokenizer_is_told(model):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (model / name).unlink()
    assert "has no tokenizer. Expected tokenizer.json and tokenizer_config.json" in the_error_of(model)


def test_a_tokenizer_of_an_unknown_kind_is_told_in_one_line(model):
    edit_json(model, "tokenizer.json", model={"type": "Mystery"})
    assert "No tokenizer could be loaded from" in the_error_of(model)
    with pytest.raises(StudentError, match="No tokenizer could be loaded") as error:
        read_tokenizer(model)
    assert "\n" not in str(error.value)


def test_positions_in_a_table_bound_the_rows_to_train_on(tmp_path):
    model = write_brought(tmp_path / "gpt2", "gpt2", **(FAMILIES["gpt2"] | {"max_position_embeddings": 256}))
    told = "training.max_length is 512, and the model reads at most 256 tokens. --set training.max_length=256; longer"
    assert told in the_error_of(model, training=LORA)
    assert errors_of(model, training=TrainingConfig(max_length=256)) == []


def test_rows_beyond_a_context_that_is_no_table_are_worth_a_note(model):
    look = examine_model(model, Purpose(training=TrainingConfig(max_length=2048)))
    assert (look.errors, len(look.findings)) == ([], 1)
    assert "training.max_length is 2,048, and the model reads at most 1,024 tokens" in look.findings[0].text


def test_a_prompt_and_its_reply_have_to_fit(model):
    prompt = (Message(role="user", content="look " * 1000),)
    assert errors_of(model, num_new_tokens=1024) == []
    assert "reads at most 1,024 tokens, and a prompt and its reply have at least 1,025" in the_error_of(
        model, num_new_tokens=1025
    )
    assert the_error_of(model, num_new_tokens=64, prompt=prompt).startswith("context: the model reads at most 1,024")


def test_a_model_too_large_for_a_cpu_is_worth_a_note(model, monkeypatch):
    monkeypatch.setattr(examine, "MOST_BILLIONS_ON_CPU", 1e-6)
    look = examine_model(model, Purpose(device="cpu"))
    assert (look.errors, [one.what for one in look.findings]) == ([], ["device"])
    assert "there is no GPU here" in look.findings[0].text


def test_a_model_of_the_hub_is_looked_at_in_the_cache(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--org--name"
    shutil.copytree(whole, cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    assert errors_of("org/name", training=LORA) == []
    edit_json(cached / "snapshots" / "abc", "config.json", num_hidden_layers=3)
    assert "filled at random" in the_error_of("org/name")
    assert "'org/none' is not on this machine" in the_error_of("org/none")


def test_an_adapter_on_the_hub_is_not_loaded_unseen(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--org--adapter"
    shutil.copytree(whole, cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    edit_json(cached / "snapshots" / "abc", "adapter_config.json", peft_type="LORA", base_model_name_or_path="org/name")
    assert "is an adapter on the hub. Download it: `hf download org/adapter --local-dir" in the_error_of("org/adapter")


@pytest.mark.parametrize("offline", [False, True])
def test_weights_that_the_hub_still_has_are_left_to_the_load_unless_it_may_not_fetch_them(
    whole, tmp_path, monkeypatch, offline
):
    cached = tmp_path / "models--org--name"
    shutil.copytree(whole, cached / "snapshots" / "abc", ignore=shutil.ignore_patterns("*.safetensors"))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    examination = examine_model("org/name", Purpose())
    (finding,) = [finding for finding in examination.findings if finding.what == "weights"]
    assert finding.fatal == offline
    assert "not on this machine" in finding.came
    assert "tokenizer" in examination.facts
