"""Types, units and meanings of the columns of motifs."""

from __future__ import annotations

from .columns import COUNT, NO_UNIT, Column
from .findings import KIND_COLUMN

_TEXT = ""
_NUMBER = "count, or a sum of products of shares for motifs that end in _share"
_NULL = Column(_TEXT, "", "which degrees the draws keep: position, signed or layer; docs/motifs.md")
_MOTIF = Column(_TEXT, "", "name of the motif; docs/motifs.md has the formula of each")

MOTIF_COLUMNS: dict[str, Column] = {
    "null": _NULL,
    "motif": _MOTIF,
    "controlled": Column(_TEXT, "", "no if what the draws do not keep may make the motif frequent; docs/motifs.md"),
    "graphs": Column(
        "i8", COUNT, "graphs in which observed graph and draws are not all equal, so that they are tested"
    ),
    "graphs_unknown": Column("i8", COUNT, "other graphs: the null says nothing of them"),
    "clusters": Column("i8", COUNT, "clusters with such a graph"),
    "observed": Column("f8", _NUMBER, "number in a tested graph: mean of clusters, then over clusters"),
    "null_mean": Column("f8", _NUMBER, "mean of the draws, in the same way"),
    "log_ratio": Column("f8", NO_UNIT, "natural logarithm of observed / null_mean of a graph, in the same way"),
    "low": Column("f8", NO_UNIT, "lower end of Student's 95% interval of log_ratio over clusters"),
    "high": Column("f8", NO_UNIT, "upper end of this interval"),
    "z": Column("f8", NO_UNIT, "(observed - null_mean) / null_sd of a graph, in the same way"),
    "more": Column("f8", NO_UNIT, "share of tested graphs with p <= 0.05 (expected without effect: 0.05 or less)"),
    "fewer": Column("f8", NO_UNIT, "share of tested graphs with p_low <= 0.05"),
    "rank": Column("f8", NO_UNIT, "rank of a graph from -1 to 1, in the same way: what is tested; 0 without effect"),
    "p": Column("f8", NO_UNIT, "p-value over clusters, two-sided: signs of the clusters' ranks flipped"),
    "q": Column(
        "f8", NO_UNIT, "smallest false discovery rate over motifs of this null and `controlled` (Benjamini, Hochberg)"
    ),
    "q_by": Column("f8", NO_UNIT, "the same for any dependence of the tests (Benjamini and Yekutieli)"),
    "p_max": Column("f8", NO_UNIT, "p-value for the largest statistic of all motifs of this null (max-T)"),
}
"""Columns of the table of motifs."""
GRAPH_COLUMNS: dict[str, Column] = {
    "prompt": Column(_TEXT, "", "id of the prompt"),
    "cluster": Column(_TEXT, "", "cluster of the prompt"),
    "null": _NULL,
    "motif": _MOTIF,
    "observed": Column("f8", _NUMBER, "number in the graph"),
    "null_mean": Column("f8", _NUMBER, "mean of the draws"),
    "null_sd": Column("f8", _NUMBER, "standard deviation of the draws"),
    "z": Column("f8", NO_UNIT, "(observed - null_mean) / null_sd; NaN if the draws are all equal"),
    "log_ratio": Column("f8", NO_UNIT, "natural logarithm of observed / null_mean; NaN if one of them is 0"),
    "p": Column("f8", NO_UNIT, "(1 + draws with at least this number) / (draws + 1); NaN if all are equal"),
    "p_low": Column("f8", NO_UNIT, "(1 + draws with at most this number) / (draws + 1); NaN if all are equal"),
    "rank": Column("f8", NO_UNIT, "place among the draws, from -1 (smallest) to 1; ties are broken at random"),
}
"""Columns of the table of graphs."""
NULL_COLUMNS: dict[str, Column] = {
    "prompt": Column(_TEXT, "", "id of the prompt"),
    "null": _NULL,
    "edges": Column("i8", COUNT, "edges in which motifs are counted"),
    "left_out": Column("i8", COUNT, "edges left out: weight 0 or not known, or from a node to itself"),
    "exchangeable": Column("f8", NO_UNIT, "share of edges in blocks with two sources or more"),
    "fixed": Column("f8", NO_UNIT, "share of edges that every graph with these degrees has; with signed more may be"),
    "moved": Column("f8", NO_UNIT, "share of edges that have another source in some draw"),
    "acceptance": Column("f8", NO_UNIT, "share of proposed swaps that changed the graph; NaN if none was proposed"),
}
"""Columns of the table of nulls."""
LOOP_COLUMNS: dict[str, Column] = {
    **{
        f"{place}_{name}": column
        for place in ("first", "middle", "last")
        for name, column in {
            "kind": KIND_COLUMN,
            "layer": Column("i2", NO_UNIT, f"layer of the {place} node: -1 for tokens, number of layers for targets"),
            "feature": Column("i4", NO_UNIT, f"{place} node's feature index; token id for tokens and targets; else -1"),
            "name": Column(_TEXT, "", f"name of the {place} node"),
        }.items()
    },
    "signs": Column(_TEXT, "", "signs of the edges first to middle, middle to last, first to last"),
    "coherent": Column(_TEXT, "", "yes if the way through the middle has the sign of the direct edge"),
    "prompts": Column("i8", COUNT, "prompts that have the loop"),
    "prompts_sites": Column("i8", COUNT, "prompts in which all three are nodes, at any positions, loop or not"),
    "clusters": Column("i8", COUNT, "clusters that have it"),
    "instances": Column("i8", COUNT, "loops of these sites and signs, over prompts and positions"),
    "prompts_unknown": Column("i8", COUNT, "of `prompts`, those in which a share is not known, which then counts 0"),
    "strength": Column("f8", NO_UNIT, "product of the three shares, summed in a prompt: mean over all clusters"),
    "direct": Column("f8", NO_UNIT, "share of the direct edge in the last node's row: mean over `prompts`"),
    "through": Column("f8", NO_UNIT, "product of the shares of the way through the middle: mean over `prompts`"),
}
"""Columns of the table of loops."""
TABLES = {"motifs": MOTIF_COLUMNS, "loops": LOOP_COLUMNS, "nulls": NULL_COLUMNS, "graphs": GRAPH_COLUMNS}
