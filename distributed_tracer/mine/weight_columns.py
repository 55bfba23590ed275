"""Columns of the tables of virtual weights: types, units and meanings."""

from __future__ import annotations

from .columns import COUNT, NO_UNIT, Column

UNIT = "mean |activation| of the target where it is active"
"""Weights have this unit, so that rescaling a feature's encoder and decoder changes none of them."""
ENDS = {
    f"{side}_{name}": Column(kind, NO_UNIT, f"{meaning} of the {side}")
    for side in ("source", "target")
    for name, kind, meaning in (("layer", "i2", "layer"), ("feature", "i4", "feature index"))
}
_WHERE_ACTIVE = {
    "positions_source": Column("i8", COUNT, "token positions at which the source is active"),
    "positions_target": Column("i8", COUNT, "token positions at which the target is active"),
    "positions_both": Column("i8", COUNT, "token positions at which both are active"),
    "clusters_both": Column("i8", COUNT, "clusters in which both are active at one position"),
    "expected": Column("f8", COUNT, "positions_source * positions_target / all positions"),
    "weight": Column("f8", UNIT, "virtual weight * mean |activation| of the source where it is active"),
}
_EDGES = {
    "edges": Column("i8", COUNT, "stored edges at one position, over prompts"),
    "clusters_edges": Column("i8", COUNT, "clusters with such an edge whose direct part is known"),
    "edge": Column(
        "f8", UNIT, "these edges: mean in a prompt, then over prompts of a cluster, then over clusters; NaN if none"
    ),
    "edge_direct": Column("f8", UNIT, "the direct part of `edge`"),
    "edge_attention": Column(
        "f8", UNIT, "edge - edge_direct: what attention carries, and linear skips of the transcoders if there are any"
    ),
    "edges_apart": Column("i8", COUNT, "stored edges between different positions, over prompts"),
    "edge_apart": Column("f8", UNIT, "mean of these edges, as `edge`; attention carries all of them"),
}
PAIRS: dict[str, Column] = {
    **ENDS,
    **_WHERE_ACTIVE,
    "era": Column("f8", UNIT, "E[1(target active) * source activation] * virtual weight, over all positions"),
    "twera": Column("f8", UNIT, "E[source * target activation] / E[target activation] * virtual weight"),
    "direct": Column("f8", UNIT, "twera with the norm scales of each position: the exact direct part of edges"),
    "scale": Column("f8", NO_UNIT, "direct / twera, over positions whose norm scales are known; NaN if none"),
    **_EDGES,
}
TOGETHER: dict[str, Column] = {
    **ENDS,
    **_WHERE_ACTIVE,
    "inflation": Column("f8", NO_UNIT, "variance of positions_both / expected, if both features were independent"),
    "p_fewer": Column("f8", NO_UNIT, "P(as few common positions or fewer by chance); NaN where no power"),
    "q_fewer": Column("f8", NO_UNIT, "smallest false discovery rate (Benjamini-Hochberg) at which these are too few"),
    "p_more": Column("f8", NO_UNIT, "P(as many common positions or more by chance)"),
    "q_more": Column("f8", NO_UNIT, "smallest false discovery rate at which these are too many"),
    "finding": Column(
        "",
        "",
        "interference (too rarely together, weight > 0), inhibition or interference (weight < 0), together, as by "
        "chance, or unknown (no power to see that they avoid each other)",
    ),
}
GATED: dict[str, Column] = {
    **ENDS,
    **_WHERE_ACTIVE,
    "effect": Column("f8", UNIT, "weight * scale: what the source, at its mean activation, adds directly"),
    "clusters_source": Column("i8", COUNT, "clusters in which the source is active"),
    "share": Column("f8", NO_UNIT, "P(target active | source active), the mean over clusters of the source"),
    "share_low": Column("f8", NO_UNIT, "lower end of its 95% interval over clusters"),
    "share_high": Column("f8", NO_UNIT, "upper end of its 95% interval over clusters"),
    **_EDGES,
    "clusters_with_sign": Column("i8", COUNT, "of clusters_edges, those whose mean edge has the sign of the weight"),
    "p_sign": Column("f8", NO_UNIT, "one-sided sign test over clusters_edges; NaN for fewer than 5"),
    "q_sign": Column("f8", NO_UNIT, "smallest false discovery rate at which the sign is stable"),
    "finding": Column("", "", "gated, not shown, or unknown (too few clusters have edges)"),
    "gate_layer": Column("i2", NO_UNIT, "layer of the feature that opens the gate; -1 if none was found"),
    "gate_feature": Column("i4", NO_UNIT, "index of that feature; -1 if none was found"),
    "share_with": Column("f8", NO_UNIT, "share of the positions of source and gate at which the target is active"),
    "share_without": Column("f8", NO_UNIT, "the same for positions of the source without the gate"),
    "q_gate": Column("f8", NO_UNIT, "smallest false discovery rate at which target and gate go together there"),
}
CALIBRATION: dict[str, Column] = {
    "distance": Column("i8", "layers", "layer of the target - layer of the source"),
    "pairs": Column("i8", COUNT, "pairs of the table of pairs whose direct weight is known"),
    "slope": Column("f8", NO_UNIT, "slope of direct against twera, by least squares through 0"),
    "correlation": Column("f8", NO_UNIT, "Pearson correlation of both; NaN for fewer than 3 pairs"),
    "scale_10": Column("f8", NO_UNIT, "quantile 0.1 of direct / twera"),
    "scale_50": Column("f8", NO_UNIT, "median of direct / twera"),
    "scale_90": Column("f8", NO_UNIT, "quantile 0.9 of direct / twera"),
    "pairs_with_edges": Column("i8", COUNT, "of all pairs at this distance, those with edges at one position"),
    "direct_share": Column("f8", NO_UNIT, "sum of |edge_direct| / sum of (|edge_direct| + |edge_attention|) of these"),
    "sign_share": Column("f8", NO_UNIT, "share of these pairs whose edge has the sign of its direct part"),
}
