"""Endpoint of one graph, as arrays that a page draws."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ...export.page import drawn_values
from ..endpoint import Arrays, Endpoint, Param
from ..served_store import ServedStore

PROMPT = Param("prompt", "Id of the prompt.", required=True)


def graph_arrays(served: ServedStore, query: Mapping[str, Any]) -> Arrays:
    """Return the nodes, the strongest edges and the texts of a graph; `drawn_values` says what each array has."""
    prompt, settings = query["prompt"], served.settings
    graph, context = served.graph(prompt), served.context(prompt)
    most_edges = min(query["edges"] or settings.most_edges, settings.most_edges)
    values, arrays = drawn_values(graph, context, settings.most_nodes, most_edges)
    values |= {
        "num_nodes": len(graph.nodes),
        "num_edges": graph.num_edges,
        "scores": asdict(graph.scores),
        "metadata": dict(graph.metadata),
        "asked": asked(served, prompt),
    }
    return Arrays(values, arrays)


def asked(served: ServedStore, prompt: str) -> str:
    """Return the hash of what a prompt asks, by which annotations know it. Raises PromptNotFound."""
    catalogue = served.store.catalogue
    return catalogue.content_hashes[catalogue.number_of[prompt]]


def etag_of(*parts: object) -> str:
    """Return a short name of what a reply is made of."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:20]


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
