"""What a model's config.json says of its size, by circuit-tracer's names, read without the library of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..artifacts.location import is_path, split_revision
from ..documents.json_text import parse_json
from ..documents.text import MAX_INDEX_BYTES, read_text
from ..errors import ModelError

_KEYS = {
    "d_model": ("hidden_size", "n_embd"),
    "d_head": ("head_dim",),
    "n_heads": ("num_attention_heads", "n_head"),
    "d_mlp": ("intermediate_size", "n_inner"),
    "d_vocab": ("vocab_size",),
    "n_key_value_heads": ("num_key_value_heads",),
}


def model_config(model: str) -> dict[str, Any]:
    """Return sizes and names of a model: n_layers is left to the caller, unknown sizes are None.

    `model` is a directory or a hub id; of a hub id, the copy on this machine is read, and nothing is downloaded. Raises
    ModelError for a config.json that cannot be read.
    """
    config = _read(model)
    inner = config.get("text_config") if isinstance(config.get("text_config"), Mapping) else config
    sizes: dict[str, Any] = {name: _first(inner or {}, keys) for name, keys in _KEYS.items()}
    if sizes["d_head"] is None and sizes["d_model"] and sizes["n_heads"]:
        sizes["d_head"] = sizes["d_model"] // sizes["n_heads"]
    if sizes["d_mlp"] is None and config.get("model_type") == "gpt2" and sizes["d_model"]:
        sizes["d_mlp"] = 4 * sizes["d_model"]
    architectures = config.get("architectures") or [None]
    return {
        **sizes,
        "tokenizer_name": split_revision(model)[0],
        "model_name": split_revision(model)[0],
        "original_architecture": architectures[0],
        "dtype": None,
    }


def _read(model: str) -> Mapping[str, Any]:
    """Return the config, or an empty one if this machine has none."""
    from ..artifacts.hub import cached_folder

    name, revision = split_revision(model)
    folder = Path(name) if is_path(name) or Path(name).is_dir() else cached_folder(name, revision)
    file = folder / "config.json" if model and folder else None
    if file is None or not file.is_file():
        return {}
    found = parse_json(read_text(file, ModelError, MAX_INDEX_BYTES), ModelError)
    if not isinstance(found, dict):
        raise ModelError(f"{file} is not a JSON object")
    return found


def _first(config: Mapping[str, Any], keys: Sequence[str]) -> int | None:
    values = (config.get(key) for key in keys)
    return next((value for value in values if isinstance(value, int) and not isinstance(value, bool)), None)
