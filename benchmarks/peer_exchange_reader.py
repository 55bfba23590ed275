"""The peer's side of peer_exchange.py, which starts it: circuit-tracer reads the files of a folder.

It runs in the peer's environment and imports nothing of ours. Per file it prints a line of JSON with what was equal.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

CLOSE = 1e-4  # of an influence, which the peer sums up in float32


def main(peer: str, folder: str) -> None:
    sys.path.insert(0, peer)
    graphs, files = import_module("circuit_tracer.graph"), import_module("circuit_tracer.utils.create_graph_files")
    for job in json.loads((Path(folder) / "jobs.json").read_text()):
        with contextlib.redirect_stdout(io.StringIO()):
            result = check(job, Path(folder), graphs, files)
        print(json.dumps(result), flush=True)


def check(job: dict[str, Any], folder: Path, graphs: Any, files: Any) -> dict[str, Any]:
    """Return what was the same for one graph."""
    name, ours = job["case"], np.load(folder / f"{job['case']}.npz")
    graph = graphs.Graph.from_pt(str(folder / f"{name}.pt"))
    result = {key: job[key] for key in ("case", "nodes", "edges")}
    result["matrix"] = same_bits(graph.adjacency_matrix.numpy(), ours["matrix"]) and same_bits(
        graph.logit_probabilities.numpy(), ours["targets"]
    )
    thresholds = job.get("thresholds")
    pruned = graphs.prune_graph(graph, *(thresholds or (0.8, 0.98)))
    kept = np.flatnonzero(pruned.node_mask.numpy())
    if thresholds:
        edges = np.argwhere(pruned.edge_mask.numpy())
        among = np.isin(edges, kept).all(1) & (graph.adjacency_matrix.numpy()[tuple(edges.T)] != 0)
        result["pruned"] = kept.tolist() == sorted(ours["kept"].tolist()) and as_set(edges[among]) == as_set(
            ours["edges"]
        )
        result["recorded"] = kept.tolist() == job["recorded"]
    else:
        result["pruned"] = bool(np.isin(kept, ours["kept"]).all())
    files.create_graph_files(
        str(folder / f"{name}.pt"), name, str(folder / "theirs"), None, *(thresholds or (0.8, 0.98))
    )
    theirs = json.loads((folder / "theirs" / f"{name}.json").read_text())
    mine = json.loads((folder / f"{name}.json").read_text())
    result["JSON"], result["influence"] = same_json(theirs, mine, thresholds[0] if thresholds else None)
    return result


def same_json(theirs: dict[str, Any], mine: dict[str, Any], threshold: float | None) -> tuple[bool, str]:
    """Return whether both have the same nodes and edges, and the largest difference of influence.

    Without a threshold, theirs may have fewer nodes and edges. Nodes are compared by their fields, since ids of theirs
    are not unique: edges of nodes that share an id are not compared. Influence is compared up to the threshold: ours
    does not exceed it for the last node kept, and does not count the nodes that were pruned.
    """
    nodes_theirs, nodes_mine = by_field(theirs), by_field(mine)
    shared = shared_ids(theirs)
    edges_theirs, edges_mine = edges_of(theirs, shared), edges_of(mine, shared)
    tokens = theirs["metadata"]["prompt"] == mine["metadata"]["prompt"]
    if threshold is not None:
        same = nodes_theirs.keys() == nodes_mine.keys() and edges_theirs.keys() == edges_mine.keys()
    else:
        same = nodes_theirs.keys() <= nodes_mine.keys() and edges_theirs.keys() <= edges_mine.keys()
    same = same and tokens and all(np.float32(edges_mine[key]) == np.float32(edges_theirs[key]) for key in edges_theirs)
    labels = [
        nodes_mine[key]["clerp"] == node["clerp"].replace("“", '"')
        for key, node in nodes_theirs.items()
        if node["feature_type"] == "logit" and node["clerp"].count('"') == 2 and key in nodes_mine
    ]
    off = [
        abs(min(node["influence"], threshold) - min(nodes_mine[key]["influence"], threshold))
        for key, node in nodes_theirs.items()
        if key in nodes_mine and node["influence"] is not None and threshold is not None
    ]
    largest = max(off, default=0.0)
    return bool(same and all(labels) and largest < CLOSE), f"{largest:.1e}" if threshold is not None else ""


def by_field(document: dict[str, Any]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the nodes by what they are."""
    return {key(node): node for node in document["nodes"]}


def key(node: dict[str, Any]) -> tuple[Any, ...]:
    number = node["feature"] if node["feature_type"] in ("cross layer transcoder", "logit") else None
    virtual = number is not None and node["feature_type"] == "logit" and "(p=" in node["clerp"]
    name = node["clerp"].partition("(p=")[0] if virtual else number
    return (node["feature_type"], node["layer"], node["ctx_idx"], name)


def shared_ids(document: dict[str, Any]) -> set[tuple[Any, ...]]:
    """Return the nodes whose id another node has too."""
    count = Counter(node["node_id"] for node in document["nodes"])
    return {key(node) for node in document["nodes"] if count[node["node_id"]] > 1}


def edges_of(document: dict[str, Any], without: set[tuple[Any, ...]]) -> dict[tuple[Any, ...], float]:
    """Return the weights of the edges by what their nodes are, without those of some nodes."""
    found = {node["node_id"]: key(node) for node in document["nodes"]}
    links = ((found[link["source"]], found[link["target"]], link["weight"]) for link in document["links"])
    return {(source, target): weight for source, target, weight in links if weight and not {source, target} & without}


def as_set(edges: np.ndarray) -> set[tuple[int, int]]:
    return {(int(target), int(source)) for target, source in edges}


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


if __name__ == "__main__":
    main(*sys.argv[1:])
