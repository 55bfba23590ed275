"""Types, units and meanings of the columns of contrasts."""

from __future__ import annotations

from .columns import COUNT, NO_UNIT, Column
from .findings import KIND_COLUMN

_VALUE = "unit of the measure: influence and share have none"
_TEST = "p-value; NaN if nothing is tested"
COMMON_COLUMNS: dict[str, Column] = {
    "mean_a": Column("f8", _VALUE, "set a: mean over clusters of the clusters' mean values"),
    "mean_b": Column("f8", _VALUE, "set b: mean over clusters of the clusters' mean values"),
    "difference": Column("f8", _VALUE, "mean_a - mean_b; of pairs the mean of the differences"),
    "low": Column("f8", _VALUE, "lower end of the 95% interval of the difference"),
    "high": Column("f8", _VALUE, "upper end of the 95% interval of the difference"),
    "g": Column("f8", NO_UNIT, "Hedges' g: the difference in standard deviations of clusters"),
    "g_low": Column("f8", NO_UNIT, "lower end of the 95% interval of g"),
    "g_high": Column("f8", NO_UNIT, "upper end of the 95% interval of g"),
    "half_1": Column("f8", _VALUE, "difference in one half of the clusters"),
    "half_2": Column("f8", _VALUE, "difference in the other half of the clusters"),
    "p": Column("f8", NO_UNIT, f"twice the smaller one of the p-values of magnitude and presence: {_TEST}"),
    "q": Column("f8", NO_UNIT, "smallest false discovery rate at which the row is found (Benjamini and Hochberg)"),
    "q_by": Column("f8", NO_UNIT, "the same for any dependence of the tests (Benjamini and Yekutieli)"),
    "p_max": Column("f8", NO_UNIT, f"permutation of the largest t of all rows (max-T): {_TEST}"),
    "p_welch": Column("f8", NO_UNIT, f"Welch's test over clusters, or Student's for pairs: {_TEST}"),
    "p_permutation": Column("f8", NO_UNIT, f"labels of clusters exchanged, or signs of pairs flipped: {_TEST}"),
    "p_presence": Column("f8", NO_UNIT, f"the same for the shares of prompts in which it is present: {_TEST}"),
    "t": Column("f8", NO_UNIT, "statistic of p_welch"),
    "df": Column("f8", NO_UNIT, "degrees of freedom of p_welch"),
    "presence_a": Column("f8", NO_UNIT, "set a: mean over clusters of the share of prompts in which it is present"),
    "presence_b": Column("f8", NO_UNIT, "set b: mean over clusters of the share of prompts in which it is present"),
    "clusters_a": Column("i8", COUNT, "clusters of a with a known value"),
    "clusters_b": Column("i8", COUNT, "clusters of b with a known value"),
    "prompts_a": Column("i8", COUNT, "prompts of a in which it is present"),
    "prompts_b": Column("i8", COUNT, "prompts of b in which it is present"),
    "unknown_a": Column("i8", COUNT, "prompts of a whose value is not known, and which are left out of the means"),
    "unknown_b": Column("i8", COUNT, "prompts of b whose value is not known, and which are left out of the means"),
}
_DIFFERING = "whose token occurs in the prompts of one set only: at 1 it may be no more than a name of these tokens"
FEATURE_COLUMNS: dict[str, Column] = {
    "layer": Column("i2", NO_UNIT, "layer of the feature"),
    "feature": Column("i4", NO_UNIT, "index of the feature in its transcoder"),
    **COMMON_COLUMNS,
    "differing_tokens": Column("f8", NO_UNIT, f"share of its active positions {_DIFFERING}"),
}
"""Columns of the table of features."""
EDGE_COLUMNS: dict[str, Column] = {
    **{
        f"{side}_{name}": column
        for side in ("source", "target")
        for name, column in {
            "kind": KIND_COLUMN,
            "layer": Column("i2", NO_UNIT, f"layer of the {side}: -1 for tokens, the number of layers for targets"),
            "feature": Column("i4", NO_UNIT, f"{side}'s feature index; token id for tokens and targets; -1 for errors"),
            "token": Column("", "", f"text of the {side} if it is a token or a target, else empty"),
        }.items()
    },
    **COMMON_COLUMNS,
    "rows_a": Column("i8", COUNT, "prompts of a in which the target's row was computed and the share is known"),
    "rows_b": Column("i8", COUNT, "prompts of b in which the target's row was computed and the share is known"),
    "row_share_a": Column("f8", NO_UNIT, "set a: mean over clusters of the share of prompts that are in rows_a"),
    "row_share_b": Column("f8", NO_UNIT, "set b: mean over clusters of the share of prompts that are in rows_b"),
    "missing_a": Column("f8", NO_UNIT, "set a: how far mean_a may be off, as graphs lack edges into the target"),
    "missing_b": Column("f8", NO_UNIT, "set b: how far mean_b may be off, as graphs lack edges into the target"),
    "differing_tokens": Column("f8", NO_UNIT, f"share of its edges with an end {_DIFFERING}"),
}
"""Columns of the table of edges."""
TOKEN_COLUMNS: dict[str, Column] = {
    "token": Column("", "", "a token"),
    "share_a": Column("f8", NO_UNIT, "share of the prompts of a that contain it"),
    "share_b": Column("f8", NO_UNIT, "share of the prompts of b that contain it"),
    "only_in": Column("", "", "a or b if no prompt of the other set contains it, else empty"),
}
"""Columns of the table of tokens."""
