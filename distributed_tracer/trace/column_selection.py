"""Select some columns of every row: those of a graph's nodes.

Axes: B row of a batch, C column picked, Z slot, L layer.
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
    """The columns in the slots `slot_C`. The columns of one layer should be neighbours, so that there are few runs."""

    def __init__(self, columns: ColumnLayout, slot_C: Tensor) -> None:
        self.columns, self.slot_C = columns, slot_C

    def rows(self, edges: Edges) -> Tensor:
        """Return the edges from the picked columns [B, C], which are zero where `edges` holds none.

        On a GPU one gather reads all layers. On a CPU each run has a gather of its own: this takes more calls, but is
        four times as fast.
        """
        if self.slot_C.device.type != "cpu" or not isinstance(edges, DenseEdges):
            return edges.take(self.slot_C)
        picked_BC = edges.values.new_zeros(edges.reach.num_rows, len(self.slot_C))
        for layer, first, slots, highest in self._runs:
            edges_BZ = edges.reach.layer(edges.values, layer)
            count = bisect_left(highest, edges_BZ.shape[1])
            if count and len(edges_BZ):
                picked_BC[: len(edges_BZ), first : first + count] = edges_BZ.index_select(1, slots[:count])
        return picked_BC

    @cached_property
    def _runs(self) -> list[tuple[int, int, Tensor, list[int]]]:
        """The runs of columns of one layer: the layer's number, the first column, the slots counted from the layer's
        first, and the running maximum of these slots.

        A batch reaches the first slots of a layer, and therefore the first columns of a run. The running maximum tells
        how many.
        """
        return list(self._split())

    def _split(self) -> Iterator[tuple[int, int, Tensor, list[int]]]:
        first_L = self.columns.first_L
        layer_C = torch.searchsorted(first_L, self.slot_C, right=True) - 1
        local_C, first = self.slot_C - first_L[layer_C], 0
        for layer, run in groupby(layer_C.tolist()):
            part = slice(first, first + len(list(run)))
            yield layer, first, local_C[part], list(accumulate(local_C[part].tolist(), max))
            first = part.stop
