"""Gemma Scope 2 for Gemma 3: layer_N_width_W_l0_A/{config.json,params.safetensors}, JumpReLU, encoder stored as [D, S].

Cross-layer ones hold decoders to every layer, [S, L, D], of which those to earlier layers are not used; an affine skip
connection is stored as [D_in, D_out].
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ...errors import TranscoderError
from ..activation import Activation
from ..files import LayerFiles, TranscoderFiles, one_per_layer
from ..source import Folder, brief, read_config
from ..tensors import Place, read_headers

LOOKS_LIKE = "layer_N_.../params.safetensors with config.json, one per layer (Gemma Scope 2)"
_PATH = re.compile(r"(?:.*/)?(?:layer_(\d+)[^/]*/params|params_layer_(\d+))\.safetensors")
_CONFIG = {
    "architecture": "jump_relu",
    "type": "transcoder",
    "hf_hook_point_in": "pre_feedforward_layernorm.output",
    "hf_hook_point_out": "post_feedforward_layernorm.output",
}


def recognises(names: Sequence[str]) -> bool:
    return any(_PATH.fullmatch(name) for name in names)


def describe(folder: Folder) -> TranscoderFiles:
    present = folder.files()
    found = [(_PATH.fullmatch(name), name) for name in present]
    names = one_per_layer([(int(match[1] or match[2]), name) for match, name in found if match], str(folder))
    configs = [str(PurePosixPath(name).with_name("config.json")) for name in names]
    for path in folder.fetch(sorted(set(configs) & set(present))):
        _check_config(path)
    layers = tuple(layer_files(path) for path in folder.fetch(names))
    return TranscoderFiles(
        source=str(folder),
        kind="plt" if all(layer.first_output is None for layer in layers) else "clt",
        layers=layers,
        input_site="mlp.hook_in",
        output_site="hook_mlp_out",
    )


def layer_files(path: Path) -> LayerFiles:
    headers = read_headers(path)
    crosses = "w_dec" in headers and len(headers["w_dec"].shape) == 3
    skip = Place(path, "affine_skip_connection", transposed=True)
    return LayerFiles(
        W_enc=Place(path, "w_enc", transposed=True),
        b_enc=Place(path, "b_enc"),
        W_dec=Place(path, "w_dec"),
        b_dec=Place(path, "b_dec"),
        activation=Activation("jumprelu"),
        threshold=Place(path, "threshold"),
        W_skip=skip if skip.key in headers else None,
        first_output=0 if crosses else None,
    )


def _check_config(path: Path) -> None:
    """Refuses the dictionaries published beside the transcoders: those of the residual stream and of attention."""
    config = read_config(path)
    for key, wanted in _CONFIG.items():
        if not str(config.get(key, wanted)).endswith(wanted):
            raise TranscoderError(f"{path}: {key} is {brief(config[key])}; only {wanted!r} can be traced")
