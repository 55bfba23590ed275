"""AtlasTables: reads the stored tables of an atlas by partition, those of added prompts joined with the others.

Sites and prompts are numbered over all tables, in the order of codes and of ids, so that what is read is what tables of
all prompts would have.

Axes: I site, N node (by site, then by prompt), E edge (by target, then by source, then by prompt).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from .active import ActiveCounts
from .block_files import BlockReader, column_values
from .columns import ACTIVE_COLUMNS, INSTANCE_COLUMNS, SITE_COLUMNS, STORED_NODE_COLUMNS, Column
from .incidences import Incidences, SiteSums
from .pairs import Edges, Rows
from .site_tables import site_rows, starts_of
from .sites import Sites, site_codes


@dataclass(frozen=True, eq=False)
class _Segment:
    """The tables of an atlas, or of prompts that were added to it."""

    blocks: BlockReader
    code_I: npt.NDArray[np.int64]
    """Codes of its sites."""
    sites: Callable[[], Rows]
    """Reads the table of sites."""
    ids: Sequence[str]
    clusters: Sequence[str]
    graphs: Sequence[str]
    active: Callable[[], ActiveCounts]
    """Reads in how many prompts features are active."""


class AtlasTables:
    """The stored tables of an atlas.

    `folders` has the folder of the tables, and of those of added prompts, each with its division. `cuts` has the
    code of the first site of each partition, and `open_file` returns a pyarrow.ParquetFile of a path.
    """

    def __init__(
        self,
        folders: Sequence[tuple[Path, Mapping[str, Any]]],
        cuts: Sequence[int],
        open_file: Callable[[Path], Any],
    ) -> None:
        self._cuts = cuts
        self._segments = [_segment(folder, division, open_file) for folder, division in folders]
        self.is_joined = len(folders) > 1
        """Whether there are tables of added prompts."""

    @property
    def num_partitions(self) -> int:
        return len(self._cuts)

    @cached_property
    def sites(self) -> Sites:
        """All sites."""
        return Sites.of_codes([one.code_I for one in self._segments])

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """First site of each partition, followed by the number of sites."""
        return starts_of(self.sites.code_I, self._cuts)

    @property
    def graph_digests(self) -> set[str]:
        """Digests of the graphs of all prompts."""
        return {digest for one in self._segments for digest in one.graphs}

    @cached_property
    def num_prompts(self) -> int:
        return sum(len(one.ids) for one in self._segments)

    @property
    def prompt_ids(self) -> list[str]:
        """Ids of all prompts, by the numbers that `edges` and `incidences` have."""
        return (
            sorted(one for own in self._segments for one in own.ids) if self.is_joined else list(self._segments[0].ids)
        )

    @cached_property
    def clusters(self) -> npt.NDArray[np.int32]:
        """Number of the cluster of each prompt by rank, equal for equal clusters; -1 for none."""
        number_of = {"": -1}
        found = np.empty(self.num_prompts, dtype=np.int32)
        for one, ranks in zip(self._segments, self._ranks, strict=True):
            found[ranks] = [number_of.setdefault(text, len(number_of) - 1) for text in one.clusters]
        return found

    @cached_property
    def denominators(self) -> Rows:
        """Columns of the table of sites."""
        return self._segments[0].sites() if not self.is_joined else site_rows(self.sites, self.sums)

    @property
    def active(self) -> ActiveCounts:
        """In how many prompts features are active."""
        return ActiveCounts.joined(one.active() for one in self._segments)

    @cached_property
    def sums(self) -> SiteSums:
        """Sums of all sites, from all nodes."""
        return SiteSums.joined([self.incidences(number).sums for number in range(self.num_partitions)])

    def incidences(self, partition: int, names: Iterable[str] = STORED_NODE_COLUMNS) -> Incidences:
        """Return the incidences of a partition's sites, from the columns `names` of its nodes."""
        wanted = {"site", "prompt", *names}
        found = self._joined("nodes", partition, [name for name in STORED_NODE_COLUMNS if name in wanted])
        if self.is_joined:
            order_N = np.argsort(found["site"].astype(np.int64) << 32 | found["prompt"], kind="stable")
            found = {name: values[order_N] for name, values in found.items()}
        first, end = self.starts[partition : partition + 2].tolist()
        return Incidences(found, first, end)

    def once(self, partition: int) -> Edges:
        """Return the edges of the pairs that have a single edge. There must be no added prompts."""
        return Edges(*self._segments[0].blocks.read("edges_once", partition, INSTANCE_COLUMNS).values())

    def recurring(self, partition: int, names: Iterable[str]) -> Rows:
        """Return stored columns of the other pairs. There must be no added prompts."""
        return self._segments[0].blocks.read("edges_recurring", partition, names)

    def edges(self, partition: int) -> Edges:
        """Return all edges into the sites of a partition."""
        both = [self._joined(table, partition, INSTANCE_COLUMNS) for table in ("edges_once", "instances")]
        edges = Edges(*(np.concatenate([one[name] for one in both]) for name in INSTANCE_COLUMNS))
        key_E = edges.target_E.astype(np.int64) << 32 | edges.source_E
        if not self.is_joined:
            return edges.take(np.argsort(key_E, kind="stable"))  # two runs without a common key
        return edges.take(np.lexsort((edges.prompt_E, key_E)))

    def _joined(self, table: str, partition: int, names: Iterable[str]) -> Rows:
        """Return columns of all tables of a name, with numbers of sites and prompts over all."""
        found = []
        for one, site_I, ranks in zip(self._segments, self._places, self._ranks, strict=True):
            rows = one.blocks.read(table, partition, names) if table in one.blocks.num_rows else {}
            if self.is_joined and rows:
                rows = {**rows, **{name: site_I[rows[name]] for name in ("site", "source", "target") if name in rows}}
                rows["prompt"] = ranks[rows["prompt"]]
            if rows:
                found.append(rows)
        return found[0] if len(found) == 1 else {name: np.concatenate([one[name] for one in found]) for name in names}

    @cached_property
    def _places(self) -> list[npt.NDArray[np.int32]]:
        """Number over all of each site of a segment."""
        return [np.searchsorted(self.sites.code_I, one.code_I).astype(np.int32) for one in self._segments]

    @cached_property
    def _ranks(self) -> list[npt.NDArray[np.int32]]:
        """Number over all of each prompt of a segment."""
        ids = sorted(prompt_id for one in self._segments for prompt_id in one.ids)
        rank_of = {prompt_id: rank for rank, prompt_id in enumerate(ids)}
        return [np.array([rank_of[prompt_id] for prompt_id in one.ids], dtype=np.int32) for one in self._segments]


