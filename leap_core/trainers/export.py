"""Writing a trained model so that the same weights give the same bytes, wherever and whenever they are written.

An adapter needs its base. If the base is on the hub, the adapter names it. If it is a directory, its files are put
into the folder "base" beside the adapter, and the adapter names that folder: the result can be moved and needs
nothing outside. A base that already lies inside an adapter's directory is linked rather than copied.
"""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from leap_core.students.matching import ADAPTER_NAME

BASE_FOLDER = "base"
_MODEL_FILES = ("*.safetensors", "*.safetensors.index.json", "*.bin", "*.bin.index.json", "*.py")
_CONFIG_FILES = ("config.json", "generation_config.json")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
)
_SOURCE = ("_name_or_path", "name_or_path")
_NEVER = frozenset({"training_args.bin", "optimizer.bin", "scheduler.bin"})


def make_generation_savable(model: Any) -> None:
    """Keep a model's own generation config, unless transformers would refuse to save it: then only its tokens.

    Some published models switch sampling off and set a temperature all the same.
    """
    config = model.generation_config
    try:
        config.validate(strict=True)
    except ValueError:
        named = ("bos_token_id", "eos_token_id", "pad_token_id")
        model.generation_config = type(config)(**{name: getattr(config, name) for name in named})


def export_model(model: Any, tokenizer: Any, output: Path, dtype: Any, end_ids: frozenset[int]) -> None:
    """Write all weights, as `dtype`, with what is needed to load and to stop them."""
    output.mkdir(parents=True, exist_ok=True)
    model.to(dtype)
    model.config.dtype = dtype
    model.config.use_cache = True
    model.generation_config.eos_token_id = sorted(end_ids) if len(end_ids) > 1 else min(end_ids)
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    _forget_source(output)


def export_adapter(model: Any, tokenizer: Any, output: Path, base: Path | str) -> None:
    """Write an adapter, its tokenizer, and its base where that is a directory."""
    output.mkdir(parents=True, exist_ok=True)
    # Trainers may put others beside it, such as a frozen copy as their reference.
    model.save_pretrained(output, selected_adapters=[ADAPTER_NAME])
    (output / "README.md").unlink(missing_ok=True)
    tokenizer.save_pretrained(output)
    name = str(base)
    if Path(base).is_dir():
        name = BASE_FOLDER
        _place_base(Path(base), output / BASE_FOLDER)
    _forget_source(output)
    _name_base(output / "adapter_config.json", name)


def _forget_source(output: Path) -> None:
    """No file says from where on this machine the model was loaded."""
    for path in output.glob("*.json"):
        values = json.loads(path.read_text(encoding="utf-8"))
        if not values.keys().isdisjoint(_SOURCE):
            _write_json(path, {key: value for key, value in values.items() if key not in _SOURCE})


def _name_base(path: Path, name: str) -> None:
    settings = json.loads(path.read_text(encoding="utf-8")) | {"base_model_name_or_path": name}
    # PEFT keeps these as sets, whose order changes from one process to the next.
    for key in ("target_modules", "exclude_modules", "modules_to_save"):
        if isinstance(settings.get(key), list):
            settings[key] = sorted(settings[key])
    _write_json(path, settings)


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _place_base(base: Path, target: Path) -> None:
    """Link or copy the model files of `base`; a directory of the user's own is copied, since it may change later."""
    target.mkdir(exist_ok=True)
    ours = base.name == BASE_FOLDER and (base.parent / "adapter_config.json").is_file()
    patterns = (*_MODEL_FILES, *_CONFIG_FILES, *_TOKENIZER_FILES)
    for source in sorted({path for pattern in patterns for path in base.glob(pattern)} - {base / n for n in _NEVER}):
        copy = target / source.name
        copy.unlink(missing_ok=True)
        if ours:
            with suppress(OSError):  # another file system, or one without links
                os.link(source, copy)
                continue
        shutil.copyfile(source, copy)
