"""Some columns picked out of every row: those of a graph's nodes.

B row, C column picked, S slot.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate, groupby

import torch
from torch import Tensor

from .column_layout import ColumnLayout
from .edges import DenseEdges, Edges


class Picked:
    """The columns in some slots, in an order in which those of one layer lie side by side, in few runs."""

    def __init__(self, columns: ColumnLayout, slot_C: Tensor) -> None:
        self.columns, self.slot_C = columns, slot_C

    def rows(self, edges: Edges) -> Tensor:
        """Edges from the picked columns [B, C], zero where none is held.

        On a GPU one gather for all layers, on a CPU one for each run: four times as fast, in more launches.
        """
        if self.slot_C.device.type != "cpu" or not isinstance(edges, DenseEdges):
            return edges.take(self.slot_C)
        picked_BC = edges.values.new_zeros(edges.reach.num_rows, len(self.slot_C))
        for layer, first, slots, highest in self._runs:
            edges_BS = edges.reach.layer(edges.values, layer)
            count = bisect_left(highest, edges_BS.shape[1])
            if count and len(edges_BS):
                picked_BC[: len(edges_BS), first : first + count] = edges_BS.index_select(1, slots[:count])
        return picked_BC

    @cached_property
    def _runs(self) -> list[tuple[int, int, Tensor, list[int]]]:
        """Columns of one layer: its number, the first column, their slots counted from the layer's first, and the
        highest of them up to each: what a batch reaches of a layer are its first slots, and so the first of a run."""
        return list(self._split())

    def _split(self) -> Iterator[tuple[int, int, Tensor, list[int]]]:
        first_L = self.columns.first_L
        layer_C = torch.searchsorted(first_L, self.slot_C, right=True) - 1
        local_C, first = self.slot_C - first_L[layer_C], 0
        for layer, run in groupby(layer_C.tolist()):
            part = slice(first, first + len(list(run)))
            yield layer, first, local_C[part], list(accumulate(local_C[part].tolist(), max))
            first = part.stop
