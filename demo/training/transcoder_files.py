"""Transcoders on disk, in bfloat16 and in the file layout of their kind."""

from __future__ import annotations

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from .language_model import LAYERS_L
from .paths import TRANSCODER_DIR
from .transcoders import Kind, TranscoderSet


@torch.no_grad()
def tensors_by_file(transcoders: TranscoderSet) -> dict[str, dict[str, Tensor]]:
    """Views of the weights, under the file and tensor names of the layout."""
    per_layer = (transcoders.W_enc_LSD, transcoders.b_enc_LS, transcoders.b_dec_LD, transcoders.threshold_LS)
    files: dict[str, dict[str, Tensor]] = {}
    for i in range(LAYERS_L):
        W_enc, b_enc, b_dec, threshold = (tensor[i] for tensor in per_layer)
        W_dec = transcoders.W_dec_SLD[i]
        if transcoders.kind == "plt":
            tensors = {"W_enc": W_enc, "W_dec": W_dec[:, 0], "b_enc": b_enc, "b_dec": b_dec}
            files[f"layer_{i}"] = tensors | {"activation_function.threshold": threshold}
        else:
            tensors = {f"W_enc_{i}": W_enc, f"b_enc_{i}": b_enc, f"b_dec_{i}": b_dec}
            files[f"W_enc_{i}"] = tensors | {f"threshold_{i}": threshold}
            files[f"W_dec_{i}"] = {f"W_dec_{i}": W_dec}
    return files


def save_transcoders(transcoders: TranscoderSet, name: str) -> None:
    """Write the set into the folder of this name, and the config that names its kind."""
    directory = TRANSCODER_DIR / name
    directory.mkdir(parents=True, exist_ok=True)
    for file, tensors in tensors_by_file(transcoders).items():
        halved = {key: tensor.to(torch.bfloat16).contiguous() for key, tensor in tensors.items()}
        save_file(halved, directory / f"{file}.safetensors")
    config = {
        "model_name": "demo",
        "model_kind": "transcoder_set" if transcoders.kind == "plt" else "cross_layer_transcoder",
        "feature_input_hook": "mlp.hook_in",
        "feature_output_hook": "mlp.hook_out",
        "scan": f"distributed-tracer/demo-{name}",
    }
    (directory / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def load_transcoders(kind: Kind, name: str) -> TranscoderSet:
    """Read a set back, so that the figures are those of the rounded weights."""
    transcoders = TranscoderSet(kind).requires_grad_(False)
    for file, tensors in tensors_by_file(transcoders).items():
        stored = load_file(TRANSCODER_DIR / name / f"{file}.safetensors")
        for key, tensor in tensors.items():
            tensor.copy_(stored[key])
    return transcoders