def _segment(folder: Path, division: Mapping[str, Any], open_file: Callable[[Path], Any]) -> _Segment:
    def table(name: str, columns: Mapping[str, Column]) -> Rows:
        found = open_file(folder / f"{name}.parquet").read(list(columns), use_threads=False)
        return {name: column_values(found[name], column) for name, column in columns.items()}

    def active() -> ActiveCounts:
        rows = table("active", ACTIVE_COLUMNS)
        kinds = np.full(len(rows["layer"]), NodeKind.FEATURE, dtype=np.int64)
        return ActiveCounts.of_codes(
            site_codes(rows["layer"], kinds, rows["feature"]),
            rows["prompts_active"],
            rows["prompts_computed"],
            division["num_active_known"],
            division["num_computed_known"],
        )

    ends = table("sites", {name: SITE_COLUMNS[name] for name in ("layer", "kind", "feature")})
    prompts = open_file(folder / "prompts.parquet").read(["id", "cluster", "graph"], use_threads=False).to_pydict()
    return _Segment(
        BlockReader(folder, division, open_file),
        site_codes(**{f"{name}_N": values for name, values in ends.items()}),
        lambda: table("sites", SITE_COLUMNS),
        prompts["id"],
        prompts["cluster"],
        prompts["graph"],
        active,
    )
