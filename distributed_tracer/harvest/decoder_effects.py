"""What decoders do by themselves: the tokens that they promote and suppress, and which decoders are alike.

The vector of a feature is what it adds to the residual stream per unit of activation. A feature of a cross-layer
transcoder writes to several layers, and its vector is the sum of what it adds in all of them. The weight of a norm
after the MLP is applied, and so is that of the final norm; the scales of both depend on the text and are left out, so
that weights of one feature can be compared with each other, but not with logits. From each weight the mean over the
vocabulary is subtracted, which changes no probability.

Axes: F feature, D model width, V vocabulary, L layer, X feature of another block,
Y place in a list.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..model.model import Model
from ..profile.layout import FEATURES_OF_GROUP, WEIGHTS, arrow_table, layer_file
from ..profile.ragged import Ragged
from ..table_folder import write_parquet
from ..threads import linear, multiply
from ..transcoder.base import Transcoders

_LOGITS = 2**26
"""Number of logits, or of cosines, that are computed at once: 256 MiB in float32."""


def write_decoder_effects(
    folder: Path, layer: int, model: Model, transcoders: Transcoders, num_tokens: int, num_neighbours: int
) -> None:
    """Write the file of weights of one layer: all its features, with the `num_tokens` most promoted and suppressed
    tokens and the `num_neighbours` features of this layer and the adjacent ones with the largest cosine."""
    num_features = transcoders.shape.features_L[layer]
    blocks = _blocks(num_features, max(model.shape.vocab_size, 1))
    tokens = [top_tokens(model, transcoders, layer, block, num_tokens) for block in blocks]
    near = [nearest(model, transcoders, layer, block, num_neighbours) for block in _blocks(num_features, _LOGITS >> 12)]
    promoted, promoted_weights, suppressed, suppressed_weights = (_joined(parts) for parts in zip(*tokens, strict=True))
    layers, neighbours, cosines = (_joined(parts) for parts in zip(*near, strict=True))
    columns: dict[str, Any] = {
        "feature": np.arange(num_features, dtype=np.int32),
        "promoted": promoted,
        "promoted_weights": promoted_weights,
        "suppressed": suppressed,
        "suppressed_weights": suppressed_weights,
        "neighbour_layers": layers,
        "neighbours": neighbours,
        "cosines": cosines,
    }
    write_parquet(folder / layer_file(WEIGHTS, layer), iter([arrow_table(columns)]), FEATURES_OF_GROUP)


@torch.no_grad()
def top_tokens(
    model: Model, transcoders: Transcoders, layer: int, features: range, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ids and weights of the most promoted tokens and of the most suppressed ones, each [F, Y]."""
    count = min(count, len(model.unembed_VD))
    vector_FD = model.final_norm.jvp(feature_vectors(model, transcoders, layer, features))
    vector_FD = vector_FD.to(model.unembed_VD.device, model.unembed_VD.dtype)
    weight_FV = linear(vector_FD, model.unembed_VD)
    weight_FV -= multiply(vector_FD, model.unembed_mean_D.to(vector_FD.dtype))[:, None]
    promoted, suppressed = weight_FV.topk(count, dim=1), weight_FV.topk(count, dim=1, largest=False)
    return promoted.indices, promoted.values.float(), suppressed.indices, suppressed.values.float()


@torch.no_grad()
def nearest(
    model: Model, transcoders: Transcoders, layer: int, features: range, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return layers, indices and cosines of the features with the most similar vectors, each [F, Y]."""
    own_FD = _directions(model, transcoders, layer, features)
    if not count:
        none_F0 = torch.empty((len(features), 0), dtype=torch.long)
        return none_F0, none_F0, none_F0.float()
    best: tuple[Tensor, Tensor, Tensor] | None = None
    for other in range(max(0, layer - 1), min(transcoders.shape.num_layers, layer + 2)):
        for block in _blocks(transcoders.shape.features_L[other], len(features)):
            cosine_FX = linear(own_FD, _directions(model, transcoders, other, block))
            if other == layer and (both := range(max(features[0], block[0]), min(features[-1], block[-1]) + 1)):
                same = torch.arange(both[0], both[-1] + 1, device=cosine_FX.device)
                cosine_FX[same - features[0], same - block[0]] = -2.0  # a feature is no neighbour of itself
            top = cosine_FX.topk(min(count, len(block)), dim=1)
            found = torch.full_like(top.indices, other), top.indices + block[0], top.values
            best = found if best is None else _best(best, found, count)
    assert best is not None
    kept = int((best[2] > -2.0).sum(dim=1).min())
    return best[0][:, :kept], best[1][:, :kept], best[2][:, :kept]


def feature_vectors(model: Model, transcoders: Transcoders, layer: int, features: range) -> Tensor:
    """Return what features add to the residual stream per unit of activation, without scales of norms: [F, D]."""
    feature_F = torch.arange(features[0], features[-1] + 1, device=transcoders.decoder_device)
    sum_FD: Tensor | None = None
    for written in transcoders.shape.writes_to(layer):
        vector_FD = transcoders.decoder_rows(layer, feature_F, written)
        vector_FD = vector_FD.to(model.layers[written].device, torch.promote_types(vector_FD.dtype, torch.float32))
        norm, residual_scale = model.layers[written].mlp_post_norm, model.layers[written].residual_scale
        if norm is not None and transcoders.shape.output_site == "mlp.hook_out":
            vector_FD = norm.jvp(vector_FD)
        vector_FD = vector_FD * residual_scale
        sum_FD = vector_FD if sum_FD is None else sum_FD + vector_FD.to(sum_FD.device)
    assert sum_FD is not None, "every layer writes to itself"
    return sum_FD.to(model.unembed_VD.device)


def _directions(model: Model, transcoders: Transcoders, layer: int, features: range) -> Tensor:
    """Return the vectors of features, divided by their lengths; zero stays zero."""
    return torch.nn.functional.normalize(feature_vectors(model, transcoders, layer, features), dim=1)


def _best(
    a: tuple[Tensor, Tensor, Tensor], b: tuple[Tensor, Tensor, Tensor], count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the `count` with the largest cosines of both; of equal ones, those of `a`."""
    layer_FX, index_FX, cosine_FX = (torch.cat([x, y], dim=1) for x, y in zip(a, b, strict=True))
    order_FY = cosine_FX.argsort(dim=1, descending=True, stable=True)[:, :count]
    return layer_FX.gather(1, order_FY), index_FX.gather(1, order_FY), cosine_FX.gather(1, order_FY)


def _blocks(num_features: int, width: int) -> list[range]:
    """Return ranges of features such that a matrix of one number for each and for each of `width` is not too large."""
    step = max(1, min(4096, _LOGITS // max(1, width)))
    return [range(start, min(start + step, num_features)) for start in range(0, num_features, step)]


def _joined(parts: tuple[Tensor, ...]) -> Ragged:
    """Return blocks of rows, each [F, Y], as rows."""
    values = np.concatenate([part.numpy(force=True).ravel() for part in parts])
    widths = np.concatenate([np.full(part.shape[0], part.shape[1], dtype=np.int64) for part in parts])
    kind = values.dtype if values.dtype != np.int64 else np.int32
    return Ragged(values.astype(kind), np.concatenate([[0], np.cumsum(widths)]).astype(np.int64))
