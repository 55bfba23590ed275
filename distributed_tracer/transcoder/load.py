"""Load a set of transcoders, or only its shape, by its name. Any known format is recognised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, Protocol, cast, get_args, overload

import torch

from ..artifacts.location import Folder, locate
from ..config import DecoderPlace, Precision
from ..errors import ShapeMismatch, TranscoderError
from ..moved import former_arguments
from ..plan.cost import transcoder_bytes
from ..plan.decoders import FreeMemory, decoder_place
from ..plan.machine import free_bytes_of, free_cpu_bytes
from ..shapes import ModelShape, TranscoderShape
from ..text import and_more, printable
from .formats import circuit_tracer, gemma_scope, gemma_scope_2, openmoss, saelens, sparsify
from .loaded import LayerWeights, LoadedTranscoders, load_layer
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
_KEPT_LAYERS = 2


@former_arguments(slice="shard")
def load_transcoders(
    source: str,
    dtype: str = "float32",
    device: str | torch.device = "cpu",
    shard: Shard | None = None,
    lazy: bool | None = None,
    decoders: Literal["auto", DecoderPlace] = "auto",
) -> LoadedTranscoders:
    """Load the transcoders at `source`, which is a directory or `user/repo[/folder][@revision]` on the hub.

    Encoders are kept on `device` in `dtype`. Decoders are kept where `decoders` says: on the device, in main memory
    beside a GPU ("host"), or in their files. "auto" takes the first of these that has room, and leaves more than half
    of the device's free memory for prompts. `lazy=True` means "files", and `lazy=False` means "device". If a shard is
    given as `shard`, only the features of that shard are read and kept. Raises TranscoderError for anything that is
    missing, malformed or unknown, and for "host" without a GPU.
    """
    if dtype not in _DTYPES:
        raise TranscoderError(f"unknown dtype {dtype!r}; known are {', '.join(_DTYPES)}")
    files = _describe(source)
    shape = read_shape(files)
    shard = shard or Shard()
    device = torch.device(device)
    if lazy is not None:
        decoders = _from_lazy(lazy, decoders)
    if decoders == "auto":
        decoders = _unplanned_place(shape, shard, cast(Precision, dtype), device)
    if decoders not in get_args(DecoderPlace):
        known = ", ".join(("auto", *get_args(DecoderPlace)))
        raise TranscoderError(f"unknown place {decoders!r} of decoders; known are {known}")
    if decoders == "host" and device.type != "cuda":
        raise TranscoderError(f"decoders can be on the host only beside a GPU, not beside {device}: use 'device'")
    layers = [
        load_layer(layer, number, shard.features(shape.features_L[number]), shard, _DTYPES[dtype], device, decoders)
        for number, layer in enumerate(files.layers)
    ]
    return LoadedTranscoders(shape, layers, _DTYPES[dtype], device, shard)


def transcoders_by_layer(source: str, dtype: str = "float32") -> LoadedTranscoders:
    """Return the transcoders at `source` for reading their vectors layer by layer, on a CPU.

    A layer is read when it is used, and of its decoders only the rows requested. At most two layers are kept, so that
    memory holds the encoders of two layers. Raises TranscoderError as `load_transcoders` does, for weights that are not
    finite when their layer is read.
    """
    if dtype not in _DTYPES:
        raise TranscoderError(f"unknown dtype {dtype!r}; known are {', '.join(_DTYPES)}")
    files = _describe(source)
    shape, device, whole = read_shape(files), torch.device("cpu"), Shard()

    def read(layer: int) -> LayerWeights:
        features = whole.features(shape.features_L[layer])
        return load_layer(files.layers[layer], layer, features, whole, _DTYPES[dtype], device, "files")

    return LoadedTranscoders(shape, _LayersOnDemand(shape.num_layers, read), _DTYPES[dtype], device, whole)


class _LayersOnDemand(Sequence[LayerWeights]):
    """The weights of layers, each of which is read when it is used."""

    def __init__(self, num_layers: int, read: Callable[[int], LayerWeights]) -> None:
        self._num_layers, self._read = num_layers, lru_cache(_KEPT_LAYERS)(read)

    def __len__(self) -> int:
        return self._num_layers

    @overload
    def __getitem__(self, layer: int) -> LayerWeights: ...

    @overload
    def __getitem__(self, layer: slice) -> Sequence[LayerWeights]: ...

    def __getitem__(self, layer: int | slice) -> LayerWeights | Sequence[LayerWeights]:
        if isinstance(layer, slice):
            return [self[number] for number in range(*layer.indices(len(self)))]
        if not -len(self) <= layer < len(self):
            raise IndexError(f"layer {layer} of {len(self)}")
        return self._read(layer % len(self))


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


def _from_lazy(lazy: bool, decoders: Literal["auto", DecoderPlace]) -> DecoderPlace:
    """Return the place that `lazy` names. Raises TranscoderError if `decoders` names another."""
    place: DecoderPlace = "files" if lazy else "device"
    if decoders not in ("auto", place):
        raise TranscoderError(f"lazy={lazy} means decoders={place!r}, and decoders is {decoders!r}: give one of them")
    return place


def _unplanned_place(shape: TranscoderShape, shard: Shard, dtype: Precision, device: torch.device) -> DecoderPlace:
    """Return where decoders live if nothing is known of the prompts."""
    decoder, others = transcoder_bytes(shape, dtype, shard.count)
    host = free_cpu_bytes() if device.type == "cuda" else 0
    return decoder_place(decoder, others, None, FreeMemory(free_bytes_of(device), host))
