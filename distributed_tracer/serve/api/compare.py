"""Endpoints of two graphs compared, and of the search for prompts to compare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ...query.compare import compare_graphs
from ...query.compare_pairs import edge_differences
from ...report.compare import comparison_summary
from ...table import Table
from ..encode import json_bytes
from ..endpoint import Endpoint, Json, Param
from ..served_store import ServedStore
from .labels import label_values


def compare(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return answers, scores, and shared and differing features and edges of two graphs.

    Beside what `compare --json` says, `edge_pairs` has the edges by the features that they connect at any position.
    """
    a, b, top = query["a"], query["b"], query["top"]
    store = served.refresh()

    def make() -> dict[str, Any]:
        graphs = store.graph(a), store.graph(b)
        found = comparison_summary(compare_graphs(*graphs), top)
        return {**found, "edge_pairs": list(edge_differences(*graphs, top).rows())}

    found = json.loads(served.cache.get((served.version, "compare", a, b, top), lambda: json_bytes(make())))
    labels = store.labels
    for rows in found["features"].values():
        for row in rows:
            row["labels"] = label_values(labels, row["layer"], row["feature"])
    for row in found["edge_pairs"]:
        for end in ("source", "target"):
            row[f"{end}_labels"] = label_values(labels, row[f"{end}_layer"], row[f"{end}_feature"])
    return Json(found)


def search_prompts(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the prompts whose id or text has a text, in the order of their ids; all of them for an empty text."""
    served.refresh()
    wanted, limit = query["text"].strip().casefold(), query["limit"]
    texts = _texts(served)
    found = [
        (prompt, text)
        for prompt, text in zip(texts["id"].tolist(), texts["text"].tolist(), strict=True)
        if wanted in prompt.casefold() or wanted in (text or "").casefold()
    ]
    rows = [{"prompt": prompt, "text": text} for prompt, text in found[:limit]]
    return Json({"num_found": len(found), "num_prompts": len(texts), "prompts": rows})


def _texts(served: ServedStore) -> Table:
    """Return ids and texts of all prompts, which are kept until the store changes."""

    def read(version: tuple[int, str]) -> Table:
        return served.store.prompt_table(columns=["id", "text"])

    keep = served.once("texts of prompts", lambda: lru_cache(1)(read))
    return keep(served.version)


ENDPOINTS = (
    Endpoint(
        "/compare",
        "Two graphs compared: answers, scores, and which features and edges they share.",
        compare,
        (
            Param("a", "Id of a prompt.", required=True),
            Param("b", "Id of another prompt.", required=True),
            Param("top", "Largest number of rows of each list.", "integer", default=100, least=1, most=2_000),
        ),
        slow=True,
        tags=("graphs",),
    ),
    Endpoint(
        "/prompt_search",
        "Prompts whose id or text has a text.",
        search_prompts,
        (
            Param("text", "Part of an id or of a text.", default=""),
            Param("limit", "Largest number of prompts.", "integer", default=20, least=1, most=500),
        ),
        tags=("prompts",),
    ),
)
