"""mine_vectors: one row of numbers for each prompt's graph, beside numbers that need no graph, and what they predict.

Axes: I prompt by rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..store.reader import Store
from ..tasks.phases import Execute, Phases, perform_here
from ..text import counted, format_bytes
from .clusters import Clusters, clusters_of
from .community_vectors import CommunityColumns, with_communities
from .findings import Findings, FindingTable, mine_in_phases
from .predict import check_predicted, predicted_values
from .prompts import ChosenPrompts, choose_prompts
from .result import Result
from .ridge import folds_of
from .vector_columns import PREDICTIONS, vector_columns
from .vector_tasks import NUMBER_BYTES, predict_in_phases, read_in_phases

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
    run: Execute = perform_here,
    communities: CommunityColumns | None = None,
) -> Result:
    """Write one vector for each prompt into the folder `out`, and return the result.

    `predict` names metadata fields, which a classifier is to predict from the vectors; docs/vectors.md says how.
    `communities` adds columns of communities, which predict nothing. `memory_gb` bounds the memory for reading, in 10^9
    bytes; the vectors are kept beside it. `run` does the work, as for `mine_atlas`; what a killed run has finished is
    not done again. Raises ConfigError for arguments that do not fit, StoreError if the store cannot be read,
    ResultError if the disk is full, and WorkerLost.
    """
    prompts, clusters = _chosen(store, where, cluster, predict, shuffles, memory_gb)
    options: dict[str, Any] = {"where": [where] if isinstance(where, str) else list(where), "cluster": cluster}
    options |= {"predict": list(predict), "shuffles": shuffles if predict else None, "seed": seed}
    options |= communities.options if communities else {}

    most_rows = int(memory_gb * 1e9) // _ROW_BYTES

    def find(phases: Phases) -> Findings:
        found = vector_findings(phases, prompts, clusters, predict, shuffles, seed)
        return with_communities(found, communities, prompts, most_rows) if communities else found

    given = {"most_rows": most_rows}
    temporary = NUMBER_BYTES * len(vector_columns(max(1, store.num_layers))) * len(prompts)
    return mine_in_phases(out, "vectors", prompts, options, find, run, temporary, given)


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
    phases: Phases, prompts: ChosenPrompts, clusters: Clusters, predict: Sequence[str], shuffles: int, seed: int
) -> Findings:
    """Return the vectors, and what they predict. The tasks are given `most_rows`."""
    values, folders = read_in_phases(phases, prompts)
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
        asked = [one for field in predict for one in predicted_values(prompts, field)]
        of_prompts: dict[str, npt.NDArray[Any]] = {"cluster": clusters.number_I, "fold": fold_I}
        found = predict_in_phases(phases, folders, asked, of_prompts, shuffles, seed)
        rows = [{**one.about(clusters), **row} for one, own in zip(asked, found, strict=True) for row in own]
        tables["predictions"] = FindingTable(PREDICTIONS, {name: [row[name] for row in rows] for name in PREDICTIONS})
        doubts += [text for one in asked for text in one.doubts()]
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
