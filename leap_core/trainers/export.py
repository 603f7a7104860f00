"""Writing a trained model so that the same weights give the same bytes, wherever and whenever they are written.

An adapter needs its base. If the base is on the hub, the adapter names it. If it is a directory, its files are put
into the folder "base" beside the adapter, and the adapter names that folder: the result can be moved and needs
nothing outside. A base that already lies inside an adapter's directory is linked rather than copied.
"""

import json
import os
import shutil
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
    for path in sorted(output.glob("*.json")):
        _tidy_json(path, drop=("_name_or_path", "name_or_path"))


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
    for path in sorted(output.glob("*.json")):
        _tidy_json(path, drop=("_name_or_path", "name_or_path"))
    _name_base(output / "adapter_config.json", name)


def _name_base(path: Path, name: str) -> None:
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = name
    # PEFT keeps these as sets, whose order changes from one process to the next.
    for key in ("target_modules", "exclude_modules", "modules_to_save"):
        if isinstance(settings.get(key), list):
            settings[key] = sorted(settings[key])
    _write_json(path, settings)


def _tidy_json(path: Path, drop: tuple[str, ...]) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    found = [key for key in drop if key in values]
    if found:
        _write_json(path, {key: value for key, value in values.items() if key not in found})


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
        if not (ours and _link(source, copy)):
            shutil.copyfile(source, copy)


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        return False
    return True
