"""The graphs behind an edge of a result: prompts of the store that have it, with the nodes where it is strongest.

Axes: N node, E edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..graph.columns import KINDS
from ..graph.context import NodeKey
from ..graph.graph import Graph
from ..graph.nodes import NodeKind
from ..mine.atlas_instances import Site
from ..mine.atlas_result import Atlas
from ..mine.result import Result
from ..store.reader import Store
from .node_names import key_text

MOST_GRAPHS = 20
"""Number of graphs that are read for one edge."""


def witnesses(result: Result, others: Sequence[Result], store: Store, source: Site, target: Site) -> dict[str, Any]:
    """Return prompts whose graph has an edge between two sites, the strongest first, and how they were chosen.

    An atlas among the results knows in which prompts the edge is strongest; without one, the prompts are those in which
    the feature at one of its ends matters most. Raises ConfigError if neither is possible.
    """
    atlas = next((one for one in (result, *others) if isinstance(one, Atlas)), None)
    if atlas is not None:
        found = atlas.prompts_of_edge(source, target)
        ids = [one for one in found["prompt"].tolist() if one in store]
        by, total = "the strongest in the atlas", len(found)
    else:
        ids, total = _by_feature(store, source, target)
        by = "those in which the feature at one end has most influence"
    rows = [row for prompt in ids[:MOST_GRAPHS] if (row := strongest_edge(store.graph(prompt), source, target))]
    rows.sort(key=lambda row: -abs(row["weight"]) if row["weight"] == row["weight"] else 0.0)
    return {"prompts": rows, "num_prompts": total, "num_read": min(len(ids), MOST_GRAPHS), "chosen_by": by}


def strongest_edge(graph: Graph, source: Site, target: Site) -> dict[str, Any] | None:
    """Return the strongest edge of a graph between two sites, with the keys of its nodes; None if it has none."""
    ends = [_is_at(graph, site) for site in (source, target)]
    target_E = graph.target_E()
    chosen_E = np.flatnonzero(ends[0][graph.source_E] & ends[1][target_E])
    if not len(chosen_E):
        return None
    weight_E = graph.weight_E[chosen_E]
    best = int(chosen_E[np.argmax(np.nan_to_num(np.abs(weight_E), nan=-1.0))])
    row_sum = float(graph.row_abs_sum_N[target_E[best]])
    weight = float(graph.weight_E[best])
    return {
        "prompt": graph.prompt_id,
        "weight": weight,
        "share": weight / row_sum if row_sum > 0 else None,
        "edges": len(chosen_E),
        "source": _key(graph, int(graph.source_E[best])),
        "target": _key(graph, int(target_E[best])),
    }


def _by_feature(store: Store, source: Site, target: Site) -> tuple[list[str], int]:
    """Return prompts that have the features at the ends of an edge, the most influential first, and their number."""
    features = [site for site in (target, source) if site.kind == "feature"]
    if not features:
        raise ConfigError("prompts of an edge without a feature are known only with an atlas: --mined ATLAS as well")
    tables = [store.occurrences(site.layer, site.feature) for site in features]
    influence: dict[str, float] = {}
    for prompt, value in zip(tables[0]["prompt"].tolist(), tables[0]["influence"].tolist(), strict=True):
        influence[prompt] = max(influence.get(prompt, 0.0), value if value == value else 0.0)
    for other in tables[1:]:
        influence = {prompt: influence[prompt] for prompt in set(other["prompt"].tolist()) & influence.keys()}
    return sorted(influence, key=lambda prompt: (-influence[prompt], prompt)), len(influence)


def _is_at(graph: Graph, site: Site) -> Any:
    """Return a mask of the nodes at a site: targets are known by their token there, by their number in the graph."""
    nodes, kind = graph.nodes, KINDS.index(site.kind)
    feature_N = nodes.feature_N.astype(np.int64)
    is_kind_N = nodes.kind_N == kind
    if kind == NodeKind.TARGET:
        tokens = np.array([one.token_id for one in graph.targets], dtype=np.int64)
        feature_N = np.where(is_kind_N, tokens[np.where(is_kind_N, feature_N, 0)], -2) if len(tokens) else feature_N
    return is_kind_N & (nodes.layer_N == site.layer) & (feature_N == site.feature)


def _key(graph: Graph, node: int) -> str:
    nodes = graph.nodes
    numbers = (int(values[node]) for values in (nodes.layer_N, nodes.position_N, nodes.feature_N))
    return key_text(NodeKey(KINDS[nodes.kind_N[node]], *numbers))
