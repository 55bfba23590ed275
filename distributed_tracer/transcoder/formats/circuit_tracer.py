"""The format of circuit-tracer: a config.yaml with layer_N.safetensors (PLT), or W_enc_N and W_dec_N.safetensors (CLT).

The entry `transcoders:` of the config may name other files instead, one per layer, also in the formats of Gemma Scope.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ...artifacts.location import LISTING, Folder, fetch_uri, read_config, refuse_unknown, shorten, with_published_k
from ...errors import TranscoderError
from ..activation import Activation
from ..spec import LayerSpec, TranscoderSpec, one_per_layer
from ..tensor_files import TensorRef, read, read_headers
from . import gemma_scope, gemma_scope_2

DESCRIPTION = "config.yaml with layer_N.safetensors, or W_enc_N.safetensors and W_dec_N.safetensors (circuit-tracer)"
_KINDS: dict[str, Literal["plt", "clt"]] = {"transcoder_set": "plt", "cross_layer_transcoder": "clt"}
_KNOWN = (
    *("model_kind", "feature_input_hook", "feature_output_hook", "transcoders", "activation", "k"),
    *("scan", "repo_id", "revision", "subfolder"),  # names that dashboards and caches use
)
_WEIGHTS = re.compile(r"(layer|W_enc|W_dec)_\d+\.safetensors")


def matches(names: Sequence[str]) -> bool:
    """Return whether a folder with these files has this format."""
    return LISTING in names


def read_spec(folder: Folder) -> TranscoderSpec:
    """Fetch the configs and weights of a folder, and return where each weight is.

    Raises TranscoderError for anything that is missing, malformed or unknown.
    """
    (config_file,) = folder.fetch([LISTING])
    config = with_published_k(read_config(config_file), folder)
    for key in ("model_kind", "feature_input_hook", "feature_output_hook"):
        if not isinstance(config.get(key), str):
            raise TranscoderError(f"{config_file}: {key} must be a string, not {shorten(config.get(key))}")
    if config["model_kind"] not in _KINDS:
        known = ", ".join(_KINDS)
        raise TranscoderError(f"{config_file}: unknown model_kind {shorten(config['model_kind'])}; known are {known}")
    refuse_unknown(config, _KNOWN, config_file)
    kind = _KINDS[config["model_kind"]]
    layers = _layers(folder, kind, config, config_file)
    if any((layer.first_output is None) != (kind == "plt") for layer in layers):
        raise TranscoderError(f"{config_file}: model_kind is {config['model_kind']}, but not all of its files are")
    return TranscoderSpec(
        source=str(folder),
        kind=kind,
        layers=tuple(_activated(layer, config, config_file) for layer in layers),
        input_site=config["feature_input_hook"],
        output_site=config["feature_output_hook"],
    )


def _layers(folder: Folder, kind: str, config: dict[str, Any], config_file: Path) -> list[LayerSpec]:
    if config.get("transcoders"):
        return [_named_layer(path) for path in _listed(folder, config, config_file)]
    for name in folder.files():
        if "/" not in name and name.endswith((".safetensors", ".npz")) and not _WEIGHTS.fullmatch(name):
            raise TranscoderError(
                f"{folder}: {name} is neither layer_N, W_enc_N nor W_dec_N.safetensors; this package does not know "
                "what its weights are for. If they are no part of these transcoders, move them elsewhere"
            )
    if kind == "plt":
        return [_plt_layer(path) for path in folder.fetch(_numbered(folder, "layer"))]
    encoders, decoders = folder.fetch(_numbered(folder, "W_enc")), folder.fetch(_numbered(folder, "W_dec"))
    if len(encoders) != len(decoders):
        raise TranscoderError(f"{folder}: {len(encoders)} files W_enc_N but {len(decoders)} files W_dec_N")
    return [_clt_layer(*files, number) for number, files in enumerate(zip(encoders, decoders, strict=True))]


def _numbered(folder: Folder, stem: str) -> list[str]:
    found = [(re.fullmatch(rf"{stem}_(\d+)\.safetensors", name), name) for name in folder.files()]
    return one_per_layer([(int(match[1]), name) for match, name in found if match], f"{folder}/{stem}_N.safetensors")


def _listed(folder: Folder, config: dict[str, Any], config_file: Path) -> list[Path]:
    names = config["transcoders"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TranscoderError(f"{config_file}: transcoders must be a list of paths or hf:// addresses, one per layer")
    return [fetch_uri(name) if name.startswith("hf://") else folder.fetch([name])[0] for name in names]


def _named_layer(path: Path) -> LayerSpec:
    if path.suffix == ".npz":
        return gemma_scope.layer_files(path)
    return gemma_scope_2.layer_files(path) if "w_enc" in read_headers(path) else _plt_layer(path)


def _plt_layer(path: Path) -> LayerSpec:
    headers = read_headers(path)
    if threshold := "activation_function.threshold" in headers:
        activation = Activation("jumprelu")
    elif "k" in headers:  # circuit-tracer saves a k only for TopK
        activation = Activation("topk", k=_saved_k(path))
    else:
        activation = Activation("relu")
    return LayerSpec(
        W_enc=TensorRef(path, "W_enc"),
        b_enc=TensorRef(path, "b_enc"),
        W_dec=TensorRef(path, "W_dec"),
        b_dec=TensorRef(path, "b_dec"),
        activation=activation,
        threshold=TensorRef(path, "activation_function.threshold") if threshold else None,
        W_skip=TensorRef(path, "W_skip") if "W_skip" in headers else None,
        known=frozenset({"k"} if activation.kind == "topk" else ()),
    )


def _saved_k(path: Path) -> int:
    """Return the k that a file holds. Raises TranscoderError unless it is one positive integer."""
    k = read(TensorRef(path, "k")).flatten().tolist()
    if len(k) != 1 or not isinstance(k[0], int) or isinstance(k[0], bool) or k[0] < 1:
        raise TranscoderError(f"{path}: k must be one positive whole number, not {shorten(k)}")
    return int(k[0])


def _clt_layer(encoder: Path, decoder: Path, layer: int) -> LayerSpec:
    """Return the specification of one layer of a CLT. Its skip connection is applied as `x @ W_skip`, while that of a
    PLT is applied as `x @ W_skip.T`."""
    headers = read_headers(encoder)
    threshold = f"threshold_{layer}" in headers
    return LayerSpec(
        W_enc=TensorRef(encoder, f"W_enc_{layer}"),
        b_enc=TensorRef(encoder, f"b_enc_{layer}"),
        W_dec=TensorRef(decoder, f"W_dec_{layer}"),
        b_dec=TensorRef(encoder, f"b_dec_{layer}"),
        activation=Activation("jumprelu" if threshold else "relu"),
        threshold=TensorRef(encoder, f"threshold_{layer}") if threshold else None,
        W_skip=TensorRef(encoder, f"W_skip_{layer}", transposed=True) if f"W_skip_{layer}" in headers else None,
        first_output=layer,
    )


def _activated(layer: LayerSpec, config: dict[str, Any], config_file: Path) -> LayerSpec:
    """Return the layer with the activation and the k of the config.

    Raises TranscoderError if they contradict what the files hold (thresholds, or a k), or if a TopK has no k.
    """
    name, given_k = config.get("activation"), config.get("k")
    saved, file = layer.activation, layer.W_enc.file
    if name not in (None, "relu", "topk", "jumprelu", "jump_relu"):
        raise TranscoderError(f"{config_file}: unknown activation {shorten(name)}; known are relu, jumprelu, topk")
    kind = saved.kind if name is None else name.replace("_", "")
    if kind == "jumprelu" and layer.threshold is None:
        raise TranscoderError(f"{config_file}: activation is {name}, but {file} has no threshold")
    if kind != saved.kind and saved.kind != "relu":
        holds = "thresholds" if saved.kind == "jumprelu" else f"k = {saved.k}"
        raise TranscoderError(f"{config_file}: activation is {name}, but {file} has {holds}; remove what is not meant")
    if kind != "topk":
        if given_k is not None:
            raise TranscoderError(
                f"{config_file}: k is {shorten(given_k)}, but activation is {kind}; only topk has a k"
            )
        return layer
    k = given_k if given_k is not None else saved.k or None
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise TranscoderError(
            f"{config_file}: activation is topk, so k must be a positive number, not {shorten(k)}; it is neither in "
            f"the config nor in {file}. Add a line `k: NUMBER` to a copy of the config, in a directory with the "
            "weights (`hf download REPO --local-dir DIR`); the people who trained the transcoders know it"
        )
    if saved.k not in (0, k):
        raise TranscoderError(f"{config_file}: k is {k}, but {file} has k = {saved.k}; remove what is not meant")
    return replace(layer, activation=Activation("topk", k=k))
