"""The format of OpenMOSS Llama Scope 2: a folder per layer with config.json and sae_weights.safetensors.

Encoders are stored as [D, S]. Training divides what a transcoder reads and writes by the average norm over a dataset,
and may compare features by their pre-activation times the norm of their decoder. Both can be folded into the weights; a
separate norm for each token cannot. Activations are those of the normalised values, times the norm of the decoder if
features are compared by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

from ...artifacts.location import Folder, read_config, refuse_unknown, shorten
from ...errors import TranscoderError
from ..activation import Activation
from ..fold import Fold
from ..spec import LayerSpec, TranscoderSpec, folder_per_layer, have_both
from ..tensor_files import TensorRef, read, read_headers

DESCRIPTION = "FOLDER/config.json with FOLDER/sae_weights.safetensors, one per layer (OpenMOSS Llama Scope 2)"
_WEIGHTS, _CONFIG = "sae_weights.safetensors", "config.json"
_HOOK = re.compile(r"blocks\.([0-9]{1,6})\.([\w.]{1,100})", re.ASCII)
_NORM = "dataset_average_activation_norm."
_THRESHOLD = "activation_function.log_jumprelu_threshold"
_KNOWN = (
    *("sae_type", "act_fn", "top_k", "norm_activation", "sparsity_include_decoder_norm", "use_decoder_bias"),
    *("use_glu_encoder", "hook_point_in", "hook_point_out", "d_model", "expansion_factor"),
)
_NO_EFFECT = (
    *("device", "dtype", "d_sae", "sae_pretrained_name_or_path", "strict_loading", "use_triton_kernel"),
    *("sparsity_threshold_for_triton_spmm_kernel", "sparsity_threshold_for_csr", "jumprelu_threshold_window"),
    "promote_act_fn_dtype",
)
"""Settings that do not change what is computed: where and how fast it is computed, and what affects only gradients in
training."""


def matches(names: Sequence[str]) -> bool:
    """Return whether a folder with these files has this format."""
    return have_both(names, _WEIGHTS, _CONFIG)


def read_spec(folder: Folder) -> TranscoderSpec:
    """Fetch the configs and weights of a folder, and return where each weight is.

    Raises TranscoderError for anything that is missing, malformed or unknown.
    """
    return folder_per_layer(folder, _WEIGHTS, _CONFIG, _read_config, _hooks, _layer_files)


def _read_config(path: Path) -> dict[str, Any]:
    """Return a config with the defaults of lm-saes filled in.

    Raises TranscoderError for a setting that cannot be folded into the weights.
    """
    config = {
        "act_fn": "relu",
        "norm_activation": "dataset-wise",
        "sparsity_include_decoder_norm": True,
        "use_decoder_bias": True,
        "use_glu_encoder": False,
        "top_k": 50,
        **read_config(path),
    }
    refuse_unknown(config, (*_KNOWN, *_NO_EFFECT), path)
    wanted: dict[str, tuple[tuple[object, ...], str]] = {
        "sae_type": (("sae",), "only `sae`, reading one place and writing another, can be a transcoder"),
        "use_glu_encoder": ((False,), "a gated encoder is not linear"),
        "norm_activation": (
            ("inference", "dataset-wise"),
            "only one norm for all tokens (`dataset-wise`), or none (`inference`), folds into the weights",
        ),
        "act_fn": (("relu", "jumprelu", "topk"), "what is active would depend on other tokens or layers"),
        "sparsity_include_decoder_norm": ((True, False), "it is true or false"),
        "use_decoder_bias": ((True, False), "it is true or false"),
    }
    for key, (values, why) in wanted.items():
        if config.get(key) not in values:
            raise TranscoderError(f"{path}: {key} is {shorten(config.get(key))}, which cannot be traced: {why}")
    k = config["top_k"]
    if config["act_fn"] == "topk" and (not isinstance(k, int) or isinstance(k, bool) or k < 1):
        raise TranscoderError(f"{path}: top_k must be a positive number, not {shorten(k)}")
    return config


def _hooks(config: Mapping[str, Any], path: Path) -> tuple[int, str, str]:
    """Return the layer, the input site and the output site that a config names.

    Raises TranscoderError unless these are two different sites of one layer.
    """
    read_at, write_at = (_HOOK.fullmatch(str(config.get(key))) for key in ("hook_point_in", "hook_point_out"))
    if read_at is None or write_at is None or read_at[1] != write_at[1] or read_at[2] == write_at[2]:
        names = shorten((config.get("hook_point_in"), config.get("hook_point_out")))
        raise TranscoderError(
            f"{path}: hook_point_in and hook_point_out must be two places blocks.N.SITE of one layer N, not {names}"
        )
    return int(read_at[1]), read_at[2], write_at[2]


def _layer_files(path: Path, config: Mapping[str, Any]) -> LayerSpec:
    kind = config["act_fn"]
    norms = frozenset(_NORM + config[key] for key in ("hook_point_in", "hook_point_out"))
    scale_in = scale_out = 1.0
    if config["norm_activation"] == "dataset-wise":
        scale_in, scale_out = (_scale(path, config[key]) for key in ("hook_point_in", "hook_point_out"))
    return LayerSpec(
        W_enc=TensorRef(path, "W_E", transposed=True),
        b_enc=TensorRef(path, "b_E"),
        W_dec=TensorRef(path, "W_D"),
        b_dec=TensorRef(path, "b_D") if config["use_decoder_bias"] else None,
        activation=Activation(kind, k=config["top_k"] if kind == "topk" else 0, positive_only=True),
        threshold=TensorRef(path, _THRESHOLD) if kind == "jumprelu" else None,
        fold=Fold(
            input_scale=scale_in,
            output_scale=1 / scale_out,
            unit_decoders=kind != "relu" and config["sparsity_include_decoder_norm"],
            log_threshold=True,
        ),
        known=norms,
    )


def _scale(path: Path, hook: str) -> float:
    """Return the factor by which values at a hook are multiplied, so that their norm is √d_model on average.

    Raises TranscoderError unless the file holds one positive average norm for the hook.
    """
    headers, key = read_headers(path), f"{_NORM}{hook}"
    if key not in headers or "b_E" not in headers or "W_E" not in headers:
        raise TranscoderError(
            f"{path}: norm_activation is dataset-wise, so there must be {key}; found {shorten(sorted(headers))}"
        )
    norm = read(TensorRef(path, key)).double().flatten().tolist()
    if len(norm) != 1 or not isfinite(norm[0]) or norm[0] <= 0:
        raise TranscoderError(f"{path}: {key} must be one positive number, not {shorten(norm)}")
    return sqrt(headers["W_E"].shape[0]) / float(norm[0])
