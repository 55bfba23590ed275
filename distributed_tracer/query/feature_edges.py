"""Feature edges: all edges into or out of one feature, over all prompts.

Axes: E edge, N node, X node that is the feature.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import StoreCorrupt
from ..graph.columns import KINDS
from ..store.read.part_range import PartRange, part_ranges
from ..store.read.prefetch import prefetch
from ..store.read.range_edges import edges_into_nodes, range_edges
from ..store.reader import Store
from ..table import Table

_END = ("kind", "layer", "position", "feature")
_READS_AT_ONCE = 16
_FEW = 15
"""If fewer than one in this many prompts of a part are wanted, they are read one by one. A chunk of edges holds about
ten pruned graphs, and each prompt that is read by itself decodes its chunks again. For 600 of 10,000 prompts, both ways
took equally long.
"""


def edges_into(store: Store, layer: int, feature: int, prompt_ids: Collection[str] | None = None) -> Table:
    """Return the edges into a feature: prompt, position, kind, layer, source_position, source, weight.

    `position` is that of the feature. `kind` is feature, error or token; `source` is a feature's index, -1, or a
    token's number in the vocabulary, respectively. Rows are ordered by prompt and position, then as edges are stored.
    Reads the graphs of the prompts that have the feature, or of those of them that are in `prompt_ids`.
    """
    return _edges(store, layer, feature, "source", prompt_ids)


def edges_out_of(store: Store, layer: int, feature: int, prompt_ids: Collection[str] | None = None) -> Table:
    """Return the edges out of a feature: prompt, position, kind, layer, target_position, target, weight.

    `position` is that of the feature. `kind` is feature or target, and `target` is the index of that feature or target.
    Order and reading are as in `edges_into`.
    """
    return _edges(store, layer, feature, "target", prompt_ids)


def _edges(
    store: Store, layer: int, feature: int, other: Literal["source", "target"], prompt_ids: Collection[str] | None
) -> Table:
    hits = store.occurrences(layer, feature)
    nodes_of: dict[str, list[int]] = defaultdict(list)
    for prompt, node in zip(hits["prompt"].tolist(), hits["node"].tolist(), strict=True):
        if prompt_ids is None or prompt in prompt_ids:
            nodes_of[prompt].append(node)
    ids = sorted(nodes_of)
    rank_of = {prompt: rank for rank, prompt in enumerate(ids)}
    ranks, found = list[npt.NDArray[np.int64]](), list[tuple[npt.NDArray[np.generic], ...]]()
    for part_range, place_E, columns in _edges_of_ranges(store, nodes_of, other):
        ranks.append(np.array([rank_of.get(entry.id, -1) for entry in part_range.entries], dtype=np.int64)[place_E])
        found.append(columns)
    rank_E = np.concatenate([np.empty(0, dtype=np.int64), *ranks])
    order = np.argsort(rank_E, kind="stable")
    values = [np.concatenate(column)[order] for column in zip(*found, strict=True)] or [np.zeros(0, np.int32)] * 6
    names = ("position", "kind", "layer", f"{other}_position", other, "weight")
    columns_of = dict(zip(names, values, strict=True))
    kinds = [KINDS[kind] for kind in values[1].tolist()]
    return Table({"prompt": [ids[rank] for rank in rank_E[order].tolist()], **columns_of, "kind": kinds})


_Found = tuple[PartRange, npt.NDArray[np.int32], tuple[npt.NDArray[np.generic], ...]]
"""Edges of a range: the place of each one's prompt in the range, and the columns of the answer."""


def _edges_of_ranges(
    store: Store, nodes_of: Mapping[str, Sequence[int]], other: Literal["source", "target"]
) -> Iterator[_Found]:
    """Yield the edges in ranges of prompts: where many prompts of a part are wanted, a range has all prompts between
    the first and the last of them; few are read one by one, in several threads."""
    rows_of: dict[int, dict[int, Sequence[int]]] = defaultdict(dict)
    for prompt, nodes in nodes_of.items():
        commit, row = store.catalogue.place(store.catalogue.number_of[prompt])
        rows_of[commit][row] = nodes
    many, few = list[Callable[[], _Found]](), list[Callable[[], _Found]]()
    for commit, rows in rows_of.items():
        part = store.part(commit)
        if len(rows) * _FEW < len(store.catalogue.numbers(commit)):
            few += [partial(_of_range, PartRange(part, [row]), rows, other) for row in rows]
            continue
        between = list(range(min(rows), max(rows) + 1))
        for part_range in part_ranges([(part, between)], "num_nodes", "num_edges"):
            if not rows.keys().isdisjoint(part_range.numbers):
                many.append(partial(_of_range, part_range, rows, other))
    yield from prefetch(many)
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        yield from pool.map(lambda job: job(), few)


def _of_range(
    part_range: PartRange, nodes_of: Mapping[int, Sequence[int]], other: Literal["source", "target"]
) -> _Found:
    """Return the edges of the nodes that are wanted, by the row of their prompt in the part. The columns are the
    feature's position; kind, layer, position and feature of the other end; and the weight. Raises StoreCorrupt."""
    first, places = part_range.first_node.tolist(), range(len(part_range.numbers))
    wanted = {i: nodes_of[part_range.numbers[i]] for i in places if part_range.numbers[i] in nodes_of}
    node_X = np.sort(np.array([first[i] + node for i, nodes in wanted.items() for node in nodes], dtype=np.intp))
    nodes = part_range.part.nodes((*_END, "in_degree"), part_range.rows("num_nodes"))
    if len(node_X) and node_X[-1] >= len(nodes["kind"]):
        raise StoreCorrupt(f"{part_range.part.objects.where}: an index names nodes that are not there")
    if other == "source":
        other_E, own_E, weight_E = edges_into_nodes(part_range, nodes["in_degree"], node_X)
    else:
        source_E, target_E, weight_E = range_edges(part_range, nodes["in_degree"])
        is_own_N = np.zeros(len(nodes["kind"]), dtype=bool)
        is_own_N[node_X] = True
        chosen = np.flatnonzero(is_own_N[source_E])
        chosen = chosen[np.argsort(source_E[chosen], kind="stable")]
        own_E, other_E, weight_E = source_E[chosen], target_E[chosen], weight_E[chosen]
    ends = (nodes[name][other_E] for name in _END)
    return part_range, part_range.prompt_N[own_E], (nodes["position"][own_E], *ends, weight_E)
