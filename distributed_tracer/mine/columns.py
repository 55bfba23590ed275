"""Columns: names, types, units and meanings of the columns of an atlas, and the means that follow from its sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..graph.columns import KINDS
from .spill import CLASSES

COUNT, EDGE, NO_UNIT = "count", "unit of the target: pre-activation of a feature, or the target's value", "1"


class Column(NamedTuple):
    """A column: numpy's short name of its dtype (empty for text, `kind` for NodeKinds), its unit, and what it means."""

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
"""Columns of the table of edges; `clusters` is there only if a cluster field was named."""

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
}


def with_means(rows: Mapping[str, npt.NDArray[Any]], num_prompts: int) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of edges with the means over three denominators."""
    unknown = rows["prompts_unknown"]
    return {
        **rows,
        "mean_present": _ratio(rows["sum"], rows["prompts"] - unknown),
        "mean_row": _ratio(rows["sum"], rows["prompts_row"] - unknown),
        "mean_all": _ratio(rows["sum"], num_prompts - unknown),
    }


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

    `of_graphs` says what kind of graphs the statistics are of. Kinds of nodes are given as numbers, text as strings.
    """
    arrow = import_module("pyarrow")
    text = arrow.dictionary(arrow.int8(), arrow.string())
    fields, arrays = [], []
    for name, column in columns.items():
        if name not in rows:
            continue
        about = {"unit": column.unit, "meaning": column.meaning, "graphs": of_graphs}
        if column.kind == "kind":
            kind = text
            arrays.append(arrow.DictionaryArray.from_arrays(arrow.array(rows[name], arrow.int8()), arrow.array(KINDS)))
        elif column.kind:
            kind = arrow.from_numpy_dtype(np.dtype(column.kind))
            arrays.append(arrow.array(np.ascontiguousarray(rows[name]), kind))
        else:
            kind = arrow.string()
            arrays.append(arrow.array([_encodable(str(value)) for value in rows[name]], kind))
        fields.append(arrow.field(name, kind, nullable=False, metadata=about))
    return arrow.Table.from_arrays(arrays, schema=arrow.schema(fields, metadata={"graphs": of_graphs}))


def _encodable(text: str) -> str:
    """Return a text that UTF-8 can encode: half surrogates become replacement characters."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def rebatched(tables: Iterable[Any], num_rows: int) -> Iterable[Any]:
    """Yield tables of exactly `num_rows` rows each, except the last, so that a file does not depend on batches."""
    arrow = import_module("pyarrow")
    waiting: list[Any] = []
    total = 0
    for table in tables:
        waiting.append(table)
        total += table.num_rows
        while total >= num_rows:
            joined = arrow.concat_tables(waiting).combine_chunks()
            yield joined.slice(0, num_rows).combine_chunks()
            waiting, total = [joined.slice(num_rows)], total - num_rows
    if total:
        yield arrow.concat_tables(waiting).combine_chunks()
