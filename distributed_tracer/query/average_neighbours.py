"""What drives a feature and what it drives on average: its edges, summed over positions and averaged over prompts.

Axes: E edge, X group of edges.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..store.reader import Store
from ..table import Table
from .feature_edges import edges_into, edges_out_of

Direction = Literal["into", "out"]


def average_neighbours(
    store: Store, layer: int, feature: int, direction: Direction, prompt_ids: Collection[str], top: int
) -> Table:
    """Return the other ends of a feature's edges in these prompts' graphs, the strongest first: the one whose edges,
    over all of these prompts, have the largest sum of absolute weights.

    Columns: kind (feature, error, token or target), layer, feature (-1 unless the kind is feature), name (a feature as
    layer:index; the text of a token or target, and empty for an error), prompts (whose graphs have such edges),
    mean_weight (of their sum over positions, over these prompts), and share (of the sum of all absolute weights).
    Ends at different positions are one row, as are targets with the same label.
    """
    other = "source" if direction == "into" else "target"
    edges = (edges_into if direction == "into" else edges_out_of)(store, layer, feature, prompt_ids)
    if not len(edges):
        return Table({name: [] for name in ("kind", "layer", "feature", "name", "prompts", "mean_weight", "share")})
    names = _names(store, edges, other)
    keys, prompts = dict.fromkeys(names), dict.fromkeys(edges["prompt"].tolist())
    group_E, prompt_E = _numbers(keys, names), _numbers(prompts, edges["prompt"].tolist())
    weight_E = edges["weight"].astype(np.float64)
    pairs = np.unique(np.stack([group_E, prompt_E]), axis=1)
    prompts_X = np.bincount(pairs[0], minlength=len(keys))
    strength_X = np.bincount(group_E, weights=np.abs(weight_E), minlength=len(keys))
    sum_X = np.bincount(group_E, weights=weight_E, minlength=len(keys))
    best = np.argsort(-strength_X, kind="stable")[:top]
    chosen = [list(keys)[group] for group in best]
    return Table(
        {
            "kind": [key[0] for key in chosen],
            "layer": np.array([key[1] for key in chosen], dtype=np.int64),
            "feature": np.array([key[2] for key in chosen], dtype=np.int64),
            "name": _token_names(store, edges, other, chosen),
            "prompts": prompts_X[best],
            "mean_weight": (sum_X / prompts_X)[best],
            "share": (strength_X / max(strength_X.sum(), np.finfo(float).tiny))[best],
        }
    )


def _numbers(known: Iterable[Hashable], values: Sequence[Hashable]) -> npt.NDArray[np.int64]:
    """Return the place of each value among those that are known."""
    number = {value: place for place, value in enumerate(known)}
    return np.array([number[value] for value in values], dtype=np.int64)


def _names(store: Store, edges: Table, other: str) -> list[tuple[Any, ...]]:
    """Return what identifies the other end of each edge in any prompt: kind, layer, feature and label or token id."""
    labels: dict[str, Sequence[str]] = {}
    if "target" in edges["kind"]:
        labels = dict(zip(store.prompts["id"].tolist(), store.prompts["targets"].tolist(), strict=True))
    found: list[tuple[Any, ...]] = []
    columns = (edges[name].tolist() for name in ("prompt", "kind", "layer", other))
    for prompt, kind, layer, number in zip(*columns, strict=True):
        if kind == "feature":
            found.append((kind, layer, number, f"{layer}:{number}"))
        elif kind == "target":
            found.append((kind, layer, -1, labels[prompt][number]))
        else:
            found.append((kind, layer, -1, number))
    return found


def _token_names(store: Store, edges: Table, other: str, chosen: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return the names of the chosen ends. The text of a token is read from a graph that has it."""
    first: dict[int, tuple[str, int]] = {}
    if other == "source" and any(key[0] == "token" for key in chosen):
        rows = zip(*(edges[name].tolist() for name in ("kind", "source", "prompt", "source_position")), strict=True)
        for kind, token, prompt, position in rows:
            if kind == "token":
                first.setdefault(token, (prompt, position))
    found = []
    for kind, _, _, name in chosen:
        if kind == "token":
            prompt, position = first[name]
            name = store.graph(prompt).token_strings[position]
        found.append("" if kind == "error" else str(name))
    return found
