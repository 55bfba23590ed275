"""The format of Gemma Scope 2, for Gemma 3: layer_N_width_W_l0_A/{config.json,params.safetensors}.

The activation is JumpReLU, and encoders are stored as [D, S]. Cross-layer transcoders are files
params_layer_N.safetensors with one config.json. They hold decoders to every layer, [S, L, D]; those to earlier layers
are not used. An affine skip connection is stored as [D_in, D_out].
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ...artifacts.location import Folder, read_config, refuse_unknown, shorten
from ...errors import TranscoderError
from ..activation import Activation
from ..spec import LayerSpec, TranscoderSpec, one_per_layer
from ..tensor_files import TensorRef, read_headers

DESCRIPTION = "layer_N_.../params.safetensors with config.json, one per layer (Gemma Scope 2)"
_PATH = re.compile(r"(?:.*/)?(?:layer_(\d+)[^/]*/params|params_layer_(\d+))\.safetensors")
_OTHERS = re.compile(r"(resid_post|attn_out|mlp_out|crosscoder)[^/]*/")
_WANTED: dict[str, tuple[str, ...]] = {
    "architecture": ("jump_relu",),
    "type": ("transcoder", "clt"),
    "hf_hook_point_in": ("pre_feedforward_layernorm.output",),
    "hf_hook_point_out": ("post_feedforward_layernorm.output",),
}
_KNOWN = (*_WANTED, "affine_connection", "width", "l0", "layer", "layers", "num_layers", "d_in", "d_model", "dtype")


def matches(names: Sequence[str]) -> bool:
    """Return whether a folder with these files has this format."""
    return any(_PATH.fullmatch(name) for name in names)


def read_spec(folder: Folder) -> TranscoderSpec:
    """Fetch the configs and weights of a folder, and return where each weight is.

    Raises TranscoderError for anything that is missing, malformed or unknown.
    """
    present = set(folder.files())
    found = [(_PATH.fullmatch(name), name) for name in sorted(present)]
    names = one_per_layer([(int(match[1] or match[2]), name) for match, name in found if match], str(folder))
    configs = [str(PurePosixPath(name).with_name("config.json")) for name in names]
    layers = tuple(layer_files(path) for path in folder.fetch(names))
    for number, (name, config, layer) in enumerate(zip(names, configs, layers, strict=True)):
        if config in present:
            _check_config(folder.fetch([config])[0], layer, number)
        elif other := _OTHERS.search(f"{folder}/{name}"):
            raise TranscoderError(f"{folder}/{name}: parameters of {other[1]}; only those of transcoders can be traced")
    return TranscoderSpec(
        source=str(folder),
        kind="plt" if all(layer.first_output is None for layer in layers) else "clt",
        layers=layers,
        input_site="mlp.hook_in",
        output_site="hook_mlp_out",
    )


def layer_files(path: Path) -> LayerSpec:
    """Return where the weights of one layer are in its .safetensors file."""
    headers = read_headers(path)
    crosses = "w_dec" in headers and len(headers["w_dec"].shape) == 3
    skip = TensorRef(path, "affine_skip_connection", transposed=True)
    return LayerSpec(
        W_enc=TensorRef(path, "w_enc", transposed=True),
        b_enc=TensorRef(path, "b_enc"),
        W_dec=TensorRef(path, "w_dec"),
        b_dec=TensorRef(path, "b_dec"),
        activation=Activation("jumprelu"),
        threshold=TensorRef(path, "threshold"),
        W_skip=skip if skip.key in headers else None,
        first_output=0 if crosses else None,
    )


def _check_config(path: Path, layer: LayerSpec, number: int) -> None:
    """Raise TranscoderError if a config belongs to another kind of dictionary, of those published with the transcoders,
    or does not agree with the tensors."""
    config = read_config(path)
    refuse_unknown(config, _KNOWN, path)
    for key, wanted in _WANTED.items():
        given = config.get(key, wanted[0])
        values = given if isinstance(given, list) and given else [given]
        if not all(str(value).endswith(wanted) for value in values):
            raise TranscoderError(
                f"{path}: {key} is {shorten(given)}; only {' or '.join(map(repr, wanted))} can be traced"
            )
    kind = "transcoder" if layer.first_output is None else "clt"
    if config.get("type", kind) != kind:
        raise TranscoderError(
            f"{path}: type is {shorten(config['type'])}, but the decoder in {layer.W_dec.file} is that of a {kind}"
        )
    affine = layer.W_skip is not None
    if config.get("affine_connection") not in (None, affine):
        raise TranscoderError(
            f"{path}: affine_connection is {shorten(config['affine_connection'])}, but {layer.W_enc.file} has "
            f"{'an' if affine else 'no'} affine_skip_connection"
        )
    hook = re.search(r"layers\.(\d{1,6})\.", str(config.get("hf_hook_point_in")))
    if kind == "transcoder" and hook and int(hook[1]) != number:
        raise TranscoderError(f"{path}: it is of layer {hook[1]}, but its folder's name says layer {number}")
