"""TranscoderFiles: where every weight of a set of transcoders is, whatever its format, and whether they fit together.

S features of a layer · D model width · M layers a feature writes to
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from math import prod
from pathlib import Path
from reprlib import repr as brief
from typing import Literal

from ..errors import TranscoderError
from ..shapes import TranscoderShape
from .activation import Activation
from .tensors import DTYPES, Header, Place, read_headers

INPUT_SITES = ("mlp.hook_in", "ln2.hook_normalized", "hook_resid_mid")
OUTPUT_SITES = ("mlp.hook_out", "hook_mlp_out")


@dataclass(frozen=True)
class LayerFiles:
    """Where one layer's weights are, with their shapes once transposed as their places say."""

    W_enc: Place
    """[S, D]."""
    b_enc: Place
    """[S]."""
    W_dec: Place
    """[S, D], or [S, M, D] if `first_output` is given."""
    b_dec: Place
    """[D]."""
    activation: Activation
    threshold: Place | None = None
    """[S], for JumpReLU."""
    W_skip: Place | None = None
    """[D_out, D_in]."""
    first_output: int | None = None
    """The layer that entry 0 of W_dec's middle axis writes to; entries before the own layer are not used."""


@dataclass(frozen=True)
class TranscoderFiles:
    """A whole set. Raises TranscoderError if it reads or writes at a site that is not known."""

    source: str
    kind: Literal["plt", "clt"]
    layers: tuple[LayerFiles, ...]
    input_site: str
    output_site: str

    def __post_init__(self) -> None:
        for what, site, known in (
            ("input", self.input_site, INPUT_SITES),
            ("output", self.output_site, OUTPUT_SITES),
        ):
            if site not in known:
                raise TranscoderError(f"{self.source}: unknown {what} hook {site!r}; known are {', '.join(known)}")


def one_per_layer(found: Iterable[tuple[int, str]], source: str) -> list[str]:
    """The names found, by layer. Raises TranscoderError if a layer has none or several."""
    names: dict[int, list[str]] = {}
    for layer, name in found:
        names.setdefault(layer, []).append(name)
    missing = (layer for layer in range(max(names, default=0) + 1) if layer not in names)
    if first := list(islice(missing, 10)):
        raise TranscoderError(f"{source}: nothing for layers {first}; found layers {sorted(names)}")
    for layer, several in names.items():
        if len(several) > 1:
            raise TranscoderError(
                f"{source}: {len(several)} transcoders for layer {layer} ({', '.join(sorted(several)[:4])}, ...); "
                "choose by a config.yaml whose `transcoders:` names one file per layer"
            )
    return [names[layer][0] for layer in sorted(names)]


def measure(files: TranscoderFiles) -> TranscoderShape:
    """Counts, from headers alone. Raises TranscoderError for a tensor that is missing, or of a wrong shape or type."""
    headers: dict[Path, dict[str, Header]] = {}
    d_model = _stored_shape(files.layers[0].W_enc, 2, headers)[1]
    features_L, num_parameters = [], 0
    for number, layer in enumerate(files.layers):
        num_features = _stored_shape(layer.W_enc, 2, headers)[0]
        for place, wanted in _wanted(layer, num_features, d_model, len(files.layers)).items():
            shape = _stored_shape(place, len(wanted), headers)
            if shape != wanted:
                raise TranscoderError(f"{place} has shape {list(shape)}; {list(wanted)} is wanted in layer {number}")
            num_parameters += prod(wanted)
        if layer.first_output is not None:
            num_parameters -= num_features * (number - layer.first_output) * d_model
        if layer.activation.k > num_features:
            raise TranscoderError(
                f"{layer.W_enc}: k is {layer.activation.k}, but there are only {num_features} features"
            )
        features_L.append(num_features)
    kinds = sorted({layer.activation.kind for layer in files.layers})
    if len(kinds) > 1:
        raise TranscoderError(f"{files.source}: layers differ in their activation: {' and '.join(kinds)}")
    return TranscoderShape(
        kind=files.kind,
        num_layers=len(files.layers),
        d_model=d_model,
        features_L=tuple(features_L),
        input_site=files.input_site,
        output_site=files.output_site,
        activation=files.layers[0].activation.kind,
        has_skip=any(layer.W_skip for layer in files.layers),
        num_parameters=num_parameters,
    )


def _wanted(layer: LayerFiles, num_features: int, d_model: int, num_layers: int) -> dict[Place, tuple[int, ...]]:
    wanted: dict[Place, tuple[int, ...]] = {
        layer.W_enc: (num_features, d_model),
        layer.b_enc: (num_features,),
        layer.W_dec: (num_features, d_model),
        layer.b_dec: (d_model,),
    }
    if layer.first_output is not None:
        wanted[layer.W_dec] = (num_features, num_layers - layer.first_output, d_model)
    if layer.threshold:
        wanted[layer.threshold] = (num_features,)
    if layer.W_skip:
        wanted[layer.W_skip] = (d_model, d_model)
    return wanted


def _stored_shape(place: Place, num_axes: int, headers: dict[Path, dict[str, Header]]) -> tuple[int, ...]:
    if place.file not in headers:
        headers[place.file] = read_headers(place.file)
    found = headers[place.file]
    if place.key not in found:
        raise TranscoderError(f"{place.file}: no tensor {place.key}; found {brief(sorted(found))}")
    header = found[place.key]
    if header.dtype not in DTYPES:
        raise TranscoderError(f"{place} is of type {header.dtype}; weights are one of {', '.join(DTYPES)}")
    if len(header.shape) != num_axes:
        raise TranscoderError(
            f"{place} has shape {list(header.shape)}, {len(header.shape)} axes; {num_axes} are wanted"
        )
    return header.shape[::-1] if place.transposed else header.shape
