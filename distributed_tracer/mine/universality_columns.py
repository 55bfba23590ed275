"""Columns of the result of `mine universality`: types, units and meanings."""

from __future__ import annotations

from .columns import COUNT, NO_UNIT, Column

LAYER_A = Column("i4", "", "layer in store a")
FEATURE_A = Column("i4", "", "index of the feature in this layer")
LAYER_B = Column("i4", "", "layer in store b")
FEATURE_B = Column("i4", "", "index of the feature in this layer")
_SIMILARITY = "of the activations over all positions of all common prompts"


def _end(side: str) -> dict[str, Column]:
    """Return the columns of one end of an edge."""
    return {
        f"{side}_layer_a": Column("i4", "", f"layer of the {side} in store a"),
        f"{side}_feature_a": Column("i4", "", "index of this feature"),
        f"{side}_layer_b": Column("i4", "", f"layer of the feature of store b that matches the {side}"),
        f"{side}_feature_b": Column("i4", "", "index of this feature"),
    }


def _both(name: str, kind: str, unit: str, meaning: str) -> dict[str, Column]:
    return {f"{name}_{side}": Column(kind, unit, f"{meaning} in store {side}") for side in "ab"}


TABLES: dict[str, dict[str, Column]] = {
    "matches": {
        "layer_a": LAYER_A,
        "feature_a": FEATURE_A,
        "layer_b": Column("i4", "", "layer of the most similar feature of store b"),
        "feature_b": Column("i4", "", "index of this feature"),
        "matched": Column("", "", "yes: a match; no: none is found; unknown: two features of a store fit equally well"),
        "correlation": Column("f8", NO_UNIT, f"Pearson's correlation {_SIMILARITY}"),
        "jaccard": Column("f8", NO_UNIT, f"weighted Jaccard index {_SIMILARITY}, each divided by its sum"),
        "margin": Column(
            "f8", NO_UNIT, "similarity minus that of the second most similar feature, the smaller of both sides"
        ),
        "mutual": Column("", "", "yes if each of both features is the most similar one to the other"),
        "p": Column("f8", NO_UNIT, "p-value under shuffles, the larger one of both features; 1 if not mutual"),
        "q": Column("f8", NO_UNIT, "smallest false discovery rate at which it is a match (Benjamini and Hochberg)"),
        **_both("clusters", "i8", COUNT, "clusters in which the feature is active"),
        **_both("sites", "i8", COUNT, "positions at which it is active"),
    },
    "layers": {
        "layer_a": LAYER_A,
        "layer_b": LAYER_B,
        "matched": Column("i8", COUNT, "matches between these layers"),
        "share_a": Column("f8", NO_UNIT, "share of the known features of layer_a that have a match in layer_b"),
        "share_b": Column("f8", NO_UNIT, "share of the known features of layer_b that have a match in layer_a"),
        "correlation": Column("f8", NO_UNIT, "mean correlation of these matches; NaN if there are none"),
        "nearest": Column("", "", "yes if most matches of layer_a are in layer_b"),
    },
    "edges": {
        **_end("source"),
        **_end("target"),
        "conserved": Column(
            "", "", "yes or no for strong edges of store a; weak; unknown: its ends are together in too few clusters"
        ),
        **_both("share", "f8", NO_UNIT, "mean over clusters of its signed share of the influence that edges pass on,"),
        **_both("clusters", "i8", COUNT, "clusters that have this edge"),
        **_both("together", "i8", COUNT, "clusters with a graph of which both ends are nodes"),
        "p": Column("f8", NO_UNIT, "share of pairs of these layers with as large an effect of this sign in store b"),
        "q": Column("f8", NO_UNIT, "smallest false discovery rate at which it is conserved (Benjamini and Hochberg)"),
    },
    "summary": {
        "quantity": Column("", "", "what is shared"),
        "value": Column("f8", NO_UNIT, "share of what the data can say something about"),
        "low": Column("f8", NO_UNIT, "lower end of its 95% interval over clusters; NaN if there are too few"),
        "high": Column("f8", NO_UNIT, "upper end of this interval"),
        "floor": Column("f8", NO_UNIT, "the same under shuffles, or for permuted matchings: mean"),
        "ceiling": Column("f8", NO_UNIT, "the same for the store against itself"),
        "halves_same": Column("f8", NO_UNIT, "one half of the clusters against the other half, within a store: mean"),
        "halves_other": Column(
            "f8", NO_UNIT, "one half of the clusters of a store against the other half of the other store"
        ),
        "p": Column("f8", NO_UNIT, "p-value of the value under permuted matchings"),
        "number": Column("i8", COUNT, "features or edges of which the share is"),
        "unknown": Column("i8", COUNT, "features or edges of which the data cannot say it; they are left out"),
        "meaning": Column("", "", "what the share is of"),
    },
    "features": {
        "store": Column("", "", "a or b"),
        "layer": Column("i4", "", "layer of the feature"),
        "feature": Column("i4", "", "index of the feature"),
        "status": Column("", "", "matched, unmatched or unknown"),
        "why_unknown": Column("", "", "why it is unknown; empty otherwise"),
        "clusters": Column("i8", COUNT, "clusters in which it is active"),
        "templates_varying": Column("i8", COUNT, "templates with a position at which prompts differ in its activation"),
        "sites": Column("i8", COUNT, "positions at which it is active"),
        "p_alone": Column("f8", NO_UNIT, "p-value of its largest similarity alone; NaN if unknown"),
    },
}
"""Columns of each table, in order."""
