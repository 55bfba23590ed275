"""Endpoints of one graph: arrays that a page draws, and what surrounds the graph in the store.

Axes: N node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from ...export.page import drawn_values
from ...graph.context import GraphContext
from ...graph.edge_strength import has_influence
from ...graph.labels import Labels
from ...graph.nodes import NodeKind
from ...store.reader import Store
from ..encode import arrays_bytes
from ..endpoint import Encoded, Endpoint, Param
from ..feature_density import are_known, densities
from ..served_store import ServedStore

PROMPT = Param("prompt", "Id of the prompt.", required=True)


def graph_arrays(served: ServedStore, query: Mapping[str, Any]) -> Encoded:
    """Return the nodes, the strongest edges and the texts of a graph; `drawn_values` says what each array has.

    There is one more array, `density`: the share of the store's prompts in which a node's feature is a node, NaN where
    that is not known or where the node is no feature. The reply is kept in memory until the graph's commit, the
    densities, or what is said about the graph change.
    """
    prompt, settings, store = query["prompt"], served.settings, served.refresh()
    context = store.context(prompt)
    most_edges = settings.most_edges if query["edges"] is None else min(query["edges"], settings.most_edges)
    number = store.catalogue.number_of[prompt]
    commit, row = store.catalogue.place(number)
    limits = (settings.most_nodes, most_edges)
    said = (_state_of_labels(served, context.labels), context.groups, context.pins)
    etag = etag_of(store.catalogue.commits[commit].name, row, len(store.catalogue.commits), limits, said)

    def make() -> bytes:
        return _graph_bytes(served, store, prompt, context, limits, store.catalogue.content_hashes[number])

    return Encoded(served.cache.get(("graph", etag), make), etag)


def _graph_bytes(
    served: ServedStore, store: Store, prompt: str, context: GraphContext, limits: tuple[int, int], asked_hash: str
) -> bytes:
    graph = store.graph(prompt)
    values, arrays = drawn_values(graph, context, *limits)
    density_N = densities(served, store, arrays["layer"], arrays["feature"])
    arrays["density"] = np.where(arrays["kind"] == NodeKind.FEATURE, density_N, np.nan).astype("<f4")
    values |= {
        "num_nodes": len(graph.nodes),
        "num_edges": graph.num_edges,
        "scores": asdict(graph.scores),
        "metadata": dict(graph.metadata),
        "asked": asked_hash,
        "notes": [*values["notes"], *_notes(store, has_influence(graph))],
    }
    return arrays_bytes(values, arrays)


def _notes(store: Store, is_influence_known: bool) -> list[str]:
    """Return lines about unknown values of a graph."""
    lines = []
    if not is_influence_known:
        lines.append("the influence of nodes is not known, so all nodes and edges count by their effects alone")
    if not are_known(store):
        lines.append("densities of features are not known: `distributed-tracer compact` makes the index that has them")
    return lines


def asked(served: ServedStore, prompt: str) -> str:
    """Return the hash of what a prompt asks, by which annotations know it. Raises PromptNotFound."""
    store = served.store
    store.entry(prompt)  # raises PromptNotFound, which names ids that are close
    return store.catalogue.content_hashes[store.catalogue.number_of[prompt]]


def etag_of(*parts: object) -> str:
    """Return a short name of what a reply is made of."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:20]


def _state_of_labels(served: ServedStore, labels: Labels) -> str:
    """Return a short name of all labels, which is computed once for each reading of them."""
    kept = served.shared.get("state of labels")
    if kept is None or kept[0] is not labels:
        kept = (labels, etag_of(*labels))
        served.shared["state of labels"] = kept
    state: str = kept[1]
    return state


ENDPOINTS = (
    Endpoint(
        "/graph",
        "Nodes, strongest edges and texts of one graph, in binary form.",
        graph_arrays,
        (PROMPT, Param("edges", "Largest number of edges; default: the server's limit.", "integer", least=0)),
        returns="application/octet-stream",
        slow=True,
        tags=("graphs",),
    ),
)
