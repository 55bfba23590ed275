"""Endpoints of one feature: what is known about it, where it acts, what drives it, and search by label."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ...graph.context import NodeKey
from ...graph.labels import Labels
from ...profile.feature_profile import Context, FeatureProfile
from ...query.average_neighbours import Direction, average_neighbours
from ...query.cooccurrence import cooccurring
from ...query.feature_answer import why_none
from ...query.feature_summary import (
    MOST_PROMPTS,
    READ_FOR_EACH,
    by_prompt_of,
    distinct_contexts,
    node_facts,
    profile_facts,
    store_contexts,
)
from ...store.reader import Store
from ...table import Table
from ..encode import json_bytes
from ..endpoint import Endpoint, Json, Param
from ..feature_search import search_features
from ..node_names import key_text
from ..served_store import ServedStore
from .labels import FEATURE, label_records, label_values

_KEPT_TABLES = 8
"""Tables of occurrences that are kept, for the pages of one."""
_STORE_CONTEXTS = 12
"""Number of contexts that are read from graphs where there is no profile."""
_BINS = 30
_BEFORE, _AFTER = 12, 5
"""Number of tokens shown before and after the one of an occurrence."""
_MOST_ON_DEMAND = 5_000
_DIRECTIONS: Mapping[str, Direction] = {"driven_by": "into", "drives": "out"}

_TOP = Param("top", "Largest number of rows of each list.", "integer", default=25, least=1, most=200)


def feature_facts(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return labels, counts, histogram, contexts, promoted tokens and nearest decoders of a feature."""
    layer, feature = query["layer"], query["feature"]
    store = served.refresh()
    hits = occurrences_of(served, layer, feature)
    profile = served.profile.feature(layer, feature) if served.profile else None
    contexts = profile.contexts if profile else _contexts_of_store(store, layer, feature, hits)
    return Json(
        {
            "layer": layer,
            "feature": feature,
            "labels": label_records(served, layer, feature),
            "num_damaged": len(served.annotations.problems),
            "nodes": node_facts(store, hits),
            "not_a_node": "" if len(hits) else why_none(store, layer, feature).removeprefix(": "),
            "has_profile": served.profile is not None,
            "profile": profile_facts(profile) if profile else None,
            "histogram": _histogram(profile, hits),
            "contexts_of": "profile" if profile else "store",
            "contexts": _linked(store, layer, feature, distinct_contexts(contexts), hits),
            "promoted": [token._asdict() for token in (profile.promoted if profile else ())],
            "suppressed": [token._asdict() for token in (profile.suppressed if profile else ())],
            "neighbours": with_labels([one._asdict() for one in (profile.neighbours if profile else ())], store.labels),
        }
    )


