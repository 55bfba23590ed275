"""Endpoint of the store as a whole: what it is, how large it is, and what this server can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import StoreCorrupt
from ...redact import redacted
from ...store.format.run_file import is_imported
from ...store.reader import Store
from ..endpoint import Endpoint, Json
from ..served_store import ServedStore


def store_facts(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return what the pages show and need to know at first."""
    store, settings = served.refresh(), served.settings
    columns = store.catalogue.columns
    return Json(
        {
            "url": redacted(store.url),
            "name": redacted(store.url).rstrip("/").rpartition("/")[2],
            "model": served.identity.get("model"),
            "transcoders": served.identity.get("transcoders"),
            "is_imported": is_imported(store.info),
            "num_layers": _num_layers(store),
            "num_prompts": len(store),
            "num_nodes": int(columns["num_nodes"].sum()),
            "num_edges": int(columns["num_edges"].sum()),
            "has_profile": served.profile is not None,
            "results": [{"name": str(number), "what": one.info["what"]} for number, one in enumerate(served.results)],
            "can_intervene": settings.model is not None,
            "read_only": settings.read_only,
            "author": settings.author,
            "trouble": served.trouble,
        }
    )


def _num_layers(store: Store) -> int | None:
    """Return the number of layers; None if the part that says so is damaged, so that all others can still be shown."""
    try:
        return store.num_layers
    except StoreCorrupt:
        return None


ENDPOINTS = (
    Endpoint(
        "/store", "What the store is, how large it is, and what this server can do.", store_facts, tags=("store",)
    ),
)
