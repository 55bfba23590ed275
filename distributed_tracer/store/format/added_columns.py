"""The columns of a graph that were added to the format later, which stores of early versions lack.

Axes: A active feature, P position, L layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...graph.graph import Graph
from ...graph.norm_scales import NormScales
from .schema import COLUMNS, Columns

SCALES = ("scales/read", "scales/write", "scales/final")
"""The arrays of a graph's norm scales, in the order of the fields of `NormScales`."""

_COMPUTED = "active/computed"


def added_columns_of(graph: Graph) -> Columns:
    """Return the added columns as far as the graph has what they hold."""
    columns: Columns = {}
    if graph.active.computed_A is not None:
        columns[_COMPUTED] = graph.active.computed_A.view(np.uint8)
    if graph.scales is not None:
        scales = (graph.scales.read_PL, graph.scales.write_PL, graph.scales.final_P)
        columns |= dict(zip(SCALES, scales, strict=True))
    return columns


def scales_of(columns: Mapping[str, npt.NDArray[Any]]) -> NormScales | None:
    """Return the norm scales of a prompt from its columns; None if they are not known.

    Raises ValueError if they are those of fewer layers than the prompt has.
    """
    if SCALES[-1] not in columns or np.isnan(columns[SCALES[-1]]).any():
        return None
    num_layers, (read_PL, write_PL, final_P) = int(columns["prompts/num_layers"][0]), (columns[name] for name in SCALES)
    if min(read_PL.shape[1], write_PL.shape[1]) < num_layers:
        raise ValueError(f"scales of {read_PL.shape[1]} and {write_PL.shape[1]} layers, and there are {num_layers}")
    return NormScales(read_PL[:, :num_layers], write_PL[:, :num_layers], final_P)


def computed_of(columns: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.bool_] | None:
    """Return which rows of a prompt's active features were computed [A]; None if that is not known, or if no feature is
    active, so that the other prompts of a part make no difference."""
    computed_A = columns.get(_COMPUTED)
    if computed_A is None or not len(computed_A) or (computed_A == COLUMNS[_COMPUTED].unknown).any():
        return None
    return computed_A.astype(np.bool_)
