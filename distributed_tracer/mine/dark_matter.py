"""Dark matter: where the influence ends that the transcoders do not explain, over all prompts.

Every mean is over clusters of the means of their prompts, and every share is a part of all influence that ends
anywhere. The shares of a table add up to those of the table of layers, exactly: they are integers in units of 2^-40.

Axes: I prompt by rank, L layer, X key of a place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..names import unknown
from ..store.read.prompt_table import METADATA
from ..store.read.select import metadata_columns
from ..tasks.phases import Phases
from ..text import counted
from .clusters import UNIT, Clusters, Ints, clusters_of, interval_of_means, metadata_values, value_text
from .columns import Column
from .dark_matter_columns import CLASSES, LAYERS, PARTITIONS, PROMPTS, STRONGEST, means_table
from .error_reading import LAYER, ErrorReading, read_in_phases
from .findings import Findings, FindingTable, phases_of_memory
from .prompts import ChosenPrompts
from .statistics import Floats

_MOST_UNPLACED = 1e-3
"""Influence of nodes is float32; less than this is round-off, not pruning."""
MOST_CLASSES = 20
"""Fields with more different values are no classes unless they are named."""


def dark_matter_findings(
    prompts: ChosenPrompts, cluster: str | None, by: Sequence[str] = (), top: int = 1_000
) -> Findings:
    """Return where the influence through errors ends: by layer, position, token, class and prompt.

    `by` names the metadata fields whose values are classes; without it, all fields with 2 to 20 values are. `top` error
    nodes are listed singly. Memory grows with the different pairs of a cluster and a place. Raises ConfigError for an
    unknown field, for prompts without a cluster, and if the share of no prompt is known.
    """
    with phases_of_memory(prompts) as phases:
        return dark_matter_in_phases(phases, prompts, cluster, by, top)


def dark_matter_in_phases(
    phases: Phases, prompts: ChosenPrompts, cluster: str | None, by: Sequence[str] = (), top: int = 1_000
) -> Findings:
    """Return what `dark_matter_findings` returns; phases of tasks read the graphs."""
    fields = check_fields(prompts, by)
    if top < 1:
        raise ConfigError(f"top must be at least 1, not {top:,}")
    clusters = clusters_of(prompts, cluster)
    read = read_in_phases(phases, prompts, clusters, top)
    if not read.is_known_I.any():
        raise ConfigError(
            f"the share of influence that ends in errors is not known for any of the {len(prompts):,} prompts"
        )
    return _Tables(prompts, clusters, read).findings(fields, named=bool(by))


def check_fields(prompts: ChosenPrompts, by: Sequence[str]) -> list[str]:
    """Return the metadata fields to make classes of. Raises ConfigError for an unknown one."""
    own = metadata_columns(prompts.store.prompts)
    for field in by:
        if field.removeprefix(METADATA) not in own:
            raise ConfigError(unknown("metadata", field, own))
    return [field.removeprefix(METADATA) for field in by] or sorted(own)


class _Tables:
    """The tables that follow from what was read."""

    def __init__(self, prompts: ChosenPrompts, clusters: Clusters, read: ErrorReading) -> None:
        self._prompts, self._clusters = prompts, clusters
        self.is_known_I, self._num_tokens_I = read.is_known_I, read.num_tokens_I
        self._placed_I, self._whole_IL = read.placed_I, read.whole_IL
        self._sums, self._token_of, self._strongest = read.sums, read.token_of, read.strongest

    def findings(self, fields: Sequence[str], named: bool) -> Findings:
        tables = {
            "layers": FindingTable(LAYERS, self._layers()),
            **{name: FindingTable(means_table(*by), self._partition(name, by)) for name, by in PARTITIONS.items()},
            "classes": FindingTable(CLASSES, self._classes(fields, named)),
            "prompts": FindingTable(PROMPTS, self._prompt_rows()),
            "strongest": FindingTable(STRONGEST, self._strongest_rows()),
        }
        whole, placed = int(self._whole_IL.sum()), int(self._placed_I.sum())
        num_known = int(np.count_nonzero(self.is_known_I))
        ends = interval_of_means(self._clusters.means(self._share_I, self.is_known_I))
        facts = {
            "prompts": num_known,
            "prompts_unknown": len(self._prompts) - num_known,
            "clusters": int(np.count_nonzero(self._sizes)),
            "cluster_field": self._clusters.field,
            **dict(zip(("share", "share_low", "share_high"), ends, strict=True)),
            "share_of_errors_placed": placed / whole if whole else float("nan"),
        }
        return Findings(tables, facts, tuple(self._doubts(facts)))

    @cached_property
    def _sizes(self) -> Ints:
        return self._clusters.sizes(self.is_known_I)

    @cached_property
    def _share_I(self) -> Floats:
        share_I: Floats = self._whole_IL.sum(axis=1) * UNIT
        return share_I

    def _layers(self) -> dict[str, Any]:
        placed = self._sums["layers"].means(self._sizes)
        placed_L = np.zeros(self._whole_IL.shape[1])
        placed_L[placed.key_X] = placed.mean_X
        known = np.flatnonzero(self.is_known_I)
        whole = [
            self._clusters.means(share_I, self.is_known_I) for share_I in self._whole_IL.T.astype(np.float64) * UNIT
        ]
        share_L, low_L, high_L = np.array([interval_of_means(means) for means in whole]).reshape(-1, 3).T
        largest_L = known[self._whole_IL[known].argmax(axis=0)]
        return {
            "layer": np.arange(len(share_L)),
            "share": share_L,
            "low": low_L,
            "high": high_L,
            "share_placed": placed_L,
            "share_pruned": share_L - placed_L,
            "largest": self._whole_IL[largest_L, np.arange(len(share_L))] * UNIT,
            "largest_prompt": [self._prompts.ids[rank] for rank in largest_L],
        }

    def _partition(self, name: str, by: Sequence[str]) -> dict[str, Any]:
        """Return the rows of a table of places, the largest share first."""
        found, tokens = self._sums[name].means(self._sizes), list(self._token_of)
        columns: dict[str, Any] = {by[-1]: found.key_X % LAYER}
        if len(by) > 1:
            columns["layer"] = found.key_X // LAYER
        if "token" in columns:
            columns["token"] = np.array([tokens[number] for number in columns["token"].tolist()], dtype=np.str_)
        order = np.lexsort((*(columns[place] for place in reversed(by)), -found.mean_X))
        rows = {
            **columns,
            "share": found.mean_X,
            "low": found.low_X,
            "high": found.high_X,
            "prompts": found.prompts_X,
            "nodes": found.entries_X,
            "share_present": found.mean_present_X,
        }
        return {name: rows[name][order] for name in means_table(*by)}

    def _classes(self, fields: Sequence[str], named: bool) -> dict[str, Any]:
        rows = []
        for field in fields:
            values = [None if value is None else value_text(value) for value in metadata_values(self._prompts, field)]
            distinct = sorted({value for value in values if value is not None})
            if not named and not 2 <= len(distinct) <= MOST_CLASSES:
                continue
            for value in distinct:
                own_I = self.is_known_I & np.array([other == value for other in values], dtype=bool)
                means = self._clusters.means(self._share_I, own_I)
                row = (field, value, np.count_nonzero(own_I), len(means), *interval_of_means(means))
                rows.append(row)
        return _as_columns(CLASSES, rows)

    def _prompt_rows(self) -> dict[str, Any]:
        known = np.flatnonzero(self.is_known_I)
        order = known[np.argsort(-self._whole_IL[known].sum(axis=1), kind="stable")]
        layer = self._whole_IL[order].argmax(axis=1)
        return {
            "prompt": [self._prompts.ids[rank] for rank in order],
            "cluster": [self._clusters.names[number] for number in self._clusters.number_I[order]],
            "tokens": self._num_tokens_I[order],
            "share": self._share_I[order],
            "share_placed": self._placed_I[order] * UNIT,
            "layer": layer,
            "share_layer": self._whole_IL[order, layer] * UNIT,
        }

    def _strongest_rows(self) -> dict[str, Any]:
        rows = [
            (self._prompts.ids[rank], layer, position, from_end, token, -share * UNIT)
            for share, rank, layer, position, from_end, token in self._strongest
        ]
        return _as_columns(STRONGEST, rows)

    def _doubts(self, facts: Mapping[str, Any]) -> Iterator[str]:
        yield from self._clusters.doubts()
        if unknown_prompts := facts["prompts_unknown"]:
            yield (
                f"{counted(unknown_prompts, 'prompt')} are left out: their influence or the weights of their targets "
                "are not known, as in imported graphs, or do not agree with their scores"
            )
        if facts["share_of_errors_placed"] < 1 - _MOST_UNPLACED:
            yield (
                f"pruning has removed errors with {1 - facts['share_of_errors_placed']:.0%} of the influence that ends "
                "in errors: layers, classes and prompts are complete, positions and tokens are of the errors that are "
                "left; trace with --keep-all to see all"
            )


def _as_columns(columns: Mapping[str, Column], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    return {name: [row[place] for row in rows] for place, name in enumerate(columns)}
