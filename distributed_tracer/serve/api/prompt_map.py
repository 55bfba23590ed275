"""Endpoints of the map of prompts: places, what each point shows for some conditions, and the prompt of a point.

Axes: I prompt with a place on the map, in the order of ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import ConfigError
from ...mine.prompt_map import PromptMap
from ..endpoint import Arrays, Endpoint, Json, Param
from ..prompts.loader import prompts_of
from ..prompts.region import COLUMN as REGION
from ..prompts.snapshot import NotYet, PromptSnapshot
from ..served_store import ServedStore
from ..store_map import map_of
from .prompts import SEARCH, WHERE, conditions_of, legend_of, not_yet, row_of

_FACTS = (
    *("num_spanning", "num_chosen", "num_prompts", "num_without_influence", "num_without_edges"),
    *("share_of_all", "neighbours_kept", "num_neighbours"),
)
_HIDDEN, _OUTSIDE, _MATCHING = 0, 1, 2
MAP = Param("map", "Id of the map, as in `id` of /map.", required=True)


def places(served: ServedStore, query: Mapping[str, Any]) -> Json | Arrays:
    """Return the coordinates of all points, or how far the making of the map is (status 202)."""
    own = map_of(served)
    found = own.now(query["anew"])
    if not isinstance(found, PromptMap):
        return Json({"done": found.done, "total": found.total}, status=202)
    values = {"id": found.id, "num_new": own.num_new(), "share_of_axes": found.share_2.tolist()}
    values |= {name: getattr(found, name) for name in _FACTS}
    x_I, y_I = found.place_I2.astype(np.float32).T
    return Arrays(values, {"x": x_I, "y": y_I}, etag=f"map-{found.id}-{values['num_new']}")


def points(served: ServedStore, query: Mapping[str, Any]) -> Json | Arrays:
    """Return what each point shows: whether its prompt meets the conditions, and its bin or category in a column.

    `state` is 2 for prompts that match, 1 for those that only a region of the map leaves out, and 0 for others.
    `category` counts bins or values as `legend` has them; two more numbers follow: all other values, and none.
    """
    found, snapshot = _map(served, query["map"]), prompts_of(served).now()
    try:
        conditions = conditions_of(served, snapshot, query["where"])
        mask = snapshot.meeting(conditions, query["search"])
        others = snapshot.meeting(conditions, query["search"], but=REGION)
        binned = snapshot.binned(query["column"]) if query["column"] else None
    except NotYet as waiting:
        return not_yet(snapshot, waiting)
    number_of = snapshot.catalogue.number_of
    number_I = np.array([number_of.get(id_, -1) for id_ in found.ids], dtype=np.int64)
    is_there_I = number_I >= 0  # all, unless prompts were taken out of the store
    state_I = np.where(mask[number_I], _MATCHING, np.where(others[number_I], _OUTSIDE, _HIDDEN))
    arrays = {"state": np.where(is_there_I, state_I, _HIDDEN).astype(np.uint8)}
    if binned is not None:
        place_I = np.where(is_there_I, binned.place_I[number_I], binned.size + 1)
        arrays["category"] = place_I.astype(np.uint8)
    legend = None if binned is None else legend_of(query["column"], binned)
    matching = int((arrays["state"] == _MATCHING).sum())
    return Arrays({"id": found.id, "matching": matching, "legend": legend}, arrays)


def point(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the prompt of a point, or the point of a prompt: null if it has no place on the map."""
    found, snapshot = _map(served, query["map"]), prompts_of(served).now()
    number, prompt = query["point"], query["prompt"]
    if (number is None) == (prompt is None):
        raise ConfigError("name either a point or a prompt")
    if number is None:
        return Json({"point": found.number(prompt), "prompt": prompt})
    if number >= len(found.ids):
        raise ConfigError(f"the map has {len(found.ids):,} points, and no point {number:,}")
    return Json({"point": number, **_prompt(snapshot, found.ids[number], query["column"])})


def _prompt(snapshot: PromptSnapshot, prompt: str, column: str) -> dict[str, Any]:
    number = snapshot.catalogue.number_of.get(prompt)
    if number is None:
        return {"prompt": prompt, "row": None}
    row = row_of(snapshot, number, [column] if column in snapshot.sources else [])
    return {"prompt": prompt, "row": row}


def _map(served: ServedStore, map_id: str) -> PromptMap:
    """Return the map with an id. Raises ConfigError if there is none, or another one."""
    found = map_of(served).now()
    if not isinstance(found, PromptMap):
        raise ConfigError("the map is being made: ask /map until it is there")
    if found.id != map_id:
        raise ConfigError(f"the map is {found.id} now, and not {map_id}: ask /map for it")
    return found


ENDPOINTS = (
    Endpoint(
        "/map",
        "The prompts as points of a plane, near each other where their graphs are alike; 202 while this is computed.",
        places,
        (Param("anew", "Whether to make the map of the store as it is now.", "boolean", default=False),),
        returns="application/octet-stream",
        tags=("map",),
    ),
    Endpoint(
        "/map/points",
        "Which points of the map meet conditions, and the bin or category of each in a column.",
        points,
        (MAP, WHERE, SEARCH, Param("column", "Column that colours the points; none if it is empty.", default="")),
        returns="application/octet-stream",
        tags=("map",),
    ),
    Endpoint(
        "/map/point",
        "The prompt of a point of the map, or the point of a prompt.",
        point,
        (
            MAP,
            Param("point", "Number of the point.", "integer", least=0),
            Param("prompt", "Id of the prompt."),
            Param("column", "Column whose value is wanted, too.", default=""),
        ),
        tags=("map",),
    ),
)
