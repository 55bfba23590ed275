"""Answers about one feature, as the command line gives them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..store.reader import Store
from ..store.table import Table
from .cooccurring import cooccurring
from .feature_edges import edges_into, edges_out_of

Question = Literal["occurrences", "edges-into", "edges-out", "together"]


def feature_answer(store: Store, layer: int, feature: int, question: Question) -> tuple[Table, str]:
    """A table, and a line that sums it up. Edges come strongest first."""
    if question == "together":
        found = cooccurring(store, layer, feature, top=None)
        return found, f"{len(found)} other features in the same prompts"
    if question == "occurrences":
        found = store.occurrences(layer, feature)
        return found, f"{len(found)} occurrences in {len(set(found['prompt']))} prompts"
    found = (edges_into if question == "edges-into" else edges_out_of)(store, layer, feature)
    found = found.take(np.argsort(-np.abs(found["weight"]), kind="stable"))
    return found, f"{len(found)} edges in {len(set(found['prompt']))} prompts"
