"""Tables of chains: their columns, and what stands in them.

Axes: I site of a chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..graph.columns import KINDS
from ..table import Table
from ..text import short
from .chain_support import ChainSupport
from .chains import Chain
from .columns import COUNT, NO_UNIT, Column
from .sites import Sites

_END = {
    "kind": Column("kind", "", f"kind: {', '.join(KINDS)}"),
    "layer": Column("i2", NO_UNIT, "layer: -1 for tokens, the number of layers for targets"),
    "feature": Column("i4", NO_UNIT, "index of the feature; token id of a token or target; -1 for errors"),
}
CHAIN_COLUMNS: dict[str, Column] = {
    "chain": Column("i4", NO_UNIT, "number of the chain, the strongest first"),
    "path": Column("", "", "the chain's sites; features as layer:index, tokens and targets with their texts"),
    "edges": Column("i2", COUNT, "edges of the chain"),
    "sign": Column("i1", NO_UNIT, "sign of the product of the mean shares of its edges"),
    "strength": Column(
        "f8",
        NO_UNIT,
        "product_of_shares times the share of the atlas's prompts that have the target; the chains are chosen by it",
    ),
    "product_of_shares": Column("f8", NO_UNIT, "product of the absolute mean shares of its edges"),
    "mean_share": Column(
        "f8",
        NO_UNIT,
        "share of the target's row that flows along the chain in one graph, mean over the clusters of the prompts that "
        "have the target, 0 where the chain is not whole",
    ),
    "low": Column(
        "f8",
        NO_UNIT,
        "lower end of the 95% interval of mean_share over clusters; NaN for one cluster, and if all are equal",
    ),
    "high": Column("f8", NO_UNIT, "upper end of that interval"),
    "prompts": Column("i8", COUNT, "prompts in which the whole chain is there, at positions that never go back"),
    "clusters": Column("i8", COUNT, "distinct clusters of these prompts; without clusters, these prompts"),
    "prompts_target": Column("i8", COUNT, "prompts in whose graph the target is a node"),
    "clusters_target": Column("i8", COUNT, "distinct clusters of these prompts"),
    "prompts_unknown": Column("i8", COUNT, "of `prompts`, those in which the share is not known; they are left out"),
    "prompts_weakest": Column("i8", COUNT, "prompts of the atlas that have the rarest edge of the chain"),
}
"""Columns of the table of chains."""
EDGE_COLUMNS: dict[str, Column] = {
    "chain": Column("i4", NO_UNIT, "number of the chain, as in the table of chains"),
    "step": Column("i2", NO_UNIT, "number of the edge in its chain, from 1 at the beginning"),
    **{
        f"{side}_{name}": column._replace(meaning=f"{side}'s {column.meaning}")
        for side in ("source", "target")
        for name, column in _END.items()
    },
    "mean_share": Column("f8", NO_UNIT, "mean share of the target's row, over the prompts in which it was computed"),
    "prompts": Column("i8", COUNT, "prompts of the atlas that have the edge"),
}
"""Columns of the table of the chains' edges."""


def chain_table(chains: Sequence[Chain], supports: Sequence[ChainSupport], names: Mapping[int, str]) -> Table:
    """Return a row for each chain; `names` has the texts of tokens by their ids."""
    columns = {
        "chain": range(1, len(chains) + 1),
        "path": [_path(chain.sites, names) for chain in chains],
        "edges": [len(chain.shares) for chain in chains],
        "sign": [int(np.prod(np.sign(chain.shares))) for chain in chains],
        "strength": [chain.strength for chain in chains],
        "product_of_shares": [chain.product for chain in chains],
        "mean_share": [support.share for support in supports],
        **{
            name: [getattr(support, name) for support in supports]
            for name in ("low", "high", "prompts", "clusters", "prompts_target", "clusters_target", "prompts_unknown")
        },
        "prompts_weakest": [min(chain.prompts, default=0) for chain in chains],
    }
    return _table(columns, CHAIN_COLUMNS)


def edge_table(chains: Sequence[Chain]) -> Table:
    """Return a row for each edge of each chain."""
    rows: dict[str, list[Any]] = {name: [] for name in EDGE_COLUMNS}
    for number, chain in enumerate(chains, 1):
        own = _sites(chain.sites)
        ends = list(zip(own.kind_I.tolist(), own.layer_I.tolist(), own.feature_I.tolist(), strict=True))
        steps = zip(ends, ends[1:], chain.shares, chain.prompts, strict=False)
        for step, (source, target, share, prompts) in enumerate(steps, 1):
            values = (number, step, KINDS[source[0]], *source[1:], KINDS[target[0]], *target[1:], share, prompts)
            for name, value in zip(EDGE_COLUMNS, values, strict=True):
                rows[name].append(value)
    return _table(rows, EDGE_COLUMNS)


def _table(values: Mapping[str, Iterable[Any]], columns: Mapping[str, Column]) -> Table:
    return Table(
        {
            name: np.array(list(values[name]), dtype=column.kind if column.kind not in ("", "kind") else object)
            for name, column in columns.items()
        }
    )


def _sites(codes: Sequence[int]) -> Sites:
    code_I = np.array(codes, dtype=np.int64)
    return Sites(code_I, np.zeros_like(code_I), np.zeros_like(code_I))


def _path(codes: Sequence[int], names: Mapping[int, str]) -> str:
    """Return the sites of a chain as text."""
    own = _sites(codes)
    return " → ".join(
        site_name(KINDS[kind], layer, feature, names)
        for kind, layer, feature in zip(own.kind_I.tolist(), own.layer_I.tolist(), own.feature_I.tolist(), strict=True)
    )


def site_name(kind: str, layer: int, feature: int, names: Mapping[int, str]) -> str:
    """Return the name of a site: a feature as layer:index, a token or a target with its text if it is known."""
    if kind == "feature":
        return f"{layer}:{feature}"
    if kind == "error":
        return f"error of layer {layer}"
    return short(names[feature], 40) if feature in names else f"{kind} {feature}"
