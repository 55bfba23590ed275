"""TranscoderSpec: where every weight of a set of transcoders is, in any format, and whether the weights fit together.

Axes: S feature of the dictionary (of one layer), D model width, L layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from ..artifacts.location import Folder, shorten
from ..errors import TranscoderError
from ..shapes import INPUT_SITES, OUTPUT_SITES, TranscoderShape
from ..text import printable
from .activation import Activation
from .fold import Fold
from .tensor_files import DTYPES, TensorInfo, TensorRef, read_headers


@dataclass(frozen=True)
class LayerSpec:
    """Where the weights of one layer are. Shapes are those after any transposition that a TensorRef demands."""

    W_enc: TensorRef
    """The encoder weights [S, D]."""
    b_enc: TensorRef
    """The encoder bias [S]."""
    W_dec: TensorRef
    """The decoder weights [S, D], or [S, L, D] if `first_output` is given."""
    b_dec: TensorRef | None
    """The decoder bias [D]. None stands for zeros."""
    activation: Activation
    threshold: TensorRef | None = None
    """The thresholds of JumpReLU, [S] or [1, S]."""
    W_skip: TensorRef | None = None
    """The skip matrix [D_out, D_in]."""
    first_output: int | None = None
    """The layer that entry 0 of W_dec's middle axis writes to. Entries for layers before this one are not used."""
    fold: Fold = field(default_factory=Fold)
    """What the format computes around these weights."""
    known: frozenset[str] = frozenset()
    """Further keys of the layer's files that are read elsewhere or change nothing. Any other tensor is refused."""

    def places(self) -> list[TensorRef]:
        """Return a reference to every tensor that is read."""
        found = (self.W_enc, self.b_enc, self.W_dec, self.b_dec, self.threshold, self.W_skip)
        return [place for place in found if place is not None]


@dataclass(frozen=True)
class TranscoderSpec:
    """Where the weights of a whole set of transcoders are.

    Raises TranscoderError if the set reads or writes at a site that is not known.
    """

    source: str
    kind: Literal["plt", "clt"]
    layers: tuple[LayerSpec, ...]
    input_site: str
    output_site: str

    def __post_init__(self) -> None:
        for what, site, known in (
            ("input", self.input_site, INPUT_SITES),
            ("output", self.output_site, OUTPUT_SITES),
        ):
            if site not in known:
                raise TranscoderError(
                    f"{self.source}: unknown {what} hook {shorten(site)}; known are {', '.join(known)}"
                )


def one_per_layer(found: Iterable[tuple[int, str]], source: str) -> list[str]:
    """Return the names found, in the order of their layers. Raises TranscoderError if a layer has none or several."""
    names: dict[int, list[str]] = {}
    for layer, name in found:
        names.setdefault(layer, []).append(name)
    missing = (layer for layer in range(max(names, default=0) + 1) if layer not in names)
    if first := list(islice(missing, 10)):
        raise TranscoderError(f"{source}: nothing for layers {first}; found layers {sorted(names)}")
    for layer, several in names.items():
        if len(several) > 1:
            some = ", ".join(map(printable, sorted(several)[:4]))
            raise TranscoderError(
                f"{source}: {len(several)} transcoders for layer {layer} ({some}, ...); "
                "choose by a config.yaml whose `transcoders:` names one file per layer"
            )
    return [names[layer][0] for layer in sorted(names)]


def have_both(names: Iterable[str], weights: str, config: str) -> bool:
    """Return whether any folder among these files has both a file named `weights` and one named `config`."""
    paths = {PurePosixPath(name) for name in names}
    return any(path.name == weights and path.with_name(config) in paths for path in paths)


