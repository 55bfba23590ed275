"""Error influence: the share of each prompt's influence that ends in errors, and the error nodes in which it ends.

A share is a part of all influence that ends anywhere: in errors, tokens and the constant. Rows are normalised to 1, so
that this whole is the sum of the weights of the targets.

Axes: I prompt, K target, L layer, N node, Y error node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, StoreCorrupt
from ..graph.nodes import NodeKind
from ..store.format.schema import COLUMNS
from ..store.read.part_range import PartRange
from ..table_stream import CategoricalColumn
from .clusters import UNIT, Ints
from .prompts import ChosenPrompts, PromptPiece
from .statistics import Floats, Mask

READ_ROWS = 1 << 20
_NAMES = ("kind", "layer", "position", "influence")
_MOST_EXCESS = 1e-3
"""By how much the error nodes of a prompt may exceed its score. Influence is float32, so that real ones do by 1e-6."""


@dataclass(frozen=True, eq=False)
class ErrorNodes:
    """The prompts of a part range, and those of their error nodes that are in the graphs. Shares are in UNITs."""

    rank_I: npt.NDArray[np.int32]
    num_tokens_I: Ints
    whole_IL: Ints
    """Share of the influence that ends in the errors of each layer, before pruning; 0 where it is not known."""
    is_known_I: Mask
    """Whether a prompt's scores, target weights and influence are known and agree. Only such prompts have entries."""
    rank_Y: npt.NDArray[np.int32]
    layer_Y: Ints
    position_Y: Ints
    from_end_Y: Ints
    """Number of tokens after the position: 0 at the last token."""
    share_Y: Ints
    token_Y: CategoricalColumn


def error_nodes(prompts: ChosenPrompts | PromptPiece) -> Iterator[ErrorNodes]:
    """Yield the error nodes of all prompts, a part range at a time, each prompt in one of them.

    Raises ConfigError if the models have different numbers of layers, StoreCorrupt for what no graph can have.
    """
    num_layers: int | None = None
    for part_range, rank_I in prompts.ranges("num_nodes", "num_tokens", rows=READ_ROWS):
        found = _of_range(part_range, rank_I)
        own = found.whole_IL.shape[1]
        check_num_layers(own if num_layers is None else num_layers, own)
        num_layers = own
        yield found


def check_num_layers(num_layers: int, other: int) -> None:
    """Raise ConfigError if the models of some graphs have other layers than those of others."""
    if num_layers != other:
        raise ConfigError(
            f"the graphs are of models with {num_layers} and with {other} layers: choose one of them with --where "
            f"num_layers={num_layers}"
        )


def scores_of_layers(part_range: PartRange) -> Floats:
    """Return the share of influence that ends in the errors of each layer [prompts, layers], before pruning.

    Raises ConfigError if the prompts are of models with different numbers of layers.
    """
    part, numbers = part_range.part, part_range.numbers
    layers = sorted({*part.head["prompts/num_layers"][list(numbers)].tolist()})
    check_num_layers(layers[0], layers[-1])
    pointers, stored = part.pointers(COLUMNS["prompts/error_share"]), part.head["prompts/error_share"]
    rows = [stored[pointers[number] : pointers[number + 1]] for number in numbers]
    if any(len(row) != layers[0] for row in rows):
        raise StoreCorrupt(f"{part.objects.where}: prompts have error shares of other layers than their models")
    return np.stack(rows).astype(np.float64)


def target_weights(part_range: PartRange) -> Floats:
    """Return the sum of the weights of each prompt's targets, from the first to the last [prompts]."""
    weight = part_range.part.read({"targets/weight": part_range.rows("num_targets")})["targets/weight"]
    prompt = part_range.prompt_of_rows("num_targets")
    sums: Floats = np.bincount(prompt, weight, len(part_range.entries)).astype(np.float64)
    return sums


def _of_range(part_range: PartRange, rank_I: npt.NDArray[np.int32]) -> ErrorNodes:
    nodes = part_range.part.nodes(_NAMES, part_range.rows("num_nodes"))
    node_Y = np.flatnonzero(nodes["kind"] == NodeKind.ERROR)
    prompt_Y, num_prompts = part_range.prompt_N[node_Y], len(rank_I)
    error_IL, weight_I = scores_of_layers(part_range), target_weights(part_range)
    num_tokens_I = part_range.sizes("num_tokens").astype(np.int64)
    layer_Y, position_Y = (nodes[name][node_Y].astype(np.int64) for name in ("layer", "position"))
    if ((layer_Y < 0) | (layer_Y >= error_IL.shape[1]) | (position_Y < 0)).any():
        raise StoreCorrupt(f"{part_range.part.objects.where}: errors are of layers that the model does not have")
    with np.errstate(divide="ignore", invalid="ignore"):
        share_Y = nodes["influence"][node_Y].astype(np.float64) / weight_I[prompt_Y]
    kept_I = np.bincount(prompt_Y, share_Y, num_prompts)
    with np.errstate(invalid="ignore"):
        is_known_I = np.isfinite(error_IL).all(axis=1) & np.isfinite(kept_I) & np.isfinite(weight_I) & (weight_I > 0)
        is_known_I &= (error_IL >= 0).all(axis=1) & (error_IL.sum(axis=1) <= 1 + _MOST_EXCESS)
        is_known_I &= kept_I <= error_IL.sum(axis=1) + _MOST_EXCESS
        is_known_I &= np.bincount(prompt_Y, ~(share_Y >= 0), num_prompts) == 0
    own = np.flatnonzero(is_known_I[prompt_Y])
    prompt_Y, position_Y = prompt_Y[own], position_Y[own]
    return ErrorNodes(
        rank_I,
        num_tokens_I,
        in_units(np.where(is_known_I[:, None], error_IL, 0.0)),
        is_known_I,
        rank_I[prompt_Y],
        layer_Y[own],
        position_Y,
        num_tokens_I[prompt_Y] - 1 - position_Y,
        in_units(share_Y[own]),
        part_range.tokens_at(prompt_Y, position_Y.astype(np.int32)),
    )


def in_units(shares: npt.NDArray[Any]) -> Ints:
    """Return shares as integers in UNITs."""
    units: Ints = np.rint(shares / UNIT).astype(np.int64)
    return units
