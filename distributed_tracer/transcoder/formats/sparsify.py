"""The format of sparsify (EleutherAI): a folder layers.N.mlp per layer with cfg.json and sae.safetensors.

The activation is TopK after ReLU. In older files, which have no setting `transcode` for each layer, encoders read
x - b_dec. A skip connection, or `transcode` in the config.json of the whole training, distinguishes such transcoders
from autoencoders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ...artifacts.location import Folder, read_config, refuse_unknown, shorten
from ...errors import TranscoderError
from ..activation import Activation
from ..fold import Fold
from ..spec import LayerSpec, TranscoderSpec, one_per_layer
from ..tensor_files import TensorRef, read_headers

DESCRIPTION = "layers.N.mlp/cfg.json with layers.N.mlp/sae.safetensors (sparsify)"
_WEIGHTS = "sae.safetensors"
_TRAINING = "config.json"
_MODULE = re.compile(r"(?:.*\.)?(?:layers|h|blocks)\.(\d+)\.mlp")
_WANTED = {"activation": "topk", "signed": False}
_NO_EFFECT = ("expansion_factor", "num_latents", "d_in", "normalize_decoder", "multi_topk")
"""Settings that decoding does not use: sizes, a norm of the decoder that training maintains and the weights already
have, and a second loss."""


def matches(names: Sequence[str]) -> bool:
    """Return whether a folder with these files has this format."""
    return any(PurePosixPath(name).name == _WEIGHTS for name in names)


def read_spec(folder: Folder) -> TranscoderSpec:
    """Fetch the configs and weights of a folder, and return where each weight is.

    Raises TranscoderError for anything that is missing, malformed or unknown.
    """
    present = folder.files()
    weights = [name for name in present if PurePosixPath(name).name == _WEIGHTS]
    found = [(_MODULE.fullmatch(PurePosixPath(name).parent.name), name) for name in weights]
    names = one_per_layer([(int(match[1]), name) for match, name in found if match], f"{folder}/layers.N.mlp")
    configs = folder.fetch([str(PurePosixPath(name).with_name("cfg.json")) for name in names])
    trained = read_config(*folder.fetch([_TRAINING])) if _TRAINING in present else {}
    paths = folder.fetch(names)
    return TranscoderSpec(
        source=str(folder),
        kind="plt",
        layers=tuple(
            _layer_files(path, config, trained.get("transcode") is True)
            for path, config in zip(paths, configs, strict=True)
        ),
        input_site="mlp.hook_in",
        output_site="mlp.hook_out",
    )


def _layer_files(path: Path, config_file: Path, trained_to_transcode: bool) -> LayerSpec:
    config = read_config(config_file)
    refuse_unknown(config, (*_WANTED, *_NO_EFFECT, "k", "transcode", "skip_connection"), config_file)
    for key, wanted in _WANTED.items():
        if config.get(key, wanted) != wanted:
            raise TranscoderError(f"{config_file}: {key} is {shorten(config[key])}; only {wanted!r} can be traced")
    k = config.get("k")
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise TranscoderError(f"{config_file}: k must be a positive number, not {shorten(k)}")
    stored, declared = "W_skip" in read_headers(path), config.get("skip_connection")
    if declared not in (None, True, False) or (declared is False and stored):
        raise TranscoderError(f"{config_file}: skip_connection is {shorten(declared)}, but {path} has W_skip: {stored}")
    skips = stored or declared is True  # a skip connection that the config declares must exist
    if "transcode" in config and config["transcode"] is not True:
        raise TranscoderError(f"{config_file}: transcode is {shorten(config['transcode'])}; only True can be traced")
    if "transcode" not in config and not skips and not trained_to_transcode:
        raise TranscoderError(
            f"{config_file}: no `transcode`, no skip connection and no {_TRAINING} of the training with "
            '"transcode": true, so this is taken for an autoencoder, which cannot be traced'
        )
    return LayerSpec(
        W_enc=TensorRef(path, "encoder.weight"),
        b_enc=TensorRef(path, "encoder.bias"),
        W_dec=TensorRef(path, "W_dec"),
        b_dec=TensorRef(path, "b_dec"),
        activation=Activation("topk", k=k, positive_only=True),
        W_skip=TensorRef(path, "W_skip") if skips else None,
        fold=Fold(subtract_b_dec="transcode" not in config),
    )