def folder_per_layer(
    folder: Folder,
    weights: str,
    config: str,
    read_config: Callable[[Path], Mapping[str, Any]],
    hooks_of: Callable[[Mapping[str, Any], Path], tuple[int, str, str]],
    layer_files: Callable[[Path, Mapping[str, Any]], LayerSpec],
) -> TranscoderSpec:
    """Return the TranscoderSpec of per-layer transcoders, each in its own folder with files named `weights` and
    `config`.

    `read_config` reads a configuration from its path. `hooks_of` gets a configuration and its path, and returns the
    layer, the input site and the output site. `layer_files` gets the path of the weights and their configuration, and
    returns the LayerSpec. Raises TranscoderError for a folder without a configuration, for a layer that has none or
    several folders, and for layers that read or write at different sites.
    """
    found = [name for name in folder.files() if PurePosixPath(name).name == weights]
    paths = folder.fetch([str(PurePosixPath(name).with_name(config)) for name in found])
    configs = {name: read_config(path) for name, path in zip(found, paths, strict=True)}
    hooks = {name: hooks_of(configs[name], path) for name, path in zip(found, paths, strict=True)}
    names = one_per_layer([(layer, name) for name, (layer, _, _) in hooks.items()], str(folder))
    sites = sorted({hooks[name][1:] for name in names})
    if len(sites) > 1:
        raise TranscoderError(f"{folder}: layers differ in where they read and write: {sites}")
    layers = [layer_files(path, configs[name]) for name, path in zip(names, folder.fetch(names), strict=True)]
    return TranscoderSpec(str(folder), "plt", tuple(layers), *sites[0])


def read_shape(files: TranscoderSpec) -> TranscoderShape:
    """Return the counts that describe a set of transcoders, from the headers of its files alone.

    Raises TranscoderError for a tensor that is missing, that has a wrong shape or type, or whose meaning is not known.
    """
    headers: dict[Path, dict[str, TensorInfo]] = {}
    d_model = _stored_shape(files.layers[0].W_enc, 2, headers)[1]
    features_L, num_parameters = [], 0
    for number, layer in enumerate(files.layers):
        num_features = _stored_shape(layer.W_enc, 2, headers)[0]
        for place, wanted in _wanted(layer, num_features, d_model, len(files.layers)).items():
            shape = _stored_shape(place, len(wanted), headers, row=place == layer.threshold)
            if shape != wanted:
                raise TranscoderError(f"{place} has shape {list(shape)}; {list(wanted)} is wanted in layer {number}")
            num_parameters += prod(wanted)
        _refuse_unknown(layer, headers)
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


def _wanted(layer: LayerSpec, num_features: int, d_model: int, num_layers: int) -> dict[TensorRef, tuple[int, ...]]:
    wanted: dict[TensorRef, tuple[int, ...]] = {
        layer.W_enc: (num_features, d_model),
        layer.b_enc: (num_features,),
        layer.W_dec: (num_features, d_model),
    }
    if layer.b_dec:
        wanted[layer.b_dec] = (d_model,)
    if layer.first_output is not None:
        wanted[layer.W_dec] = (num_features, num_layers - layer.first_output, d_model)
    if layer.threshold:
        wanted[layer.threshold] = (num_features,)
    if layer.W_skip:
        wanted[layer.W_skip] = (d_model, d_model)
    return wanted


def _refuse_unknown(layer: LayerSpec, headers: dict[Path, dict[str, TensorInfo]]) -> None:
    """Raise TranscoderError for a tensor that is not known, because the transcoder may compute with it: it could be a
    second encoder, a scale or thresholds."""
    read: dict[Path, set[str]] = {}
    for place in layer.places():
        read.setdefault(place.file, set()).add(place.key)
    for file, keys in read.items():
        if unknown := sorted(headers[file].keys() - keys - layer.known):
            raise TranscoderError(
                f"{file}: {shorten(unknown)} is not known in {layer.activation.kind} transcoders of this format and "
                "may change what they compute; known here are "
                f"{', '.join(sorted(keys | layer.known))}. If it changes nothing, remove it from a copy of the file"
            )


def _stored_shape(
    place: TensorRef, num_axes: int, headers: dict[Path, dict[str, TensorInfo]], row: bool = False
) -> tuple[int, ...]:
    """Return the shape of a tensor, after transposition if it is stored transposed. With `row`, [1, S] counts as [S].

    Raises TranscoderError if the tensor is missing, or has a wrong type or number of axes.
    """
    if place.file not in headers:
        headers[place.file] = read_headers(place.file)
    found = headers[place.file]
    if place.key not in found:
        raise TranscoderError(f"{place.file}: no tensor {place.key}; found {shorten(sorted(found))}")
    header = found[place.key]
    if header.dtype not in DTYPES:
        raise TranscoderError(f"{place} is of type {header.dtype}; weights are one of {', '.join(DTYPES)}")
    if row and header.shape[:-1] == (1,):
        return header.shape[1:]
    if len(header.shape) != num_axes:
        raise TranscoderError(
            f"{place} has shape {list(header.shape)}, {len(header.shape)} axes; {num_axes} are wanted"
        )
    return header.shape[::-1] if place.transposed else header.shape
