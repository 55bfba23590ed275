"""Endpoint of the store as a whole: what it is, how large it is, and what this server can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import StoreCorrupt
from ...redact import redacted
from ...store.format.run_file import is_imported
from ...store.reader import Store
from ...text import counted
from ..endpoint import Endpoint, Json
from ..prompts.loader import prompts_of
from ..served_store import ServedStore

_MOST_PROBLEMS = 3
"""Number of damaged annotations that are named."""


def store_facts(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return what the pages show and need to know at first."""
    store, settings = served.refresh(), served.settings
    columns = store.catalogue.columns
    num_layers, damage = _num_layers(store)
    return Json(
        {
            "url": redacted(store.url),
            "name": redacted(store.url).rstrip("/").rpartition("/")[2],
            "model": served.identity.get("model"),
            "transcoders": served.identity.get("transcoders"),
            "is_imported": is_imported(store.info),
            "num_layers": num_layers,
            "num_prompts": len(store),
            "num_nodes": int(columns["num_nodes"].sum()),
            "num_edges": int(columns["num_edges"].sum()),
            "has_profile": served.profile is not None,
            "results": [{"name": str(number), "what": one.info["what"]} for number, one in enumerate(served.results)],
            "can_intervene": settings.model is not None,
            "read_only": settings.read_only,
            "author": settings.author,
            "trouble": served.trouble,
            "troubles": _troubles(served, damage),
        }
    )


def _num_layers(store: Store) -> tuple[int | None, str]:
    """Return the number of layers, or None and why, if the part that says so is damaged: others can still be shown."""
    try:
        return store.num_layers, ""
    except StoreCorrupt as error:
        return None, redacted(str(error))


def _troubles(served: ServedStore, damage: str) -> list[str]:
    """Return all that is known to be damaged or unreadable, in sentences: what every page shows above the rest."""
    of_table = []
    if "prompts" in served.shared:  # nobody reads all parts for this list alone
        loader = prompts_of(served)
        of_table = [*loader.now().said(), *loader.troubles]
    known = [text for text in (served.trouble, damage) if text and not any(text in other for other in of_table)]
    problems = served.annotations.problems
    unread = [f"an annotation is left out: {redacted(one.message)}" for one in problems[:_MOST_PROBLEMS]]
    if len(problems) > _MOST_PROBLEMS:
        unread.append(f"{counted(len(problems) - _MOST_PROBLEMS, 'more annotation')} are damaged: `verify` lists them")
    return list(dict.fromkeys([*known, *of_table, *unread]))


ENDPOINTS = (
    Endpoint(
        "/store", "What the store is, how large it is, and what this server can do.", store_facts, tags=("store",)
    ),
)
