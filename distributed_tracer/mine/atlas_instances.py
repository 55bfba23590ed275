"""The prompts behind an edge of an atlas: in which graphs it is, and how strong its edges are there.

Axes: E edge, I site of the atlas, N node, X prompt that has the edge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import ConfigError
from ..graph.columns import KINDS
from ..names import unknown
from ..table import Table
from .atlas_tables import AtlasTables
from .sites import site_codes


class Site(NamedTuple):
    """A node without its position."""

    kind: str
    layer: int
    feature: int

    @classmethod
    def of_text(cls, text: str) -> Site:
        """Return the site that a text such as `feature:2:46` or `token:-1:318` names. Raises ConfigError."""
        kind, *numbers = text.split(":")
        if kind not in KINDS:
            raise ConfigError(unknown("kind of node", kind, KINDS))
        try:
            layer, feature = map(int, numbers)
        except ValueError:
            raise ConfigError(
                f"a node without position is KIND:LAYER:INDEX, as in feature:2:46, not {text!r}"
            ) from None
        if not (-1 <= layer < 2**15 - 1 and -1 <= feature < 2**31 - 1):
            raise ConfigError(f"there is no layer {layer} with the index {feature}")
        return cls(kind, layer, feature)


def edge_prompts(tables: AtlasTables, source: Site, target: Site) -> Table:
    """Return the prompts whose graph has an edge between two sites, the largest sum of absolute weights first.

    Columns: prompt (its id), edges (at how many pairs of positions), weight (their sum), weight_abs (sum of absolute
    weights). Reads the edges of one partition. Without such an edge, the table is empty.
    """
    code_N = site_codes(
        layer_N=np.array([source.layer, target.layer]),
        kind_N=np.array([KINDS.index(source.kind), KINDS.index(target.kind)]),
        feature_N=np.array([source.feature, target.feature]),
    )
    code_I = tables.sites.code_I
    place_N = np.searchsorted(code_I, code_N)
    if (place_N == len(code_I)).any() or (code_I[place_N] != code_N).any():
        return _table([], np.empty(0, np.int64), np.empty(0), np.empty(0))
    partition = int(np.searchsorted(tables.starts, place_N[1], side="right")) - 1
    edges = tables.edges(partition)
    chosen_E = np.flatnonzero((edges.target_E == place_N[1]) & (edges.source_E == place_N[0]))
    weight_E = edges.weight_E[chosen_E].astype(np.float64)
    rank_X, place_E, counts_X = np.unique(edges.prompt_E[chosen_E], return_inverse=True, return_counts=True)
    sum_X = np.bincount(place_E, weight_E, len(rank_X))
    abs_X = np.bincount(place_E, np.abs(weight_E), len(rank_X))
    order_X = np.argsort(-abs_X, kind="stable")
    ids = tables.prompt_ids
    return _table([ids[rank] for rank in rank_X[order_X].tolist()], counts_X[order_X], sum_X[order_X], abs_X[order_X])


def _table(prompts: list[str], counts: object, sums: object, absolute: object) -> Table:
    columns = {"edges": counts, "weight": sums, "weight_abs": absolute}
    return Table(
        {"prompt": np.array(prompts, dtype=object), **{name: np.asarray(values) for name, values in columns.items()}}
    )
