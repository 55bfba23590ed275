"""EdgeRows: the rows of the table of edges of an atlas, all columns, from its stored tables.

Axes: X pair of sites (by target, then by source), E edge, I site.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .atlas_tables import AtlasTables
from .columns import MEANS, OF_MEANS, edge_means
from .cooccurrence import CoOccurrence
from .incidences import Incidences
from .pairs import MOMENTS, STORED_MOMENTS, Edges, Moments, Rows

_DENOMINATORS = ("prompts_row", "prompts_dropped_unknown", "sum_dropped")
_SIDES = ("kind", "layer", "feature", "prompts")
_OF_SHARES = ("prompts_share", "sum_share")


class EdgeRows:
    """Makes rows of edges, those of one partition at a time."""

    def __init__(self, tables: AtlasTables) -> None:
        self._tables = tables

    def rows(self, partition: int, names: Iterable[str]) -> Rows:
        """Return columns of all pairs into the sites of a partition; kinds as numbers."""
        names = list(names)
        needed = {*names, *(OF_MEANS if {*MEANS} & {*names} else ())}
        pairs = self._moments(partition, [name for name in MOMENTS if name in needed])
        source_X, target_X = pairs["source"], pairs["target"]
        found = {name: self._tables.denominators[name][target_X] for name in _DENOMINATORS if name in needed}
        for side, site_X in (("source", source_X), ("target", target_X)):
            for of in _SIDES:
                name = f"prompts_{side}" if of == "prompts" else f"{side}_{of}"
                if name in needed:
                    found[name] = self._tables.denominators[of][site_X]
        if {"prompts_both", "lift"} & needed:
            found["prompts_both"] = self._cooccurrence.both(source_X, target_X)
        if "lift" in needed:
            prompts_I = self._tables.denominators["prompts"]
            expected_X = prompts_I[source_X] * prompts_I[target_X].astype(np.float64)
            found["lift"] = found["prompts_both"] * float(self._tables.num_prompts) / expected_X
        rows = {**pairs, **found}
        if {*MEANS} & needed:
            rows |= edge_means(rows, self._tables.num_prompts)
        return {name: rows[name] for name in names}

    def _moments(self, partition: int, names: list[str]) -> Rows:
        """Return `source`, `target` and moments of all pairs."""
        if self._tables.is_joined or not {*names} <= {*STORED_MOMENTS}:
            return self._reduced(self._tables.edges(partition), partition, names)
        recurring = self._tables.recurring(partition, ["source", "target", *names])
        once = self._reduced(self._tables.once(partition), partition, names)
        once_keys, recurring_keys = (one["target"].astype(np.int64) << 32 | one["source"] for one in (once, recurring))
        places = np.searchsorted(once_keys, recurring_keys) + np.arange(len(recurring_keys))
        is_once_X = np.ones(len(once_keys) + len(recurring_keys), dtype=bool)
        is_once_X[places] = False
        rows = {}
        for name, values in recurring.items():
            rows[name] = np.empty(len(is_once_X), dtype=values.dtype)
            rows[name][places], rows[name][is_once_X] = values, once[name]
        return rows

    def _reduced(self, edges: Edges, partition: int, names: list[str]) -> Rows:
        """Return `source`, `target` and moments of the pairs of some edges into the sites of a partition."""
        row_sums = None
        if {*_OF_SHARES} & {*names}:
            incidences = self._tables.incidences(partition, ("in_degree", "row_abs_sum"))
            row_sums = _RowSums(incidences, int(self._tables.starts[partition]), edges)
        clusters = self._tables.clusters if "clusters" in names else None
        moments = Moments(edges, row_sums or _no_row_sums, clusters).columns(names)
        return {"source": edges.source_E[edges.first_X], "target": edges.target_E[edges.first_X], **moments}

    @cached_property
    def _cooccurrence(self) -> CoOccurrence:
        def incidences() -> Iterable[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]]:
            for number in range(self._tables.num_partitions):
                own = self._tables.incidences(number, ())
                first, end = self._tables.starts[number : number + 2].tolist()
                yield np.bincount(own.site_X, minlength=end - first), own.prompt_X

        return CoOccurrence(incidences(), self._tables.num_prompts)


class _RowSums:
    """Looks up the sum of `row_abs_sum` over the nodes of an edge's target in the edge's prompt."""

    def __init__(self, incidences: Incidences, first: int, edges: Edges) -> None:
        self._edges, self._first = edges, first
        self._key = incidences.site_X.astype(np.int64) << 32 | incidences.prompt_X
        self._row_sum = incidences.row_sum_X

    def __call__(self, index: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        key = (self._edges.target_E[index] - self._first).astype(np.int64) << 32 | self._edges.prompt_E[index]
        found: npt.NDArray[np.float64] = self._row_sum[np.searchsorted(self._key, key)]
        return found


def _no_row_sums(index: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    raise AssertionError("no column that was asked for needs row sums")
