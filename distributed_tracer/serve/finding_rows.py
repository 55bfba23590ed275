"""Rows of tables of results as pages show them: nodes with their names, prompts with links, chains as rows of boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..mine.result import Result
from ..result_page.columns import End, ends_of
from ..result_page.shown_table import ShownTable
from ..result_page.values import Names, words
from ..store.reader import Store
from ..table import Table

_PROMPTS = ("prompt", "neighbour", "largest_prompt")
_PAIRS = (("prompt", "neighbour"), ("a", "b"))
"""Columns of two prompts that are compared."""


def prompt_columns(table: ShownTable) -> list[str]:
    """Return the columns of a table that hold ids of prompts."""
    of_kind = ("a", "b") if table.result.info["what"] == "similar" else ()
    return [column for column in table.texts if column in (*_PROMPTS, *of_kind)]


def compared_columns(table: ShownTable) -> list[str]:
    """Return the two columns of the prompts that a row compares; empty if it compares none."""
    own = prompt_columns(table)
    return next((list(pair) for pair in _PAIRS if {*pair} <= {*own}), [])


def head(table: ShownTable, ends: Sequence[End]) -> list[dict[str, Any]]:
    """Return the heads of a table's columns: columns that together name a node are one."""
    of_end = {column: end for end in ends for column in end.columns if column}
    found: list[dict[str, Any]] = []
    for one in dict.fromkeys(of_end.get(column, column) for column in table.columns):
        if isinstance(one, End):
            meaning = "kind, layer and index of a node, with its labels or its token"
            found.append({"node": one.name, "title": one.name, "unit": "", "meaning": meaning, "sort": one.layer})
        else:
            found.append(column_of(table, one))
    return found


def column_of(table: ShownTable, name: str) -> dict[str, Any]:
    """Return what is known of a column."""
    about, is_text = table.about[name], name in table.texts
    unit = str(about["unit"])
    return {
        "column": name,
        "title": words(name),
        "unit": "" if unit == "1" else unit,
        "meaning": str(about["meaning"]),
        "is_text": is_text,
        "is_prompt": name in prompt_columns(table),
        "sort": name,
    }


def row_values(table: ShownTable, rows: Table, names: Names, store: Store) -> list[dict[str, Any]]:
    """Return rows: `values` by column, `nodes` by name, `unknown` prompts, and the key of a `node` if there is one."""
    ends, of_prompts = ends_of(table.columns, table.texts), prompt_columns(table)
    found = []
    for row in rows.rows():
        values = {name: row[name] for name in table.columns}
        nodes = {end.name: _node(end, row, names) for end in ends}
        unknown = [row[column] for column in of_prompts if row[column] and row[column] not in store]
        found.append({"values": values, "nodes": nodes, "unknown": unknown, "node": _key(table, row)})
    return found


def chain_paths(result: Result, chains: Sequence[int], names: Names) -> dict[int, list[dict[str, Any]]]:
    """Return the sites of some chains by their numbers: nodes, each but the first with the share of its edge."""
    wanted, found = set(chains), dict[int, list[dict[str, Any]]]()
    for batch in result.stream("edges"):
        rows = [row for row in batch.rows() if row["chain"] in wanted]
        source, target = (next(end for end in ends_of(batch.columns, _TEXTS) if end.name == name) for name in _ENDS)
        for row in rows:
            path = found.setdefault(row["chain"], [_node(source, row, names)])
            path.append({**_node(target, row, names), "share": row["mean_share"], "prompts": row["prompts"]})
    return found


_ENDS = ("source", "target")
_TEXTS = tuple(f"{name}_kind" for name in _ENDS)


def _node(end: End, row: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """Return the node that columns of a row name, with what is known about it."""
    name, known = end.of(dict(row), names)
    layer, kind, feature = end.key(dict(row))
    return {"kind": kind, "layer": layer, "feature": feature, "name": name, "known": known}


def _key(table: ShownTable, row: Mapping[str, Any]) -> str | None:
    """Return the key of the node in the graph of the row's prompt; None if the row names none."""
    if "prompt" not in table.texts or not {"layer", "position"} <= table.kinds.keys():
        return None
    if "kind" in row and "feature" in row:
        return f"{row['kind']}:{row['layer']}:{row['position']}:{row['feature']}"
    if table.result.info["what"] == "dark-matter" and table.name == "strongest":
        return f"error:{row['layer']}:{row['position']}:-1"
    return None
