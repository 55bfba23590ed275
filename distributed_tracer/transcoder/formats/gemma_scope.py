"""The format of Gemma Scope, for Gemma 2: layer_N/width_W/average_l0_A/params.npz, with JumpReLU and encoders stored as
[D, S]."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ...artifacts.location import Folder
from ...errors import TranscoderError
from ..activation import Activation
from ..spec import LayerSpec, TranscoderSpec, one_per_layer
from ..tensor_files import TensorRef

DESCRIPTION = "layer_N/.../params.npz, one per layer (Gemma Scope)"
_NO_TRANSCODERS = re.compile(r"google/gemma-scope-[^/@]*-(res|att|mlp)([/@].*)?")
_PATH = re.compile(r"(?:.*/)?layer_(\d+)/(?:.*/)?[^/]+\.npz")


def matches(names: Sequence[str]) -> bool:
    """Return whether a folder with these files has this format."""
    return any(_PATH.fullmatch(name) for name in names)


def read_spec(folder: Folder) -> TranscoderSpec:
    """Fetch the configs and weights of a folder, and return where each weight is.

    Raises TranscoderError for anything that is missing, malformed or unknown.
    """
    if _NO_TRANSCODERS.fullmatch(str(folder)):  # their files look like those of transcoders
        raise TranscoderError(
            f"{folder}: autoencoders of one place in the model, not transcoders of its MLPs; "
            "google/gemma-scope-2b-pt-transcoders has those of Gemma 2 2B"
        )
    found = [(_PATH.fullmatch(name), name) for name in folder.files()]
    names = one_per_layer([(int(match[1]), name) for match, name in found if match], str(folder))
    return TranscoderSpec(
        source=str(folder),
        kind="plt",
        layers=tuple(layer_files(path) for path in folder.fetch(names)),
        input_site="ln2.hook_normalized",
        output_site="hook_mlp_out",
    )


def layer_files(path: Path) -> LayerSpec:
    """Return where the weights of one layer are in its .npz file."""
    return LayerSpec(
        W_enc=TensorRef(path, "W_enc", transposed=True),
        b_enc=TensorRef(path, "b_enc"),
        W_dec=TensorRef(path, "W_dec"),
        b_dec=TensorRef(path, "b_dec"),
        activation=Activation("jumprelu"),
        threshold=TensorRef(path, "threshold"),
    )
