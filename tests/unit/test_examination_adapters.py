"""Whether a brought adapter belongs to its base, and whether a new one can be put where it is meant to go."""

import shutil

import pytest
from brought_models import edit_json, edit_weights, errors_of, the_error_of, write_adapter, write_brought

from leap_core.config import LoraSection, TrainingConfig
from leap_core.errors import StudentError
from leap_core.students.examination.examine import check_published, examine_model
from leap_core.students.examination.findings import Purpose
from leap_core.students.loading import base_of_adapter, load_adapter, load_model

WEIGHTS = "adapter_model.safetensors"
LORA, FULL = TrainingConfig(lora=LoraSection(rank=4)), TrainingConfig(method="full", max_length=512)
Q = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_brought(tmp_path_factory.mktemp("brought") / "base")


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    return write_brought(tmp_path_factory.mktemp("brought") / "tied", tie_word_embeddings=True)


@pytest.fixture(scope="module")
def whole(base):
    return write_adapter(base.parent / "adapter", base)


@pytest.fixture
def adapter(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "adapter")


def load(adapter):
    return load_adapter(load_model(base_of_adapter(adapter), "auto"), adapter)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_dora": True},
        {"use_rslora": True},
        {"target_modules": "all-linear"},
        {"modules_to_save": ["lm_head"]},
        {"rank_pattern": {"q_proj": 2}},
        {"layers_to_transform": [1]},
    ],
)
def test_no_kind_of_lora_raises_a_false_alarm(base, tmp_path, settings):
    adapter = write_adapter(tmp_path / "adapter", base, **settings)
    assert errors_of(adapter, training=LORA.with_(max_length=512)) == []
    load(adapter)


def renamed(weights):
    """As an adapter of a model with the same layers at another place."""
    for name in list(weights):
        weights[name.replace("base_model.model.", "base_model.model.language_model.")] = weights.pop(name)


def widened(weights):
    import torch

    weights[f"{Q}.lora_A.weight"] = torch.zeros(4, 64)


BROKEN = {
    f"some of its weights are missing: {Q}.lora_A.default.weight": lambda weights: weights.pop(f"{Q}.lora_A.weight"),
    "some of its weights have no place in the base: base_model.model.language_model.": renamed,
    f"weights have another shape than there: {Q}.lora_A.default.weight (4, 64) in place of (4, 32)": widened,
}


@pytest.mark.parametrize("told", BROKEN)
def test_weights_that_do_not_belong_to_the_base_are_told_before_and_at_the_load(adapter, told):
    edit_weights(adapter, BROKEN[told], WEIGHTS)
    assert any(told in error for error in errors_of(adapter))
    with pytest.raises(StudentError) as error:
        load(adapter)
    assert told in str(error.value)


def test_an_adapter_of_another_family_is_told(adapter, tmp_path):
    other = write_brought(tmp_path / "gpt2", "gpt2", n_embd=32, n_layer=2, n_head=4)
    edit_json(adapter, "adapter_config.json", base_model_name_or_path=str(other))
    assert "it does not fit its base: Target modules" in the_error_of(adapter)
    with pytest.raises(StudentError, match="could not be put on its base"):
        load(adapter)


def test_an_adapter_of_another_width_is_told(adapter, tmp_path):
    other = write_brought(tmp_path / "wide", hidden_size=64)
    edit_json(adapter, "adapter_config.json", base_model_name_or_path=str(other))
    assert f"{Q}.lora_A.default.weight (4, 32) in place of (4, 64)" in the_error_of(adapter)


def test_an_adapter_with_more_words_than_its_base_is_told(base, tmp_path):
    from transformers import AutoModelForCausalLM

    larger = AutoModelForCausalLM.from_pretrained(base)
    larger.resize_token_embeddings(larger.vocab_size + 8)
    larger.save_pretrained(tmp_path / "larger")
    adapter = write_adapter(tmp_path / "adapter", tmp_path / "larger", modules_to_save=["embed_tokens", "lm_head"])
    edit_json(adapter, "adapter_config.json", base_model_name_or_path=str(base))
    assert "embed_tokens.modules_to_save.default.weight" in the_error_of(adapter)


