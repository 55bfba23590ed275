"""mine_vectors: one row of numbers for each prompt's graph, beside numbers that need no graph, and what they predict.

Axes: I prompt by rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..store.reader import Store
from ..text import counted, format_bytes
from .clusters import Clusters, clusters_of
from .community_vectors import CommunityColumns, with_communities
from .findings import Findings, FindingTable, mine_findings
from .predict import check_predicted, predictions
from .prompts import ChosenPrompts, choose_prompts
from .result import Result
from .ridge import folds_of
from .vector_columns import PREDICTIONS, vector_columns
from .vector_values import read_vectors

_ROW_BYTES = 400
"""Bytes that a node or an edge takes while a part range is read."""
_LEAST_MEMORY_GB = 0.05


def mine_vectors(
    store: Store,
    out: str | Path,
    *,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    predict: Sequence[str] = (),
    shuffles: int = 199,
    seed: int = 0,
    memory_gb: float = 2.0,
    communities: CommunityColumns | None = None,
) -> Result:
    """Write one vector for each prompt into the folder `out`, and return the result.

    `predict` names metadata fields, which a classifier is to predict from the vectors; docs/vectors.md says how.
    `communities` adds columns of communities, which predict nothing.
    `memory_gb` bounds the memory for reading, in 10^9 bytes; the vectors are kept beside it. Raises ConfigError for
    arguments that do not fit, StoreError if the store cannot be read.
    """
    prompts, clusters = _chosen(store, where, cluster, predict, shuffles, memory_gb)
    options: dict[str, Any] = {"where": [where] if isinstance(where, str) else list(where), "cluster": cluster}
    options |= {"predict": list(predict), "shuffles": shuffles if predict else None, "seed": seed}
    options |= communities.options if communities else {}

    def find() -> Findings:
        most_rows = int(memory_gb * 1e9) // _ROW_BYTES
        found = vector_findings(prompts, clusters, predict, shuffles, seed, most_rows)
        return with_communities(found, communities, prompts, most_rows) if communities else found

    return mine_findings(out, "vectors", prompts, options, find)


def describe_vectors(
    store: Store,
    *,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    predict: Sequence[str] = (),
    shuffles: int = 199,
    memory_gb: float = 2.0,
    communities: CommunityColumns | None = None,
) -> str:
    """Return what `mine_vectors` would take, and refuse what it would refuse. Reads no graphs."""
    prompts, _ = _chosen(store, where, cluster, predict, shuffles, memory_gb)
    nodes, edges = counted(prompts.num_nodes, "node"), counted(prompts.num_edges, "edge")
    num_columns = len(vector_columns(max(1, store.num_layers))) + (len(communities.columns) if communities else 0)
    memory = format_bytes(8 * num_columns * len(prompts))
    return (
        f"{nodes} and {edges} of {counted(len(prompts), 'prompt')} to read\n"
        f"{counted(num_columns, 'column')}, which take {memory} of memory beside what is read at once"
    )


def _chosen(
    store: Store,
    where: str | Sequence[str],
    cluster: str | None,
    predict: Sequence[str],
    shuffles: int,
    memory_gb: float,
) -> tuple[ChosenPrompts, Clusters]:
    if not memory_gb >= _LEAST_MEMORY_GB:
        raise ConfigError(f"the memory must be at least {_LEAST_MEMORY_GB} GB, not {memory_gb}")
    prompts = choose_prompts(store, where, cluster)
    clusters = clusters_of(prompts, cluster)
    for field in predict:
        check_predicted(prompts, field, clusters, shuffles)
    return prompts, clusters


def vector_findings(
    prompts: ChosenPrompts, clusters: Clusters, predict: Sequence[str], shuffles: int, seed: int, most_rows: int
) -> Findings:
    """Return the vectors, and what they predict."""
    values = read_vectors(prompts, most_rows)
    doubts = clusters.doubts()
    try:
        fold_I = folds_of(clusters, seed)
    except ConfigError:
        fold_I = np.full(len(prompts), -1)
        doubts.append("there are too few clusters for folds: nothing can be predicted")
    names = [clusters.names[number] for number in clusters.number_I.tolist()]
    about = {"prompt": list(prompts.ids), "cluster": names, "fold": fold_I}
    num_layers = sum(name.startswith("graph_error_share_layer_") for name in values)
    tables = {"vectors": FindingTable(vector_columns(num_layers), about | values)}
    if predict:
        found = [predictions(prompts, field, values, clusters, fold_I, shuffles, seed) for field in predict]
        rows = [row for of_field, _ in found for row in of_field]
        tables["predictions"] = FindingTable(PREDICTIONS, {name: [row[name] for row in rows] for name in PREDICTIONS})
        doubts += [text for _, texts in found for text in texts]
    num_unknown = {name: int(np.isnan(column).sum()) for name, column in values.items()}
    facts = {
        "prompts": len(prompts),
        "clusters": len(clusters),
        "cluster_field": clusters.field,
        "folds": int(fold_I.max()) + 1,
        "columns_of_prompts": sum(name.startswith("prompt_") for name in values),
        "columns_of_graphs": sum(name.startswith("graph_") for name in values),
        "unknown": {name: number for name, number in num_unknown.items() if number},
    }
    return Findings(tables, facts, tuple(doubts))
