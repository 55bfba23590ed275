"""EdgeSpill: records of the edges of two sets of prompts, and of the rows that they are shares of.

Axes: E edge, I prompt of a part range, N node.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from .scan import ScannedRange
from .sites import Sites
from .spill import CLASS_BITS, EDGE_RECORD, Spill, append

ROW_RECORD = np.dtype([("site", "<i4"), ("rank", "<i4"), ("row_sum", "<f8"), ("missing", "<f8")])
"""What is recorded of a node whose row was computed.

`row_sum` is its `row_abs_sum`, `missing` the |edges| into it that are not in the graph.
"""
OF_ROWS = ("row_abs_sum_all", "constant")
"""Columns of nodes that are read in addition."""


class EdgeSpill(Spill):
    """Files of edges and of computed rows. The class of an edge is 1 if a token at one of its ends differs, else 0."""

    def __init__(
        self,
        folder: Path,
        sites: Sites,
        starts: npt.NDArray[np.int64],
        labels: Mapping[int, Sequence[str]],
        differing: Collection[str],
    ) -> None:
        """`labels` are those of the targets of the prompt of each rank; `differing` are the tokens of one set only."""
        super().__init__(folder, sites, starts)
        self._labels, self._differing = labels, differing
        self.name_of: dict[int, str] = {}
        """The text of each token and target, by the number of its site."""

    def write_range(self, scanned: ScannedRange, nodes: Sequence[BinaryIO], edges: Sequence[BinaryIO]) -> None:
        """Append the records of one part range to the files of the partitions."""
        own = scanned.part_range
        site_N, rank_N = self.sites.numbers(scanned.code_N), scanned.rank_N
        partition_N = self.partitions(site_N)
        tokens = own.tokens_at(own.prompt_N, scanned.nodes["position"])
        self._name(scanned, site_N, tokens.values)
        differs_N = np.array([name in self._differing for name in tokens.names], dtype=bool)[tokens.codes]
        target_E = scanned.target_E
        source_E, weight_E = scanned.edges()
        records = np.empty(len(target_E), dtype=EDGE_RECORD)
        records["key"] = (site_N.astype(np.int64) * len(self.sites))[target_E] + site_N[source_E]
        records["rank_class"] = (rank_N.astype(np.uint32) << CLASS_BITS)[target_E]
        records["rank_class"] |= differs_N[target_E] | differs_N[source_E]
        records["weight"] = weight_E
        append(edges, records, partition_N[target_E])
        stored_N = np.bincount(target_E, weights=np.abs(weight_E.astype(np.float64)), minlength=len(site_N))
        has_constant_I = own.part.read({"prompts/constant_node": np.array(own.numbers, dtype=np.intp)})
        constant_N = np.abs(scanned.nodes["constant"].astype(np.float64))
        constant_N *= has_constant_I["prompts/constant_node"][own.prompt_N]
        row_sum_N = scanned.nodes["row_abs_sum"]
        has_row = np.flatnonzero(~np.isnan(row_sum_N) | (scanned.nodes["in_degree"] > 0))
        rows = np.empty(len(has_row), dtype=ROW_RECORD)
        missing_N = scanned.nodes["row_abs_sum_all"] - constant_N - stored_N
        for name, values_N in (("site", site_N), ("rank", rank_N), ("row_sum", row_sum_N), ("missing", missing_N)):
            rows[name] = values_N[has_row]
        append(nodes, rows, partition_N[has_row])

    def nodes(self, number: int) -> npt.NDArray[Any]:
        """Return the records of the computed rows of one partition."""
        return np.fromfile(self.path("nodes", number), dtype=ROW_RECORD)

    def _name(self, scanned: ScannedRange, site_N: npt.NDArray[np.int32], token_N: npt.NDArray[np.object_]) -> None:
        """Learn the text of tokens and targets. Of several, as equal tokens of different tokenizers, the first counts
        in the order of texts."""
        kind_N, number_N, rank_N = scanned.nodes["kind"], scanned.nodes["feature"], scanned.rank_N
        named = [(site, token_N[node]) for site, node in _of_kind(kind_N, site_N, NodeKind.TOKEN)]
        of_targets = _of_kind(kind_N, site_N, NodeKind.TARGET)
        named += [(site, self._labels[int(rank_N[node])][int(number_N[node])]) for site, node in of_targets]
        for site, name in named:
            self.name_of[site] = min(name, self.name_of.get(site, name))


def _of_kind(kind_N: npt.NDArray[np.int8], site_N: npt.NDArray[np.int32], kind: NodeKind) -> list[tuple[int, int]]:
    """Return the site and the number of each node of one kind."""
    nodes = np.flatnonzero(kind_N == kind)
    return list(zip(site_N[nodes].tolist(), nodes.tolist(), strict=True))
