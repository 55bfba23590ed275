"""Endpoint of a prompt's neighbours: which prompts come before and after it in the table, as it is filtered and sorted.

Axes: I prompt in the order of the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..endpoint import Endpoint, Json
from ..prompts.loader import prompts_of
from ..prompts.snapshot import NotYet, PromptSnapshot
from ..served_store import ServedStore
from .graphs import PROMPT, asked
from .prompts import DESCENDING, SEARCH, SORT, WHERE


def graph_neighbours(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the place of a prompt among those that match, in the order of the table: its number from 1, and both
    neighbours.

    A prompt that does not match has the number null, and the neighbours of the place where it would be. A question
    about columns that are still being read is answered with status 202. Raises PromptNotFound, ConfigError.
    """
    store = served.refresh()
    asked(served, query["prompt"])
    if not query["where"] and not query["search"] and query["sort"] == "id":
        return Json(_among_all(served, query["prompt"], query["descending"]))
    snapshot = prompts_of(served).now()
    try:
        conditions = [snapshot.condition(text) for text in query["where"]]
        is_matching_I = snapshot.meeting(conditions, query["search"])
        order = snapshot.order(query["sort"], query["descending"])
    except NotYet as waiting:
        return Json({"waiting_for": waiting.columns, "loading": snapshot.loading, "total": len(store)}, status=202)
    return Json(_among(snapshot, query["prompt"], order[is_matching_I[order]], order, is_matching_I))


def _among(snapshot: PromptSnapshot, prompt: str, matching: Any, order: Any, is_matching_I: Any) -> dict[str, Any]:
    """Return the place of a prompt among the numbers `matching`, in the order of all numbers."""
    found = {"number": None, "of": len(matching), "previous": None, "next": None}
    number = snapshot.catalogue.number_of.get(prompt)
    if number is None:  # it came a moment ago
        return found
    ids, is_in = snapshot.catalogue.ids, bool(is_matching_I[number])
    (place,) = np.flatnonzero(order == number).tolist()
    before = int(np.count_nonzero(is_matching_I[order[:place]]))
    after = before + is_in
    return {
        **found,
        "number": before + 1 if is_in else None,
        "previous": ids[matching[before - 1]] if before else None,
        "next": ids[matching[after]] if after < len(matching) else None,
    }


def _among_all(served: ServedStore, prompt: str, is_descending: bool) -> dict[str, Any]:
    """Return the place of a prompt among all in the order of their ids, for which nothing else has to be read."""
    catalogue = served.store.catalogue
    kept = served.shared.get("sorted ids")
    if kept is None or kept[0] != catalogue.commits:
        ids = sorted(catalogue.ids)
        kept = (catalogue.commits, ids, {name: number for number, name in enumerate(ids)})
        served.shared["sorted ids"] = kept
    _, ids, number_of = kept
    number = number_of[prompt]
    before, after = ids[number - 1] if number else None, ids[number + 1] if number + 1 < len(ids) else None
    if is_descending:
        return {"number": len(ids) - number, "of": len(ids), "previous": after, "next": before}
    return {"number": number + 1, "of": len(ids), "previous": before, "next": after}


ENDPOINTS = (
    Endpoint(
        "/graph_neighbours",
        "The prompts before and after a prompt in the table of prompts, as it is filtered and sorted.",
        graph_neighbours,
        (PROMPT, WHERE, SEARCH, SORT, DESCENDING),
        tags=("graphs",),
    ),
)
