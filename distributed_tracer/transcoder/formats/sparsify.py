"""sparsify (EleutherAI): a folder layers.N.mlp per layer with cfg.json and sae.safetensors, TopK after ReLU."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ...errors import TranscoderError
from ..activation import Activation
from ..files import LayerFiles, TranscoderFiles, one_per_layer
from ..source import Folder, brief, read_config
from ..tensors import Place, read_headers

LOOKS_LIKE = "layers.N.mlp/cfg.json with layers.N.mlp/sae.safetensors (sparsify)"
_WEIGHTS = "sae.safetensors"
_MODULE = re.compile(r"(?:.*\.)?(?:layers|h|blocks)\.(\d+)\.mlp")
_WANTED = {"transcode": True, "activation": "topk", "signed": False}


def recognises(names: Sequence[str]) -> bool:
    return any(PurePosixPath(name).name == _WEIGHTS for name in names)


def describe(folder: Folder) -> TranscoderFiles:
    weights = [name for name in folder.files() if PurePosixPath(name).name == _WEIGHTS]
    found = [(_MODULE.fullmatch(PurePosixPath(name).parent.name), name) for name in weights]
    names = one_per_layer([(int(match[1]), name) for match, name in found if match], f"{folder}/layers.N.mlp")
    configs = folder.fetch([str(PurePosixPath(name).with_name("cfg.json")) for name in names])
    return TranscoderFiles(
        source=str(folder),
        kind="plt",
        layers=tuple(_layer_files(path, config) for path, config in zip(folder.fetch(names), configs, strict=True)),
        input_site="mlp.hook_in",
        output_site="mlp.hook_out",
    )


def _layer_files(path: Path, config_file: Path) -> LayerFiles:
    config = {"transcode": False, "activation": "topk", "signed": False, **read_config(config_file)}
    for key, wanted in _WANTED.items():
        if config[key] != wanted:
            raise TranscoderError(f"{config_file}: {key} is {brief(config[key])}; only {wanted!r} can be traced")
    k = config.get("k")
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise TranscoderError(f"{config_file}: k must be a positive number, not {brief(k)}")
    return LayerFiles(
        W_enc=Place(path, "encoder.weight"),
        b_enc=Place(path, "encoder.bias"),
        W_dec=Place(path, "W_dec"),
        b_dec=Place(path, "b_dec"),
        activation=Activation("topk", k=k, positive_only=True),
        W_skip=Place(path, "W_skip") if config.get("skip_connection") or "W_skip" in read_headers(path) else None,
    )
