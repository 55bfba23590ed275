"""transcoder_norms: the norms between the residual stream and transcoders, read without the rest of the model.

A norm's weights are a few kB for each layer. Of a checkpoint, only these tensors are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..artifacts import hub
from ..artifacts.checkpoint_files import layout
from ..artifacts.location import split_revision
from ..documents.text import shortened
from ..errors import ModelError, ShapeMismatch
from ..shapes import TranscoderShape
from ..text import and_more
from .architectures import ArchitectureSpec, architecture_spec
from .from_pretrained import folder_of
from .load import class_of, load_config
from .norm import Norm


@dataclass(frozen=True, eq=False)
class TranscoderNorms:
    """The norms through which the transcoder of one layer reads and writes; None where there is none.

    Their weights are float64, and None for 1, as for transcoders that read before the weight is applied. They are meant
    for `jvp` and `vjp`, without scales: their epsilon is NaN.
    """

    read: Norm | None
    write: Norm | None


def needs_norms(shape: TranscoderShape) -> bool:
    """Whether any norm may be between the residual stream and the places where these transcoders read and write."""
    return shape.input_site != "hook_resid_mid" or shape.output_site != "hook_mlp_out"


def transcoder_norms(model: str, shape: TranscoderShape, dtype: str = "float32") -> list[TranscoderNorms]:
    """Return the norms of each layer of the model at `model`, a directory or a hub id.

    `dtype` is that in which the model was loaded for tracing, to which weights are rounded first. Raises ModelError for
    a checkpoint that is missing or lacks a weight, UnknownArchitecture, and ShapeMismatch if the transcoders were not
    made for a model of this shape.
    """
    config = load_config(model)
    sites = architecture_spec(config.model_type, config, model)
    with torch.device("meta"):
        empty = class_of(config).from_config(config)
    layers = empty.get_submodule(sites.layers)
    width = int(config.get_text_config().hidden_size)
    if (len(layers), width) != (shape.num_layers, shape.d_model):
        raise ShapeMismatch(
            f"these transcoders are of {shape.num_layers} layers and width {shape.d_model}, and the model {model!r} "
            f"has {len(layers)} layers and width {width}"
        )
    read_path = None if shape.input_site == "hook_resid_mid" else sites.mlp_norm
    write_path = None if shape.output_site == "hook_mlp_out" else sites.mlp_post_norm
    ends = [(read_path, shape.input_site == "mlp.hook_in"), (write_path, True)]
    wanted = [
        name
        for number, layer in enumerate(layers)
        for path, weighted in ends
        if path is not None and weighted and _has_weight(layer.get_submodule(path))
        for name in [f"{sites.layers}.{number}.{path}.weight"]
    ]
    weights = read_weights(model, _folder(model), wanted) if wanted else {}

    def norm(number: int, path: str | None, weighted: bool) -> Norm | None:
        if path is None:
            return None
        stored = weights.get(f"{sites.layers}.{number}.{path}.weight") if weighted else None
        if stored is not None and stored.shape != (width,):
            raise ModelError(
                f"the weight of {path} in layer {number} of model {model!r} has shape {list(stored.shape)}, "
                f"not [{width}]"
            )
        return _norm(stored, sites, getattr(torch, dtype))

    return [TranscoderNorms(*(norm(number, *end) for end in ends)) for number in range(shape.num_layers)]


def _has_weight(module: nn.Module) -> bool:
    return getattr(module, "weight", None) is not None


def _norm(stored: Tensor | None, sites: ArchitectureSpec, dtype: torch.dtype) -> Norm:
    """Return a norm with the weight that the loaded model has, in float64."""
    module = nn.Module()
    if stored is not None:
        module.register_buffer("weight", stored.to(dtype))
    module.eps = float("nan")  # type: ignore[assignment]
    norm = Norm.of(module, sites)
    weight_D = None if norm.weight_D is None else norm.weight_D.double()
    return Norm(weight_D, None, norm.eps, norm.centred)


def read_weights(model: str, folder: Path, wanted: Sequence[str]) -> dict[str, Tensor]:
    """Return tensors of a checkpoint by the names of their parameters in the library's model.

    `model` is the name in error messages. Raises ModelError for files that are damaged, for tensors that are missing or
    ambiguous, and for numbers that are NaN or infinite.
    """
    with _reading(model):
        file_of: dict[str, Path] = {}
        for path in sorted(folder.glob("*.safetensors")):
            with path.open("rb") as file:
                file_of |= dict.fromkeys(layout(file)[1], path)
        names = {name: _stored_name(model, name, file_of) for name in wanted}
        found = {}
        for name, stored in names.items():
            with safe_open(file_of[stored], framework="pt") as tensors:
                found[name] = tensors.get_tensor(stored).clone()
    for name, tensor in found.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise ModelError(f"{name} of model {model!r} has numbers that are no finite floats, in {tensor.dtype}")
    return found


def _stored_name(model: str, name: str, file_of: Mapping[str, Any]) -> str:
    """Return the name that a parameter has in the files. Checkpoints may have other prefixes than the library."""
    if name in file_of:
        return name
    number = next(place for place, part in enumerate(name.split(".")) if part.isdecimal())
    ending = ".".join(name.split(".")[number - 1 :])
    known = [stored for stored in file_of if f".{stored}".endswith(f".{ending}")]
    if len(known) == 1:
        return known[0]
    found = f"there are {', '.join(map(shortened, known[:3]))}{and_more(len(known) - 3)}" if known else "there is none"
    raise ModelError(
        f"cannot tell which tensor of model {model!r} is {ending!r}, the weight of a norm: {found}. Save the model "
        "with `save_pretrained`, which writes the library's names"
    )


def _folder(model: str) -> Path:
    """Return the folder with the model's files, which are downloaded if this machine does not have them."""
    name, revision = split_revision(model)
    folder = folder_of(name, revision)
    if folder is not None and any(folder.glob("*.safetensors")):
        return folder
    if folder is not None and Path(name).is_dir():
        raise ModelError(f"model {model!r} has no .safetensors file in {folder}")
    try:
        return hub.download(name, revision, ["*.safetensors"])
    except hub.HubError as error:
        raise ModelError(f"cannot read the weights of model {model!r}: {error} {hub.advice(error, name)}") from error


@contextmanager
def _reading(model: str) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"cannot read the norms of model {model!r}: {shortened(str(error))}; is the download complete?"
        ) from error
