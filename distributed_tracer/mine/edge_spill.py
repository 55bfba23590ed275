"""EdgeSpill: records of the edges of two sets of prompts, and of the rows that they are shares of.

Axes: E edge, I prompt of a part range or site, N node.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from .edge_records import EDGE_RECORD, ROW_RECORD, DividedFile
from .scan import ScannedRange
from .sites import Sites
from .spill import CLASS_BITS, partition_starts

OF_ROWS = ("row_abs_sum_all", "constant")
"""Columns of nodes that are read in addition."""
_NAMES = "names.json"


class EdgeSpill:
    """Files of edges and of computed rows in a folder, divided by target."""

    def __init__(self, work: Path, sites: Sites, is_written: bool = False) -> None:
        """Begin the files of these sites in the folder `work`, or open those that were written there."""
        self._work, self._sites = work, sites
        self._starts = partition_starts(sites)
        new = DividedFile.opened if is_written else DividedFile
        self._edges = new(work / "edges", EDGE_RECORD, self.num_partitions)
        self._rows = new(work / "rows", ROW_RECORD, self.num_partitions)
        names = json.loads((work / _NAMES).read_text(encoding="ascii")) if is_written else {}
        self.name_of: dict[int, str] = {int(site): name for site, name in names.items()}
        """The text of each token and target, by the number of its site."""

    @property
    def num_partitions(self) -> int:
        """The number of partitions: ranges of target sites with about the same number of edges."""
        return len(self._starts) - 1

    def write(
        self, ranges: Iterable[ScannedRange], labels: Mapping[int, Sequence[str]], differing: Collection[str]
    ) -> None:
        """Write the edges and the computed rows of all part ranges.

        `labels` are those of the targets of the prompt of each rank; `differing` are the tokens of one set only.
        """
        for scanned in ranges:
            self._write_range(scanned, labels, differing)
        self._edges.close()
        self._rows.close()
        (self._work / _NAMES).write_text(json.dumps(self.name_of), encoding="ascii")

    def _write_range(
        self, scanned: ScannedRange, labels: Mapping[int, Sequence[str]], differing: Collection[str]
    ) -> None:
        own = scanned.part_range
        site_N, rank_N = self._sites.numbers(scanned.code_N), scanned.rank_N
        partition_N = (np.searchsorted(self._starts, site_N, side="right") - 1).astype(np.uint16)
        tokens = own.tokens_at(own.prompt_N, scanned.nodes["position"])
        self._name(scanned, site_N, tokens.values, labels)
        differs_N = np.array([name in differing for name in tokens.names], dtype=bool)[tokens.codes]
        target_E = scanned.target_E
        source_E, weight_E = scanned.edges()
        records = np.empty(len(target_E), dtype=EDGE_RECORD)
        records["key"] = (site_N.astype(np.int64) * len(self._sites))[target_E] + site_N[source_E]
        records["rank_class"] = (rank_N.astype(np.uint32) << CLASS_BITS)[target_E]
        records["rank_class"] |= differs_N[target_E] | differs_N[source_E]
        records["weight"] = weight_E
        self._edges.append(records, partition_N[target_E])
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
        self._rows.append(rows, partition_N[has_row])

    def rows(self, partition: int) -> npt.NDArray[np.void]:
        """Return the records of the computed rows of a partition."""
        return np.concatenate([np.empty(0, dtype=ROW_RECORD), *self._rows.blocks(partition)])

    def edges(self, partition: int, first: int, end: int) -> npt.NDArray[np.void]:
        """Return the records of the edges of a partition whose keys are from `first` to `end - 1`."""
        found = [block[(block["key"] >= first) & (block["key"] < end)] for block in self._edges.blocks(partition)]
        return np.concatenate([np.empty(0, dtype=EDGE_RECORD), *found])

    def key_ranges(self, partition: int, most_edges: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of keys that cover a partition, each of at most `most_edges` edges.

        A single pair of sites may have more. A target site with more edges is divided by its sources.
        """
        size = len(self._sites)
        first, end = self._starts[partition : partition + 2].tolist()
        begin, total = first, 0
        for site in range(first, end):
            own = int(self._sites.num_edges_I[site])
            if site > begin and total + own > most_edges:
                yield begin * size, site * size
                begin, total = site, 0
            total += own
            if total > most_edges:
                yield from self._source_ranges(partition, site, most_edges)
                begin, total = site + 1, 0
        if begin < end:
            yield begin * size, end * size

    def _source_ranges(self, partition: int, target: int, most_edges: int) -> Iterator[tuple[int, int]]:
        """Yield the key ranges of one target site, divided by its sources."""
        size = len(self._sites)
        count_I = np.zeros(size, dtype=np.int64)
        for block in self._edges.blocks(partition):
            key = block["key"]
            own = key[(key >= target * size) & (key < (target + 1) * size)]
            count_I += np.bincount(own - target * size, minlength=size)
        begin, total = 0, 0
        for source in np.flatnonzero(count_I).tolist():
            if total and total + int(count_I[source]) > most_edges:
                yield target * size + begin, target * size + source
                begin, total = source, 0
            total += int(count_I[source])
        yield target * size + begin, (target + 1) * size

    def _name(
        self,
        scanned: ScannedRange,
        site_N: npt.NDArray[np.int32],
        token_N: npt.NDArray[np.object_],
        labels: Mapping[int, Sequence[str]],
    ) -> None:
        """Learn the text of tokens and targets. Of several, as equal tokens of different tokenizers, the first counts
        in the order of texts."""
        kind_N, number_N, rank_N = scanned.nodes["kind"], scanned.nodes["feature"], scanned.rank_N
        named = [(site, token_N[node]) for site, node in _of_kind(kind_N, site_N, NodeKind.TOKEN)]
        of_targets = _of_kind(kind_N, site_N, NodeKind.TARGET)
        named += [(site, labels[int(rank_N[node])][int(number_N[node])]) for site, node in of_targets]
        for site, name in named:
            self.name_of[site] = min(name, self.name_of.get(site, name))


def _of_kind(kind_N: npt.NDArray[np.int8], site_N: npt.NDArray[np.int32], kind: NodeKind) -> list[tuple[int, int]]:
    """Return the site and the number of each node of one kind."""
    nodes = np.flatnonzero(kind_N == kind)
    return list(zip(site_N[nodes].tolist(), nodes.tolist(), strict=True))
