"""Columns: names, types, units and meanings of the columns of an atlas, and the means that follow from its sums."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..graph.columns import KINDS
from .pairs import STORED_MOMENTS
from .spill import CLASSES

COUNT, EDGE, NO_UNIT = "count", "unit of the target: pre-activation of a feature, or the target's value", "1"


class Column(NamedTuple):
    """A column: numpy's short name of its dtype, its unit, and what it means.

    The dtype is empty for text, `kind` for numbers of NodeKind and `distance` for numbers of CLASSES, which are text in
    a file.
    """

    kind: str
    unit: str
    meaning: str


_DISTANCES = {
    "0": "0",
    "1": "1",
    "2_3": "2 or 3",
    "4_7": "4 to 7",
    "8_up": "8 or more",
    "negative": "below 0, which no causal model has",
}
_SUM = "per prompt the sum over all positions, then the sum over the prompts in which it is known (prompts - unknown)"
EDGE_COLUMNS: dict[str, Column] = {
    **{
        f"{side}_{name}": column
        for side in ("source", "target")
        for name, column in {
            "kind": Column("kind", "", f"kind of the {side}: {', '.join(KINDS)}"),
            "layer": Column("i2", NO_UNIT, f"layer of the {side}: -1 for tokens, the number of layers for targets"),
            "feature": Column("i4", NO_UNIT, f"{side}'s feature index; token id for tokens and targets; -1 for errors"),
        }.items()
    },
    "prompts": Column("i8", COUNT, "prompts whose graph has an edge between the two, at any positions"),
    "prompts_unknown": Column("i8", COUNT, "of `prompts`, those with an edge whose weight is not finite"),
    "clusters": Column("i8", COUNT, "distinct clusters of `prompts`; prompts without a cluster do not count"),
    "prompts_source": Column("i8", COUNT, "prompts in whose graph the source is a node"),
    "prompts_target": Column("i8", COUNT, "prompts in whose graph the target is a node"),
    "prompts_both": Column("i8", COUNT, "prompts in whose graph both are nodes, at any positions"),
    "prompts_row": Column("i8", COUNT, "prompts in which the edges into the target were computed, at some position"),
    "lift": Column("f8", NO_UNIT, "prompts_both * all prompts / (prompts_source * prompts_target)"),
    "instances": Column("i8", COUNT, "edges between the two, over prompts and positions"),
    "instances_positive": Column("i8", COUNT, "of `instances`, those with a positive weight"),
    "instances_negative": Column("i8", COUNT, "of `instances`, those with a negative weight"),
    "instances_unknown": Column("i8", COUNT, "of `instances`, those whose weight is not finite"),
    "sum": Column("f8", EDGE, f"weights: {_SUM}"),
    "sum_abs": Column("f8", EDGE, f"absolute weights: {_SUM}"),
    "sum_squares": Column("f8", "square of the unit of `sum`", f"square of each prompt's sum of weights: {_SUM}"),
    "min": Column("f8", EDGE, "smallest finite weight of any instance; NaN if there is none"),
    "max": Column("f8", EDGE, "largest finite weight of any instance; NaN if there is none"),
    "mean_present": Column("f8", EDGE, "sum / (prompts - prompts_unknown); NaN if that is 0"),
    "mean_row": Column("f8", EDGE, "sum / (prompts_row - prompts_unknown): absent edges of computed rows count as 0"),
    "mean_row_low": Column("f8", EDGE, "least that mean_row can be in view of sum_dropped; NaN if that is unknown"),
    "mean_row_high": Column("f8", EDGE, "most that mean_row can be in view of sum_dropped; NaN if that is unknown"),
    "mean_all": Column("f8", EDGE, "sum / (all prompts - prompts_unknown): every absent edge counts as 0"),
    "sum_dropped": Column(
        "f8",
        EDGE,
        "upper bound of what --keep-row-mass may have removed from `sum`, either way: the dropped |edge| into the "
        "target; says nothing of edges that pruning removed",
    ),
    "prompts_dropped_unknown": Column("i8", COUNT, "of `prompts_row`, those whose dropped |edge| is unknown"),
    "prompts_share": Column("i8", COUNT, "of `prompts`, those in which the share is known"),
    "sum_share": Column(
        "f8",
        NO_UNIT,
        "per prompt the sum of weights / the sum of row_abs_sum over the target's nodes whose rows were computed, then "
        "the sum over prompts_share",
    ),
    **{
        f"instances_at_{name}": Column("i8", COUNT, f"instances, target position - source position: {_DISTANCES[name]}")
        for name in CLASSES
    },
    **{
        f"sum_at_{name}": Column("f8", EDGE, f"finite weights, target position - source position: {_DISTANCES[name]}")
        for name in CLASSES
    },
}
"""Columns of the edges as a reader gets them; `clusters` is there only if a cluster field was named."""

_SITE = "number of the {}'s site in the table of sites"
_ENDS = {
    "source": Column("i4", NO_UNIT, _SITE.format("source")),
    "target": Column("i4", NO_UNIT, _SITE.format("target")),
}
_PROMPT = Column("i4", NO_UNIT, "number of the prompt in the table of prompts")
INSTANCE_COLUMNS: dict[str, Column] = {
    **_ENDS,
    "prompt": _PROMPT,
    "weight": Column("f4", EDGE, "weight of the edge, as stored"),
    "distance": Column("distance", "positions", "target position - source position: 0, 1, 2_3, 4_7, 8_up, or negative"),
}
"""Columns of the stored tables of single edges."""
RECURRING_COLUMNS = {**_ENDS, **{name: EDGE_COLUMNS[name] for name in STORED_MOMENTS}}
"""Columns of the stored table of pairs that have more than one edge."""
STORED_NODE_COLUMNS: dict[str, Column] = {
    "site": Column("i4", NO_UNIT, _SITE.format("node")),
    "prompt": _PROMPT,
    "in_degree": Column("i4", COUNT, "edges into the node"),
    "activation": Column("f4", "activation", "activation of the feature; NaN for other nodes"),
    "influence": Column("f4", NO_UNIT, "influence of the node"),
    "row_abs_sum": Column("f4", EDGE, "sum of |edge| into the node before pruning; NaN if its edges were not computed"),
    "row_abs_dropped": Column("f4", EDGE, "of it, what --keep-row-mass removed"),
    "error_abs": Column("f8", EDGE, "sum of |edge| into the node from errors"),
}
SITE_COLUMNS: dict[str, Column] = {
    "site": Column("i4", NO_UNIT, "number of the site: its place in the order of layer, kind and feature"),
    "kind": Column("kind", "", f"kind of its nodes: {', '.join(KINDS)}"),
    "layer": Column("i2", NO_UNIT, "layer: -1 for tokens, the number of layers for targets"),
    "feature": Column("i4", NO_UNIT, "feature index; token id for tokens and targets; -1 for errors"),
    "nodes": Column("i8", COUNT, "nodes at this site, over prompts and positions"),
    "prompts": Column("i8", COUNT, "prompts in whose graph it is a node: prompts_source and prompts_target of edges"),
    **{name: EDGE_COLUMNS[name] for name in ("prompts_row", "prompts_dropped_unknown", "sum_dropped")},
}
PROMPT_COLUMNS: dict[str, Column] = {
    "prompt": Column("i4", NO_UNIT, "number of the prompt: its place in the order of ids"),
    "id": Column("", "", "id of the prompt"),
    "cluster": Column("", "", "its cluster as JSON; empty if it has none or if no field was named"),
    "graph": Column("", "", "hash of what was asked and of the sizes of the graph"),
}

FEATURE_COLUMNS: dict[str, Column] = {
    "layer": Column("i2", NO_UNIT, "layer of the feature"),
    "feature": Column("i4", NO_UNIT, "index of the feature in its transcoder"),
    "prompts": Column("i8", COUNT, "prompts in whose graph the feature is a node"),
    "prompts_row": Column("i8", COUNT, "prompts in which the edges into it were computed, at some position"),
    "nodes": Column("i8", COUNT, "nodes that are this feature, over prompts and positions"),
    "nodes_unknown": Column("i8", COUNT, "of `nodes`, those whose activation is not finite"),
    "sum_activation": Column("f8", "activation", "activations of its nodes whose activation is known"),
    "sum_activation_squared": Column("f8", "activation squared", "squares of these activations"),
    "prompts_influence_unknown": Column("i8", COUNT, "of `prompts`, those in which its influence is not finite"),
    "sum_influence": Column("f8", NO_UNIT, "influence of its nodes, over prompts in which it is known"),
    "mean_influence": Column("f8", NO_UNIT, "sum_influence / (prompts - prompts_influence_unknown)"),
    "prompts_error_share": Column("i8", COUNT, "prompts in which the share of errors in its rows is known"),
    "sum_error_share": Column(
        "f8", NO_UNIT, "per prompt |edges| from error nodes / row_abs_sum, both over its nodes, then the sum of prompts"
    ),
    "mean_error_share": Column("f8", NO_UNIT, "sum_error_share / prompts_error_share"),
    "prompts_active": Column("i8", COUNT, "of prompts_active_known, those in which it is active, node or not"),
    "prompts_active_known": Column("i8", COUNT, "prompts whose active features are stored, the same for all features"),
    "prompts_computed": Column("i8", COUNT, "of prompts_computed_known, those in which edges into it were computed"),
    "prompts_computed_known": Column("i8", COUNT, "prompts of which it is known which edges were computed, for all"),
}


ACTIVE_COLUMNS: dict[str, Column] = {
    name: FEATURE_COLUMNS[name] for name in ("layer", "feature", "prompts_active", "prompts_computed")
}
"""Columns of the stored table of active features, which has also those that are no node of any graph."""
NAMES = {"kind": KINDS, "distance": CLASSES}
"""Text of columns whose rows are given as numbers."""


def edge_means(rows: Mapping[str, npt.NDArray[Any]], num_prompts: int) -> dict[str, npt.NDArray[Any]]:
    """Return the means of edges over three denominators, and the bounds of the second."""
    unknown, num_row = rows["prompts_unknown"], rows["prompts_row"] - rows["prompts_unknown"]
    is_bounded = rows["prompts_dropped_unknown"] == 0
    return {
        "mean_present": _ratio(rows["sum"], rows["prompts"] - unknown),
        "mean_row": _ratio(rows["sum"], num_row),
        "mean_row_low": np.where(is_bounded, _ratio(rows["sum"] - rows["sum_dropped"], num_row), np.nan),
        "mean_row_high": np.where(is_bounded, _ratio(rows["sum"] + rows["sum_dropped"], num_row), np.nan),
        "mean_all": _ratio(rows["sum"], num_prompts - unknown),
    }


MEANS = ("mean_present", "mean_row", "mean_row_low", "mean_row_high", "mean_all")
OF_MEANS = ("sum", "prompts", "prompts_unknown", "prompts_row", "prompts_dropped_unknown", "sum_dropped")
"""Columns from which `edge_means` makes MEANS."""


def ratio_columns(rows: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of features with their means."""
    known = rows["prompts"] - rows["prompts_influence_unknown"]
    return {
        **rows,
        "mean_influence": _ratio(rows["sum_influence"], known),
        "mean_error_share": _ratio(rows["sum_error_share"], rows["prompts_error_share"]),
    }


