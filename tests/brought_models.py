"""Small models and adapters as somebody might bring them, whole, and ways to damage them."""

import json

from student_models import make_bpe_tokenizer, make_model

from leap_core.students.examination.examine import examine_model
from leap_core.students.examination.findings import Purpose

LORA = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}


def write_brought(folder, model_type="llama", **settings):
    """A random model of two small layers, with its tokenizer."""
    tokenizer = make_bpe_tokenizer()
    make_model(model_type, len(tokenizer), **settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_adapter(folder, base, config=None, **settings):
    """An adapter, LoRA unless another PEFT config is given, that names its base by its path."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    lora = config or LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **(LORA | settings))
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), lora).save_pretrained(folder)
    return edit_json(folder, "adapter_config.json", base_model_name_or_path=str(base))


def edit_json(folder, name, **values):
    """Set values in a JSON file of a model; None takes one out."""
    path = folder / name
    kept = (json.loads(path.read_text()) if path.exists() else {}) | values
    path.write_text(json.dumps({key: value for key, value in kept.items() if value is not None}))
    return folder


def edit_weights(folder, change, name="model.safetensors"):
    """Write a model's weights again, after `change` has been called with them."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / name)
    change(weights)
    save_file(weights, folder / name, metadata={"format": "pt"})
    return folder


def cut_into_shards(folder):
    """The same weights in two files with an index, as large models have them."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {"model-00001-of-00002.safetensors": names[:5], "model-00002-of-00002.safetensors": names[5:]}
    for file, part in parts.items():
        save_file({name: weights[name] for name in part}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def errors_of(model, **purpose):
    """What would end a run, as lines `what: text`."""
    return [f"{one.what}: {one.text}" for one in examine_model(model, Purpose(**purpose)).errors]


def the_error_of(model, **purpose):
    (error,) = errors_of(model, **purpose)
    return error
