"""The format of SAELens: one folder per layer with cfg.json and sae_weights.safetensors, and encoders stored as [D, S].

Before version 6 of SAELens, the entries of `metadata` were at the same level as the others. `metadata` says where the
activations for training came from; the transcoders of SAELens do not compute with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...artifacts.location import Folder, read_config, refuse_unknown, shorten
from ...errors import TranscoderError
from ..activation import Activation
from ..spec import LayerSpec, TranscoderSpec, folder_per_layer, have_both
from ..tensor_files import TensorRef

DESCRIPTION = "FOLDER/cfg.json with FOLDER/sae_weights.safetensors, one per layer (SAELens)"
_WEIGHTS, _CONFIG = "sae_weights.safetensors", "cfg.json"
_ARCHITECTURES = ("transcoder", "jumprelu_transcoder", "skip_transcoder", "jumprelu_skip_transcoder")
_HOOK = re.compile(r"blocks\.([0-9]{1,6})\.([\w.]{1,100})", re.ASCII)
_WANTED: dict[str, tuple[object, ...]] = {
    "apply_b_dec_to_input": (False,),
    "normalize_activations": ("none", False),
    "reshape_activations": ("none",),
    "finetuning_scaling_factor": (False,),
    "activation_fn": ("relu",),
    "activation_fn_str": ("relu",),
    "activation_fn_kwargs": ({},),
    "hook_head_index": (),
    "hook_head_index_out": (),
}
_NO_EFFECT = (
    *("d_in", "d_out", "d_sae", "dtype", "device", "metadata", "hook_layer", "hook_layer_out", "model_class_name"),
    *("prepend_bos", "exclude_special_tokens", "neuronpedia_id", "context_size", "seqpos_slice"),
    *("dataset_trust_remote_code", "sae_lens_version", "sae_lens_training_version", "hf_hook_name", "hf_hook_name_out"),
    *("sequence_separator_token", "disable_concat_sequences", "training_architecture", "training_architecture_details"),
)
"""Settings that no transcoder of SAELens computes with: sizes, and the tokens and the model used in training."""
_KNOWN = ("architecture", "hook_name", "hook_name_out", "model_from_pretrained_kwargs", *_WANTED, *_NO_EFFECT)
_REMEDIES = {
    "normalize_activations": " (one factor for all tokens can be folded in: fold_activation_norm_scaling_factor of "
    "SAELens, then save the transcoder again; a norm of each token cannot)"
}
_REWRITES = ("fold_ln", "center_writing_weights", "refactor_factored_attn_matrices")
"""Changes that TransformerLens may make to a model's weights, after which its MLPs read or write other values."""


def matches(names: Sequence[str]) -> bool:
    """Return whether a folder with these files has this format."""
    return have_both(names, _WEIGHTS, _CONFIG)


def read_spec(folder: Folder) -> TranscoderSpec:
    """Fetch the configs and weights of a folder, and return where each weight is.

    Raises TranscoderError for anything that is missing, malformed or unknown.
    """
    return folder_per_layer(folder, _WEIGHTS, _CONFIG, _read_config, _hooks, _layer_files)


def _read_config(path: Path) -> dict[str, Any]:
    config = read_config(path)
    metadata = config.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise TranscoderError(f"{path}: metadata must be an object, not {shorten(metadata)}")
    refuse_unknown(config, _KNOWN, path)
    config = {**metadata, **config}
    if config.get("architecture") not in _ARCHITECTURES:
        known = ", ".join(_ARCHITECTURES)
        raise TranscoderError(f"{path}: architecture is {shorten(config.get('architecture'))}; known are {known}")
    for key, wanted in _WANTED.items():
        if config.get(key) is not None and config[key] not in wanted:
            raise TranscoderError(
                f"{path}: {key} is {shorten(config[key])}; this package only knows transcoders without it"
                + _REMEDIES.get(key, "")
            )
    rewritten = config.get("model_from_pretrained_kwargs") or {}
    if not isinstance(rewritten, dict) or any(rewritten.get(key) for key in _REWRITES):
        raise TranscoderError(
            f"{path}: model_from_pretrained_kwargs is {shorten(rewritten)}: the model's weights were rewritten before "
            f"training ({', '.join(_REWRITES)}), so that these transcoders do not fit the model as it is published"
        )
    return config


def _hooks(config: Mapping[str, Any], path: Path) -> tuple[int, str, str]:
    """Return the layer, the input site and the output site that a config names.

    Raises TranscoderError unless both sites are in one layer.
    """
    read, write = (_HOOK.fullmatch(str(config.get(key))) for key in ("hook_name", "hook_name_out"))
    if read is None or write is None or read[1] != write[1]:
        names = shorten((config.get("hook_name"), config.get("hook_name_out")))
        raise TranscoderError(f"{path}: hook_name and hook_name_out must be blocks.N.SITE of one layer N, not {names}")
    return int(read[1]), read[2], write[2]


def _layer_files(path: Path, config: Mapping[str, Any]) -> LayerSpec:
    jumps, skips = "jumprelu" in config["architecture"], "skip" in config["architecture"]
    return LayerSpec(
        W_enc=TensorRef(path, "W_enc", transposed=True),
        b_enc=TensorRef(path, "b_enc"),
        W_dec=TensorRef(path, "W_dec"),
        b_dec=TensorRef(path, "b_dec"),
        activation=Activation("jumprelu" if jumps else "relu", positive_only=True),
        threshold=TensorRef(path, "threshold") if jumps else None,
        W_skip=TensorRef(path, "W_skip") if skips else None,
    )
