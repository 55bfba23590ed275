"""Load a set of transcoders, or only its shape, by its name. Any known format is recognised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from ..artifacts.location import Folder, locate
from ..errors import ShapeMismatch, TranscoderError
from ..moved import former_arguments
from ..shapes import STREAMED_DECODER_BYTES, ModelShape, TranscoderShape
from ..text import and_more, printable
from .formats import circuit_tracer, gemma_scope, gemma_scope_2, openmoss, saelens, sparsify
from .loaded import LoadedTranscoders, load_layer
from .shard import Shard
from .spec import TranscoderSpec, read_shape


class Format(Protocol):
    """What each module in `formats/` defines for its format. `DESCRIPTION` describes the files, for error messages."""

    DESCRIPTION: str

    def matches(self, names: Sequence[str]) -> bool:
        """Return whether a folder with these files has this format."""
        ...

    def read_spec(self, folder: Folder) -> TranscoderSpec:
        """Fetch the configs and weights of a folder, and return where each weight is.

        Raises TranscoderError for anything that is missing, malformed or unknown.
        """
        ...


_FORMATS: tuple[Format, ...] = (circuit_tracer, saelens, openmoss, sparsify, gemma_scope, gemma_scope_2)
_DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}


@former_arguments(slice="shard")
def load_transcoders(
    source: str,
    dtype: str = "float32",
    device: str | torch.device = "cpu",
    shard: Shard | None = None,
    lazy: bool | None = None,
) -> LoadedTranscoders:
    """Load the transcoders at `source`, which is a directory or `user/repo[/folder][@revision]` on the hub.

    Encoders are kept on `device` in `dtype`. Decoders are kept there, too, unless `lazy` is true, in which case they
    stay in their files; None decides by their size. If a shard is given as `shard`, only the features of that shard are
    read and kept. Raises TranscoderError for anything that is missing, malformed or unknown.
    """
    if dtype not in _DTYPES:
        raise TranscoderError(f"unknown dtype {dtype!r}; known are {', '.join(_DTYPES)}")
    files = _describe(source)
    shape = read_shape(files)
    shard = shard or Shard()
    if lazy is None:
        lazy = _decoder_bytes(shape, shard, _DTYPES[dtype]) >= STREAMED_DECODER_BYTES
    device = torch.device(device)
    layers = [
        load_layer(layer, number, shard.features(shape.features_L[number]), shard, _DTYPES[dtype], device, lazy)
        for number, layer in enumerate(files.layers)
    ]
    return LoadedTranscoders(shape, layers, _DTYPES[dtype], device, shard)


def transcoder_shape(source: str) -> TranscoderShape:
    """Return the sizes of a set of transcoders from its configs and headers. No weights are read.

    Files on the hub are downloaded, as they would be for loading. Raises TranscoderError for everything that loading
    would refuse, except numbers that are NaN.
    """
    return read_shape(_describe(source))


def check_fits(transcoders: TranscoderShape, model: ModelShape) -> None:
    """Raise ShapeMismatch if the transcoders were not made for a model of this shape."""
    wrong = [
        f"{what} is {ours} in the transcoders and {theirs} in the model"
        for what, ours, theirs in (
            ("the number of layers", transcoders.num_layers, model.num_layers),
            ("d_model", transcoders.d_model, model.d_model),
        )
        if ours != theirs
    ]
    if wrong:
        raise ShapeMismatch(f"these transcoders do not fit this {model.architecture} model: {'; '.join(wrong)}")


def _describe(source: str) -> TranscoderSpec:
    folder = locate(source)
    names = folder.files()
    for known in _FORMATS:
        if known.matches(names):
            return known.read_spec(folder)
    found = ", ".join(map(printable, names[:8])) + and_more(len(names) - 8)
    formats = "; ".join(known.DESCRIPTION for known in _FORMATS)
    raise TranscoderError(
        f"{source}: no transcoders of a known format; found {found or 'no files'}; known are {formats}"
    )


def _decoder_bytes(shape: TranscoderShape, shard: Shard, dtype: torch.dtype) -> int:
    return dtype.itemsize * shape.num_decoder_weights([len(shard.features(count)) for count in shape.features_L])