def test_what_is_wrong_with_its_base_is_told_too(adapter, base):
    shutil.copytree(base, adapter / "base")
    edit_json(adapter, "adapter_config.json", base_model_name_or_path="base")
    assert errors_of(adapter) == []
    edit_weights(adapter / "base", lambda weights: weights.pop("model.norm.weight"))
    assert "would be filled at random: model.norm.weight" in the_error_of(adapter)


@pytest.mark.parametrize("named", ["/nowhere/base", "org/none"])
def test_a_base_that_is_not_there_is_told(adapter, named):
    assert named in the_error_of(edit_json(adapter, "adapter_config.json", base_model_name_or_path=named))


def test_an_adapter_on_an_adapter_is_refused(adapter, whole):
    edit_json(adapter, "adapter_config.json", base_model_name_or_path=str(whole))
    assert "but that is an adapter itself. Merge that one into its own base" in the_error_of(adapter)
    edit_json(adapter, "adapter_config.json", base_model_name_or_path=".")
    with pytest.raises(StudentError, match="that is an adapter itself"):
        load(adapter)


@pytest.mark.parametrize(
    ("name", "told"),
    [("adapter_model.bin", "there are only pickled weights, adapter_model.bin"), (None, "there are no weights")],
)
def test_an_adapter_without_safetensors_is_told(adapter, name, told):
    (adapter / WEIGHTS).rename(adapter / (name or "elsewhere"))
    assert told in the_error_of(adapter)
    with pytest.raises(StudentError, match=r"has no adapter_model\.safetensors"):
        load(adapter)


def test_a_cut_off_or_endless_file_of_an_adapter_is_told(adapter):
    weights = adapter / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-10])
    assert "adapter_model.safetensors is cut off" in the_error_of(adapter)
    with pytest.raises(StudentError, match="could not be put on its base"):
        load(adapter)
    (adapter / "adapter_config.json").write_text("[" * 100_000)
    assert "adapter_config.json is nested too deep" in errors_of(adapter)[0]


def peft_config(kind):
    import peft

    given = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj"]}
    return {
        "IA3": lambda: peft.IA3Config(feedforward_modules=[], **given),
        "LOHA": lambda: peft.LoHaConfig(**given),
        "LOKR": lambda: peft.LoKrConfig(**given),
        "OFT": lambda: peft.OFTConfig(oft_block_size=4, r=0, **given),
        "VERA": lambda: peft.VeraConfig(**given),
        "ADALORA": lambda: peft.AdaLoraConfig(total_step=10, **given),
        "PROMPT_TUNING": lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
        "PREFIX_TUNING": lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
        "P_TUNING": lambda: peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    }[kind]()


@pytest.mark.parametrize("kind", ["IA3", "LOHA", "LOKR", "OFT", "VERA", "ADALORA"])
def test_adapters_that_can_be_merged_are_played_and_not_trained_further(base, tmp_path, kind):
    adapter = write_adapter(tmp_path / "adapter", base, peft_config(kind))
    assert errors_of(adapter) == []
    assert errors_of(adapter, training=FULL) == []
    load(adapter).merge_and_unload()
    error = the_error_of(adapter, training=LORA.with_(max_length=512))
    assert f"it is of the type '{kind}', which can be played, but is not trained further" in error
    assert "--set training.method=full" in error


@pytest.mark.parametrize("kind", ["PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING"])
def test_adapters_that_cannot_be_merged_are_refused(base, tmp_path, kind):
    adapter = write_adapter(tmp_path / "adapter", base, peft_config(kind))
    told = f"it is of the type '{kind}', which cannot be merged into its base. Expected one of LORA, ADALORA"
    assert the_error_of(adapter).startswith(f"adapter: {told}")
    with pytest.raises(StudentError, match=f"it is of the type '{kind}'"):
        load(adapter)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"r": 0}, "its rank is 0. Expected a whole number from 1 to 16,384"),
        ({"r": 10**8}, "its rank is 100000000"),
        ({"r": "4"}, "its rank is '4'"),
        ({"rank_pattern": {"q_proj": 10**9}}, "its rank is 4"),
        ({"task_type": "SEQ_CLS"}, "it was made for the task 'SEQ_CLS'"),
        ({"alora_invocation_tokens": [1, 2]}, "it acts only after certain tokens"),
        ({"peft_type": "MYSTERY"}, "it is of the type 'MYSTERY'"),
    ],
)
def test_settings_of_an_adapter_that_cannot_be_are_told(adapter, settings, told):
    assert told in the_error_of(edit_json(adapter, "adapter_config.json", **settings))


