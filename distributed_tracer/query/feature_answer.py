"""Answers to questions about one feature, as the command line gives them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..graph.labels import Labels
from ..store.reader import Store
from ..table import Table
from .cooccurrence import cooccurring
from .feature_counts import feature_counts
from .feature_edges import edges_into, edges_out_of

FeatureQuery = Literal["occurrences", "edges-into", "edges-out", "together"]


def answer_feature_query(store: Store, layer: int, feature: int, question: FeatureQuery) -> tuple[Table, str]:
    """Return a table and a line that summarizes it. Edges are ordered by strength, strongest first.

    Where features have labels, those in rows have theirs in a column `labels`, and those of the feature in question are
    in a line before the summary. Raises ConfigError for a layer or a feature index that does not exist.
    """
    found, summary = _answer(store, layer, feature, question)
    if not len(found):
        summary += why_none(store, layer, feature)
    if own := store.labels.text(layer, feature):
        summary = f"{layer}:{feature} {own}\n{summary}"
    return with_labels(found, store.labels), summary


def with_labels(found: Table, labels: Labels) -> Table:
    """Return a table about features with a column `labels`: each row's feature's labels in one line.

    Features are those of the columns `layer` and `feature`, or `source` or `target` in a table of edges. The table
    stays as it is if none of its rows is about a feature that has labels.
    """
    name = next((name for name in ("feature", "source", "target") if name in found and "layer" in found), None)
    if name is None or not len(labels):
        return found
    kinds = found["kind"] if "kind" in found else np.full(len(found), "feature", dtype=object)
    sites = zip(found["layer"].tolist(), found[name].tolist(), kinds.tolist(), strict=True)
    texts = [labels.text(layer, feature) if kind == "feature" else "" for layer, feature, kind in sites]
    return Table({**{column: found[column] for column in found.columns}, "labels": texts}) if any(texts) else found


def why_none(store: Store, layer: int, feature: int) -> str:
    """Return `: ` and an explanation of an empty answer, or "" if the feature is a node of some graph."""
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
