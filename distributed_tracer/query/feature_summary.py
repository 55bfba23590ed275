"""Everything that a store, and perhaps a profile, says about one feature, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph.graph import Graph
from ..graph.labels import Labels
from ..profile.feature_profile import Context, FeatureProfile
from ..store.reader import Store
from ..table import Table
from .average_neighbours import average_neighbours
from .cooccurrence import cooccurring
from .feature_answer import why_none

MOST_PROMPTS = 500
"""Largest number of prompts whose graphs are read for averages of edges: those where the feature's influence is the
largest."""
READ_FOR_EACH = 4
"""Number of graphs that are read for each context to show, as many may have the same text up to the active token."""
BEFORE, AFTER = 24, 8
"""Number of tokens of a context before and after the one at which the feature is active."""


def feature_summary(
    store: Store, layer: int, feature: int, profile: FeatureProfile | None = None, top: int = 10
) -> dict[str, Any]:
    """Return what is known about a feature, with at most `top` entries in each list.

    Contexts, promoted tokens and neighbours are those of `profile`. Without it, contexts come from the graphs of this
    store in which the feature is a node, and nothing is known of tokens and neighbours. Raises ConfigError for a layer
    or a feature that does not exist.
    """
    hits = store.occurrences(layer, feature)
    by_prompt = by_prompt_of(hits)
    best = sorted(by_prompt, key=lambda prompt: (-by_prompt[prompt]["influence"], prompt))
    averaged = set(best[:MOST_PROMPTS])
    averages = {
        direction: average_neighbours(store, layer, feature, direction, averaged, top) for direction in ("into", "out")
    }
    together = cooccurring(store, layer, feature, top) if len(hits) else Table({})
    ordered = sorted(by_prompt, key=lambda prompt: (-by_prompt[prompt]["activation"], prompt))
    strongest = ordered[: READ_FOR_EACH * top]
    graphs = {graph.prompt_id: graph for graph in store.graphs({*best[:top], *([] if profile else strongest)})}
    contexts = (
        profile.contexts if profile else store_contexts(store, layer, feature, [graphs[one] for one in strongest])
    )
    return {
        "layer": layer,
        "feature": feature,
        "store": store.url,
        "labels": _labels(store.labels, layer, feature),
        "nodes": node_facts(store, hits),
        "not_a_node": "" if len(hits) else why_none(store, layer, feature).removeprefix(": "),
        "profile": profile_facts(profile) if profile else None,
        "contexts": _first_contexts(contexts, top),
        "promoted": [token._asdict() for token in (profile.promoted[:top] if profile else ())],
        "suppressed": [token._asdict() for token in (profile.suppressed[:top] if profile else ())],
        "acts_in": [_acting(graphs[prompt], by_prompt[prompt]) for prompt in best[:top]],
        "prompts_averaged": len(averaged),
        "driven_by": labelled(averages["into"], store.labels),
        "drives": labelled(averages["out"], store.labels),
        "together": labelled(together, store.labels),
        "neighbours": [
            {**neighbour._asdict(), "labels": _labels(store.labels, neighbour.layer, neighbour.feature)}
            for neighbour in (profile.neighbours[:top] if profile else ())
        ],
    }


def store_contexts(store: Store, layer: int, feature: int, graphs: Sequence[Graph]) -> list[Context]:
    """Return where a feature is most active in each of these graphs of a store, in their order.

    The activations of other tokens are NaN where the store keeps those of nodes only.
    """
    found = []
    for graph in graphs:
        commit, _ = store.catalogue.place(store.catalogue.number_of[graph.prompt_id])
        active = graph.active
        here = np.flatnonzero((active.layer_A == layer) & (active.feature_A == feature))
        if not len(here):
            continue
        elsewhere = 0.0 if store.part(commit).keeps_active else float("nan")
        activations = [elsewhere] * len(graph.tokens_P)
        for position, activation in zip(active.position_A[here], active.activation_A[here], strict=True):
            activations[position] = float(activation)
        position = int(active.position_A[here[active.activation_A[here].argmax()]])
        shown = slice(max(0, position - BEFORE), position + AFTER + 1)
        tokens, values = tuple(graph.token_strings[shown]), tuple(activations[shown])
        found.append(Context(0, graph.prompt_id, position, shown.start, tokens, values))
    return found


def by_prompt_of(hits: Table) -> dict[str, dict[str, Any]]:
    """Return, by prompt, the sum of influence, the largest activation and the positions of the nodes."""
    found: dict[str, dict[str, Any]] = {}
    for row in hits.rows():
        of_prompt = found.setdefault(row["prompt"], {"influence": 0.0, "activation": 0.0, "positions": []})
        of_prompt["influence"] += row["influence"]
        of_prompt["activation"] = max(of_prompt["activation"], row["activation"])
        of_prompt["positions"].append(row["position"])
    return found


def node_facts(store: Store, hits: Table) -> dict[str, Any]:
    """Return counts and averages over the nodes that are the feature."""
    activation, influence = hits["activation"], hits["influence"]
    return {
        "num_nodes": len(hits),
        "num_prompts": len(set(hits["prompt"].tolist())),
        "prompts_in_store": len(store),
        "max_activation": float(activation.max()) if len(hits) else None,
        "mean_activation": float(activation.mean(dtype=np.float64)) if len(hits) else None,
        "mean_influence": float(influence.mean(dtype=np.float64)) if len(hits) else None,
    }


def profile_facts(profile: FeatureProfile) -> dict[str, Any]:
    names = ("num_active_tokens", "num_tokens", "num_active_prompts", "num_prompts", "max_activation")
    more = ("mean_activation", "quantiles", "quantile_shares", "histogram", "bin_edges", "positions", "density")
    return {name: getattr(profile, name) for name in (*names, *more)}


def distinct_contexts(contexts: Sequence[Context]) -> list[dict[str, Any]]:
    """Return the contexts as plain data, in their order.

    Of contexts with the same tokens up to the active one, which is all that the activation depends on, the first is
    returned, with their number as `alike`.
    """
    different: dict[tuple[str, ...], dict[str, Any]] = {}
    for context in contexts:
        text = context.tokens[: context.position - context.start + 1]
        different.setdefault(text, {**context._asdict(), "alike": 0})["alike"] += 1
    return list(different.values())


def _first_contexts(contexts: Sequence[Context], top: int) -> list[dict[str, Any]]:
    """Return the strongest contexts, and of weaker quantiles one each in turn, as far as there is room."""
    of_quantile: dict[int, list[dict[str, Any]]] = {}
    for known in distinct_contexts(contexts):
        of_quantile.setdefault(known["quantile"], []).append(known)
    quantiles = sorted(of_quantile)
    taken = dict.fromkeys(quantiles, 0)
    for quantile in quantiles[1:]:  # at most half of the room goes to weaker contexts
        if sum(taken.values()) < top // 2:
            taken[quantile] = 1
    left = top - sum(taken.values())
    for quantile in quantiles:
        more = min(left, len(of_quantile[quantile]) - taken[quantile])
        taken[quantile], left = taken[quantile] + more, left - more
    return [context for quantile in quantiles for context in of_quantile[quantile][: taken[quantile]]]


def _acting(graph: Graph, of_prompt: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt": graph.prompt_id,
        "influence": of_prompt["influence"],
        "activation": of_prompt["activation"],
        "positions": of_prompt["positions"],
        "tokens": [graph.token_strings[position] for position in of_prompt["positions"]],
        "text": graph.text,
        "targets": [target.label for target in graph.targets],
    }


def _labels(labels: Labels, layer: int, feature: int) -> list[dict[str, str]]:
    return [label._asdict() for label in labels.get(layer, feature)]


def labelled(table: Table, labels: Labels) -> list[dict[str, Any]]:
    """Return the rows of a table, each with the labels of its feature, if it is about one."""
    return [{**row, "labels": _labels(labels, row["layer"], row["feature"])} for row in table.rows()]
