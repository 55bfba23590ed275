"""Columns of the result of `mine consensus`: types, units and meanings."""

from __future__ import annotations

from ..graph.columns import KINDS
from .columns import COUNT, NO_UNIT, Column

_FREQUENCY: dict[str, Column] = {
    "prompts": Column("i8", COUNT, "prompts with a cluster whose graph has it, at any positions"),
    "clusters": Column("i8", COUNT, "clusters that include it: enough of their prompts have it"),
    "frequency": Column("f8", NO_UNIT, "clusters / all clusters"),
    "low": Column("f8", NO_UNIT, "lower end of the 95% interval of the frequency (Clopper and Pearson)"),
    "high": Column("f8", NO_UNIT, "upper end of this interval"),
}
_DECISION: dict[str, Column] = {
    "status": Column("", "", "in: it is in the consensus graph; out: it is not; abstains: the samples do not say it"),
    "radius": Column("i8", COUNT, "clusters that anyone may remove without removing it; -1 if it is not in the graph"),
}
_KIND = Column("", "", f"kind of the node: {', '.join(KINDS)}")
_LAYER = Column("i2", NO_UNIT, "layer: -1 for tokens, the number of layers for targets")
_FEATURE = Column("i4", NO_UNIT, "feature index; token id for tokens and targets; -1 for errors")
_SELECTED = "of the subsamples of clusters that choose the edge; NaN for the rule `frequency`"
TABLES: dict[str, dict[str, Column]] = {
    "edges": {
        "source": Column("", "", "name of the source"),
        "target": Column("", "", "name of the target"),
        **{
            f"{side}_{name}": column
            for side in ("source", "target")
            for name, column in (("kind", _KIND), ("layer", _LAYER), ("feature", _FEATURE))
        },
        **_FREQUENCY,
        "share": Column("f8", NO_UNIT, "share of the influence that edges pass on: mean over prompts, then clusters"),
        "share_low": Column("f8", NO_UNIT, "lower end of its 95% interval over bootstraps of clusters"),
        "share_high": Column("f8", NO_UNIT, "upper end of this interval; NaN with fewer than two clusters"),
        "signed_share": Column("f8", NO_UNIT, "the same mean, with edges that lower their target counted as negative"),
        **_DECISION,
        "selected": Column("f8", NO_UNIT, f"share {_SELECTED}"),
        "selected_low": Column("f8", NO_UNIT, f"lower bound of the share {_SELECTED}"),
        "selected_high": Column("f8", NO_UNIT, f"upper bound of the share {_SELECTED}"),
    },
    "nodes": {
        "node": Column("", "", "name of the node"),
        "kind": _KIND,
        "layer": _LAYER,
        "feature": _FEATURE,
        **_FREQUENCY,
        "influence": Column("f8", NO_UNIT, "influence, summed over positions: mean over prompts, then over clusters"),
        **_DECISION,
    },
}
"""Columns of each table, in order."""