def test_the_rank_that_an_adapter_keeps_is_worth_a_note(adapter):
    look = examine_model(adapter, Purpose(training=TrainingConfig(max_length=512)))
    assert [one.text for one in look.findings] == [
        "it has rank 4 and is trained on with that, not with training.lora.rank = 128."
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"modules_to_save": ["embed_tokens"]},
        {"modules_to_save": ["lm_head"]},
    ],
)
def test_an_adapter_on_one_of_two_tied_weights_is_refused(tied, tmp_path, settings):
    adapter = write_adapter(tmp_path / "adapter", tied, **settings)
    assert "(tie_word_embeddings): an adapter on one of them could not be merged" in the_error_of(adapter)


def targets(model, modules):
    training = TrainingConfig(max_length=512, lora=LoraSection(rank=4, target_modules=modules))
    return errors_of(model, training=training)


@pytest.mark.parametrize("modules", ["all-linear", ["q_proj"], ["layers.1.mlp.up_proj", "v_proj"], r".*\.[qv]_proj"])
def test_target_modules_that_are_there_are_let_be(base, tied, modules):
    assert targets(base, modules) == targets(tied, modules) == []


@pytest.mark.parametrize("modules", [["embed_tokens"], ["q_proj", "lm_head"], ".*(q_proj|embed_tokens)"])
def test_new_adapters_on_one_of_two_tied_weights_are_refused(base, tied, modules):
    assert targets(base, modules) == []
    (error,) = targets(tied, modules)
    assert "this model's embedding and output layer share one weight (tie_word_embeddings)" in error


@pytest.mark.parametrize(
    ("modules", "told"),
    [
        (["q_proj", "up_prj"], "matches no module: up_prj. Did you mean 'up_proj'? This model has: down_proj, "),
        (
            ["c_attn"],
            "matches no module: c_attn. This model has: down_proj, embed_tokens, gate_proj, k_proj, lm_head, ",
        ),
        (["self_attn"], "matches no module: self_attn. "),
        ("q_proj,v_proj", 'A string is a pattern; names are a list: ["q_proj", "v_proj"].'),
    ],
)
def test_target_modules_that_are_not_there_are_told_with_those_that_are(base, modules, told):
    (error,) = targets(base, modules)
    assert told in error
    assert "'all-linear' takes all linear ones but the output layer." in error


def test_modules_of_gpt2_are_known_too(tmp_path):
    model = write_brought(tmp_path / "gpt2", "gpt2", n_embd=32, n_layer=2, n_head=4)
    assert targets(model, ["c_attn", "c_fc"]) == targets(model, "all-linear") == []
    assert "Did you mean 'c_proj'?" in targets(model, ["q_proj"])[0]


def test_how_large_a_new_adapter_is(base):
    from peft import LoraConfig, get_peft_model

    told = examine_model(base, Purpose(training=LORA)).facts["new adapter"]
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    number = get_peft_model(load_model(base, "auto"), lora).num_parameters(only_trainable=True)
    assert told.startswith(f"{number:,} weights at rank 4")


def test_what_a_training_publishes_is_opened_once(adapter, base, tmp_path):
    check_published(adapter)
    check_published(base)
    edit_weights(adapter, lambda weights: weights.pop(f"{Q}.lora_B.weight"), WEIGHTS)
    with pytest.raises(StudentError, match="some of its weights are missing"):
        check_published(adapter)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_weights_that_are_no_numbers_are_not_published(adapter, base, tmp_path, number):
    def spoil(weights):
        first = next(iter(sorted(weights)))
        weights[first][0, 0] = float(number)

    edit_weights(adapter, spoil, WEIGHTS)
    with pytest.raises(StudentError, match=f"{Q}.lora_A.weight"):
        check_published(adapter)
    model = edit_weights(shutil.copytree(base, tmp_path / "model"), spoil)
    with pytest.raises(StudentError, match=r"lm_head\.weight"):
        check_published(model)
