"""Answers to questions about one feature, as the command line gives them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..store.reader import Store
from ..table import Table
from .cooccurrence import cooccurring
from .feature_counts import feature_counts
from .feature_edges import edges_into, edges_out_of

FeatureQuery = Literal["occurrences", "edges-into", "edges-out", "together"]


def answer_feature_query(store: Store, layer: int, feature: int, question: FeatureQuery) -> tuple[Table, str]:
    """Return a table and a line that summarizes it. Edges are ordered by strength, strongest first.

    Raises ConfigError for a layer or a feature index that does not exist.
    """
    found, summary = _answer(store, layer, feature, question)
    return found, summary if len(found) else f"{summary}{_why_none(store, layer, feature)}"


def _why_none(store: Store, layer: int, feature: int) -> str:
    """Return an explanation of an empty answer, or "" if the feature is a node of some graph."""
    counts = feature_counts(store)
    of_layer = counts["feature"][counts["layer"] == layer]
    if feature in of_layer:
        return ""
    known = f"of layer {layer}, {len(of_layer):,} features are, up to {of_layer.max()}" if len(of_layer) else ""
    return f": no graph has feature {layer}:{feature} as a node; {known or f'nor any other of layer {layer}'}"


def _answer(store: Store, layer: int, feature: int, question: FeatureQuery) -> tuple[Table, str]:
    if question == "together":
        found = cooccurring(store, layer, feature, top=None)
        return found, f"{len(found)} other features in the same prompts"
    if question == "occurrences":
        found = store.occurrences(layer, feature)
        return found, f"{len(found)} occurrences in {len(set(found['prompt']))} prompts"
    found = (edges_into if question == "edges-into" else edges_out_of)(store, layer, feature)
    found = found.take(np.argsort(-np.abs(found["weight"]), kind="stable"))
    return found, f"{len(found)} edges in {len(set(found['prompt']))} prompts"
