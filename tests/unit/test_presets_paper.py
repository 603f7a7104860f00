"""The presets that are the paper's, held value by value against the reference code (github.com/sanjibanc/leap_llm).

The reference's values are in its bash/train-sft-<environment>-iterx.sh, configs/training_<environment>.yaml,
configs/eval_<environment>.yaml, scripts/eval, scripts/train/sft.py, utils/openai.py and agents/hf_agent.py. LoRA's
target modules are PEFT's for Llama, top-p that of Llama's generation_config.json: the reference sets neither.
"""

import pytest

from flows.presets import read_config

ALL = {
    "student.temperature": 0.3,
    "student.top_p": 0.9,
    "student.max_new_tokens": 256,
    "student.out_of_context": "truncate",
    "correction.teacher": "openai",
    "correction.params": {"model": "gpt-4o", "temperature": 0.3},
    "correction.level": 50,
    "dataset.aggregate": "equal-rows",
    "dataset.validation_fraction": 0.15,
    "demonstrations.annotate_with": "gpt-4o",
    "training.trainer": "sft",
    "training.method": "lora",
    "training.lora.rank": 128,
    "training.lora.alpha": 64,
    "training.lora.dropout": 0.05,
    "training.lora.target_modules": ["q_proj", "v_proj"],
    "training.learning_rate": 3e-5,
    "training.lr_scheduler": "cosine",
    "training.warmup_steps": 10,
    "training.warmup_share": None,
    "training.max_grad_norm": 0.3,
    "training.weight_decay": 0.0,
    "training.precision": "bf16",
    "training.warm_start": True,
}
OWN = {
    "alfworld-paper": {
        "student.model": "meta-llama/Meta-Llama-3-8B-Instruct",
        "environment.max_steps": 20,
        "num_iterations": 3,
        "correction.threshold": 0.0,
        "training.batch_size": 4 * 8,
        "training.max_length": 8000,
        "training.epochs": 1,
        "training.keep_best_every": 200,
    },
    "webshop-paper": {
        "student.model": "meta-llama/Meta-Llama-3-8B-Instruct",
        "environment.max_steps": 15,
        "evaluation.max_steps": 30,
        "num_iterations": 3,
        "correction.threshold": 0.0,
        "dataset.kept_steps": False,
        "training.batch_size": 1 * 4,
        "training.max_length": 6000,
        "training.epochs": 1,
        "training.keep_best_every": 200,
    },
    "intercode-paper": {
        "student.model": "meta-llama/Llama-3.1-8B-Instruct",
        "environment.max_steps": 10,
        "correction.threshold": 0.7,
        "dataset.kept_steps": False,
        "training.batch_size": 1 * 8,
        "training.max_length": 6000,
        "training.epochs": 5,
        "training.keep_best_every": 50,
    },
}


def value_of(config, name):
    for part in name.split("."):
        config = config[part]
    return config


@pytest.mark.parametrize("preset", OWN)
def test_a_paper_preset_has_the_values_of_the_reference(preset):
    config = read_config(preset, []).model_dump(mode="json")
    expected = ALL | OWN[preset]
    assert {name: value_of(config, name) for name in expected} == expected
