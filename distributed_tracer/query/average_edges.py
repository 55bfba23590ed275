"""The average graph of a group of prompts: its strongest edges, with every number that a mean may be taken over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph.columns import KINDS, NODE_COLUMNS, SIDES
from ..graph.graph import Graph
from ..store.reader import Store, prompt_list
from ..table import Table
from .strongest_edges import strongest_edges, sums_of_pairs
from .sum_by_key import as_keys

_KEY = ("kind", "layer", "feature")
_PROMPTS_AT_ONCE = 256


def average_edges(
    store: Store,
    prompt_ids: str | Iterable[str] | None = None,
    top: int = 50,
    min_prompts: int = 2,
    num_buckets: int = 1 << 22,
    buckets_per_pass: int = 1 << 18,
) -> Table:
    """Return the strongest edges of the average graph of some prompts, or of all; edges of all kinds of nodes.

    Nodes of different prompts are the same if kind, layer and feature are equal: positions do not count, because
    prompts differ in length, and an edge's weight in one prompt is the sum over the positions of both ends. `feature`
    is the index of a feature, -1 for errors, a token's id, and the number of a target: target 0 is each prompt's first,
    whatever its label. Columns: the kind, layer and feature of source and target; prompts (that have the edge);
    prompts_both (that have both nodes); and three means of the weight, in which a missing edge counts 0: mean_weight
    over `prompts`, mean_weight_both over `prompts_both`, mean_weight_all over all prompts. Rows are
    ordered by the sum of |weight|. `num_buckets` and `buckets_per_pass` are those of `recurring_edges`. Raises
    PromptNotFound.
    """
    ids = list(store) if prompt_ids is None else list(dict.fromkeys(prompt_list(prompt_ids)))
    keys, sums = strongest_edges(lambda: store.graphs(ids), _edges_of, top, min_prompts, num_buckets, buckets_per_pass)
    keys = keys.reshape(-1, 2 * len(_KEY))
    prompts, weight = sums[:, 0], sums[:, 1]
    with_both = _prompts_with_both(store, ids, keys)
    return Table(
        {
            **{f"{side}_{name}": _column(name, keys[:, i]) for i, (side, name) in enumerate(_names())},
            "mean_weight": weight / prompts,
            "prompts": prompts.astype(np.int64),
            "mean_weight_both": weight / with_both,
            "prompts_both": with_both,
            "mean_weight_all": weight / max(len(ids), 1),
        }
    )


def _names() -> list[tuple[str, str]]:
    return [(side, name) for side in SIDES for name in _KEY]


def _column(name: str, values: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    if name == "kind":
        return np.array([KINDS[kind] for kind in values], dtype=object)
    return values.astype(NODE_COLUMNS[name])


def _edges_of(graph: Graph) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return one graph's edges, as rows (kind, layer, feature) of both ends, and their summed weights."""
    nodes = graph.nodes
    key_N = as_keys(nodes.kind_N, nodes.layer_N, nodes.feature_N)
    return sums_of_pairs(key_N, graph.source_E, graph.target_E(), graph.weight_E)


def _prompts_with_both(store: Store, ids: list[str], keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return, for each edge, the number of prompts that have both of its nodes. Reads the node tables."""
    ends, place = np.unique(keys.reshape(-1, len(_KEY)), axis=0, return_inverse=True)
    source, target = place.reshape(-1, 2).T
    number_of = {tuple(end): number for number, end in enumerate(ends.tolist())}
    row_of = {prompt: row for row, prompt in enumerate(ids)}
    counts = np.zeros(len(keys), np.int64)
    for table in store.nodes(ids, ["prompt", *_KEY]) if len(keys) else ():  # each prompt is in one of the tables
        codes = np.fromiter((KINDS.index(kind) for kind in table["kind"]), np.int64, len(table))
        nodes = as_keys(codes, table["layer"], table["feature"])
        wanted, found = np.unique(nodes, axis=0, return_inverse=True)
        end_of = np.array([number_of.get(tuple(node), -1) for node in wanted.tolist()])[found.reshape(-1)]
        row = np.fromiter((row_of[prompt] for prompt in table["prompt"]), np.int64, len(table))
        row, end_of = row[end_of >= 0], end_of[end_of >= 0]
        for block in range(0, len(ids), _PROMPTS_AT_ONCE):
            here = (row >= block) & (row < block + _PROMPTS_AT_ONCE)
            has = np.zeros((_PROMPTS_AT_ONCE, len(ends)), dtype=bool)
            has[row[here] - block, end_of[here]] = True
            counts += (has[:, source] & has[:, target]).sum(axis=0)
    return counts