def _ratio(sums: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return found


def arrow_table(columns: Mapping[str, Column], rows: Mapping[str, npt.NDArray[Any]], of_graphs: str) -> Any:
    """Return rows as a pyarrow.Table with the unit and the meaning of each column in its metadata.

    `of_graphs` says what kind of graphs the statistics are of. Kinds of nodes and distances are given as numbers, text
    as strings.
    """
    arrow = import_module("pyarrow")
    fields, arrays = [], []
    for name, column in columns.items():
        if name not in rows:
            continue
        about = {"unit": column.unit, "meaning": column.meaning, "graphs": of_graphs}
        if column.kind in NAMES:
            kind, names = arrow.dictionary(arrow.int8(), arrow.string()), arrow.array(NAMES[column.kind])
            arrays.append(arrow.DictionaryArray.from_arrays(arrow.array(rows[name], arrow.int8()), names, safe=False))
        elif column.kind:
            kind = arrow.from_numpy_dtype(np.dtype(column.kind))
            arrays.append(arrow.array(np.ascontiguousarray(rows[name]), kind))
        else:
            kind = arrow.string()
            arrays.append(arrow.array([_encodable(str(value)) for value in rows[name]], kind))
        fields.append(arrow.field(name, kind, nullable=False, metadata=about))
    return arrow.Table.from_arrays(arrays, schema=arrow.schema(fields, metadata={"graphs": of_graphs}))


def encodings(columns: Mapping[str, Column]) -> dict[str, Any]:
    """Return arguments of pyarrow.parquet.ParquetWriter that say how columns are encoded.

    Differences of counts and numbers of sites are small, and bytes of floats are much alike. Both encodings take a
    fraction of the time of a dictionary of numbers, few of which occur twice.
    """
    return {
        "use_dictionary": [name for name, column in columns.items() if column.kind in NAMES or not column.kind],
        "column_encoding": {
            name: "BYTE_STREAM_SPLIT" if column.kind[0] == "f" else "DELTA_BINARY_PACKED"
            for name, column in columns.items()
            if column.kind not in NAMES and column.kind
        },
    }


def _encodable(text: str) -> str:
    """Return a text that UTF-8 can encode: half surrogates become replacement characters."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def is_encodable(text: str) -> bool:
    """Whether a text is in a file as it is."""
    return _encodable(text) == text