def feature_edges(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return what drives a feature and what it drives, averaged over the graphs in which its influence is largest."""
    layer, feature, most, top = (query[name] for name in ("layer", "feature", "prompts", "top"))
    store = served.refresh()

    def make() -> dict[str, Any]:
        by_prompt = by_prompt_of(occurrences_of(served, layer, feature))
        best = sorted(by_prompt, key=lambda prompt: (-np.nan_to_num(by_prompt[prompt]["influence"]), prompt))
        chosen = set(best[:most])
        found = {
            name: list(average_neighbours(store, layer, feature, direction, chosen, top).rows())
            for name, direction in _DIRECTIONS.items()
        }
        return {"prompts_averaged": len(chosen), "prompts_with": len(best), "most": most, **found}

    found = _kept(served, ("feature_edges", layer, feature, most, top), make)
    return Json({**found, **{name: with_labels(found[name], store.labels) for name in _DIRECTIONS}})


def feature_together(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the features that are nodes of the same graphs."""
    layer, feature, top = query["layer"], query["feature"], query["top"]
    store = served.refresh()

    def make() -> list[dict[str, Any]]:
        return list(cooccurring(store, layer, feature, top).rows())

    found = _kept(served, ("feature_together", layer, feature, top), make)
    return Json({"together": with_labels(found, store.labels)})


def feature_occurrences(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return some of the nodes that are a feature, each with its key in its graph and the tokens around it."""
    layer, feature, by, offset = (query[name] for name in ("layer", "feature", "sort", "offset"))
    hits = occurrences_of(served, layer, feature)
    if by != "prompt":
        values = np.nan_to_num(hits[by].astype(np.float64), nan=-np.inf)
        hits = hits.take(np.argsort(-values, kind="stable"))
    chosen = hits.take(np.arange(offset, max(offset, min(offset + query["limit"], len(hits)))))
    tokens = _tokens_of(served.store, set(chosen["prompt"].tolist()))
    rows = [_occurrence(row, tokens[row["prompt"]], layer, feature) for row in chosen.rows()]
    return Json({"num_nodes": len(hits), "offset": offset, "sort": by, "rows": rows})


def feature_search(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the features whose labels have a text, that promote a token, or that have the number asked for."""
    store = served.refresh()
    found = search_features(served, query["text"], query["limit"])
    return Json({**found, "features": with_labels(found["features"], store.labels)})


def occurrences_of(served: ServedStore, layer: int, feature: int) -> Table:
    """Return the nodes that are a feature. Raises ConfigError for one that the graphs of the store cannot have."""

    def read(version: tuple[int, str], layer: int, feature: int) -> Table:
        return served.store.occurrences(layer, feature)

    keep = served.once("occurrences", lambda: lru_cache(_KEPT_TABLES)(read))
    return keep(served.version, layer, feature)


def with_labels(rows: Sequence[Mapping[str, Any]], labels: Labels) -> list[dict[str, Any]]:
    """Return rows about features, each with their labels as text and source."""
    return [{**row, "labels": label_values(labels, row["layer"], row["feature"])} for row in rows]


def _kept(served: ServedStore, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """Return an answer as JSON values, from those that are kept of this version of the store, or made now."""
    return json.loads(served.cache.get((served.version, *key), lambda: json_bytes(make())))


def _contexts_of_store(store: Store, layer: int, feature: int, hits: Table) -> list[Context]:
    """Return where the feature is most active in the graphs of which it is a node, the strongest first."""
    by_prompt = by_prompt_of(hits)
    ordered = sorted(by_prompt, key=lambda prompt: (-by_prompt[prompt]["activation"], prompt))
    graphs = {graph.prompt_id: graph for graph in store.graphs(ordered[: READ_FOR_EACH * _STORE_CONTEXTS])}
    return store_contexts(store, layer, feature, [graphs[prompt] for prompt in ordered if prompt in graphs])


def _linked(
    store: Store, layer: int, feature: int, contexts: Sequence[dict[str, Any]], hits: Table
) -> list[dict[str, Any]]:
    """Return contexts with `in_store`, whether the prompt of that id in the store has these very tokens, and `key`, the
    name of the feature's node there, or None if the feature is no node at the active token."""
    known = {context["prompt"] for context in contexts if context["prompt"] in store}
    tokens = _tokens_of(store, known)
    nodes = set(zip(hits["prompt"].tolist(), hits["position"].tolist(), strict=True))
    found = []
    for context in contexts:
        prompt, position, start = context["prompt"], context["position"], context["start"]
        shown = list(context["tokens"])
        is_same = prompt in tokens and tokens[prompt][start : start + len(shown)] == shown
        key = (
            key_text(NodeKey("feature", layer, position, feature)) if is_same and (prompt, position) in nodes else None
        )
        found.append({**context, "in_store": is_same, "key": key})
    return found


def _tokens_of(store: Store, prompt_ids: set[str]) -> dict[str, list[str]]:
    if not prompt_ids:
        return {}
    table = store.prompt_table(sorted(prompt_ids), ["id", "token_strings"])
    return {prompt: list(tokens) for prompt, tokens in zip(table["id"], table["token_strings"], strict=True)}


def _occurrence(row: Mapping[str, Any], tokens: Sequence[str], layer: int, feature: int) -> dict[str, Any]:
    position = row["position"]
    start = max(0, position - _BEFORE)
    return {
        **{name: row[name] for name in ("prompt", "position", "activation", "influence")},
        "token": tokens[position],
        "key": key_text(NodeKey("feature", layer, position, feature)),
        "start": start,
        "tokens": list(tokens[start : position + _AFTER + 1]),
    }


def _histogram(profile: FeatureProfile | None, hits: Table) -> dict[str, Any] | None:
    """Return counts and borders of bins of the activation, of the profile's tokens or else of the store's nodes."""
    if profile:
        return {"of": "profile", "counts": list(profile.histogram), "edges": list(profile.bin_edges)}
    values = hits["activation"][np.isfinite(hits["activation"])]
    if not len(values):
        return None
    counts, edges = np.histogram(values, bins=min(_BINS, max(4, len(values) // 2)))
    return {"of": "nodes", "counts": counts.tolist(), "edges": edges.tolist()}


ENDPOINTS = (
    Endpoint(
        "/feature",
        "What is known about a feature: labels, counts, histogram, contexts, promoted tokens, nearest decoders.",
        feature_facts,
        FEATURE,
        slow=True,
        tags=("features",),
    ),
    Endpoint(
        "/feature_edges",
        "What drives a feature and what it drives, averaged over some graphs.",
        feature_edges,
        (
            *FEATURE,
            Param(
                "prompts",
                "Largest number of graphs to read: those in which the feature's influence is largest.",
                "integer",
                default=MOST_PROMPTS,
                least=1,
                most=_MOST_ON_DEMAND,
            ),
            _TOP,
        ),
        slow=True,
        tags=("features",),
    ),
    Endpoint(
        "/feature_together",
        "Features that are nodes of the same graphs.",
        feature_together,
        (*FEATURE, _TOP),
        slow=True,
        tags=("features",),
    ),
    Endpoint(
        "/occurrences",
        "The nodes that are a feature, with the tokens around them.",
        feature_occurrences,
        (
            *FEATURE,
            Param(
                "sort",
                "Order: the largest activation or influence first, or by prompt.",
                default="influence",
                choices=("activation", "influence", "prompt"),
            ),
            Param("offset", "Number of nodes to leave out first.", "integer", default=0, least=0),
            Param("limit", "Largest number of nodes.", "integer", default=25, least=1, most=200),
        ),
        tags=("features",),
    ),
    Endpoint(
        "/feature_search",
        "Features by label, promoted token, or number.",
        feature_search,
        (
            Param("text", "Part of a label, a token, or a feature such as 12:3045.", required=True),
            Param("limit", "Largest number of features.", "integer", default=30, least=1, most=200),
        ),
        tags=("features",),
    ),
)
