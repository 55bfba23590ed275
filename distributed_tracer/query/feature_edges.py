"""Feature edges: all edges into or out of one feature, over all prompts.

Axes: E edge, X node that is the feature.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from ..store.format.schema import Columns
from ..store.reader import Store
from ..table import Table

_END = ("nodes/kind", "nodes/layer", "nodes/position", "nodes/feature")
_NAMES = (*_END, "nodes/in_degree", "edges/source", "edges/weight")
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
    found = {}
    for prompt, columns in _bodies(store, list(nodes_of)):
        found[prompt] = _of_prompt(columns, np.array(nodes_of[prompt]), other)
    rows = [found[prompt] for prompt in sorted(found)]
    ids = [prompt for prompt in sorted(found) for _ in range(len(found[prompt][0]))]
    values = [np.concatenate(column) for column in zip(*rows, strict=True)] if rows else [np.zeros(0, np.int32)] * 6
    names = ("position", "kind", "layer", f"{other}_position", other, "weight")
    kinds = [NodeKind(kind).name.lower() for kind in values[1].tolist()]
    return Table({"prompt": ids, **dict(zip(names, values, strict=True)), "kind": kinds})


def _bodies(store: Store, prompts: list[str]) -> Iterator[tuple[str, Columns]]:
    """Yield nodes and edges of prompts: many of a part are read at once, few are read one by one in several threads."""
    rows_of: dict[int, dict[int, str]] = defaultdict(dict)
    for prompt in prompts:
        commit, row = store.catalogue.place(store.catalogue.number_of[prompt])
        rows_of[commit][row] = prompt
    few: list[tuple[int, int]] = []
    for commit, rows in rows_of.items():
        if len(rows) * _FEW < len(store.catalogue.numbers(commit)):
            few += [(commit, row) for row in rows]
            continue
        for row, columns in store.part(commit).bodies(rows, _NAMES):
            yield rows[row], columns
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        read = pool.map(lambda place: store.part(place[0]).body(place[1], _NAMES), few)
        for (commit, row), columns in zip(few, read, strict=True):
            yield rows_of[commit][row], columns


def _of_prompt(
    columns: Columns, node_X: npt.NDArray[np.int64], other: Literal["source", "target"]
) -> tuple[npt.NDArray[np.generic], ...]:
    """Return, per edge, the feature's position; kind, layer, position and feature of the other end; and the weight."""
    in_degree = columns["nodes/in_degree"]
    source_E, target_E = columns["edges/source"], np.repeat(np.arange(len(in_degree)), in_degree)
    own_E, other_E = (target_E, source_E) if other == "source" else (source_E, target_E)
    chosen = np.flatnonzero(np.isin(own_E, node_X))
    chosen = chosen[np.argsort(own_E[chosen], kind="stable")]
    ends = (columns[name][other_E[chosen]] for name in _END)
    return (columns["nodes/position"][own_E[chosen]], *ends, columns["edges/weight"][chosen])
