"""check_columns: figures of evaluations as columns of the table of prompts."""

from __future__ import annotations

from ...store.evaluations import check_keys
from ...store.object_names import evaluation_kind
from ...store.reader import Store
from ...table import Table

_BY_FINDING = "certificates"
_BY = {"edges": "distance", "faithfulness": "share"}
"""Columns that tell the rows of one prompt apart."""
_ALL = "all"


def check_columns(store: Store) -> dict[str, dict[str, float]]:
    """Return figures by column and prompt id, from the evaluations that were made with the settings used last.

    Columns are named `kind.figure`, or `kind.figure.row` where a prompt has several rows: `edges.spearman` is that of
    all distances, `faithfulness.keep_kl.0.5` that at half of the influence. Raises StoreCorrupt.
    """
    kinds = sorted({str(evaluation_kind(key)) for key in check_keys(store.root)})
    return {name: values for kind in kinds for name, values in _columns(kind, store.checks(kind)).items()}


def _columns(kind: str, table: Table) -> dict[str, dict[str, float]]:
    if kind == _BY_FINDING:  # a row is about a finding of a result, not about the prompt
        return {}
    by = _BY.get(kind, "")
    names = [name for name in table.columns if name not in ("prompt", by) and table[name].dtype.kind in "if"]
    if by not in table and len(set(table["prompt"].tolist())) < len(table):
        return {}  # several rows of a prompt that nothing known tells apart
    found: dict[str, dict[str, float]] = {}
    for row in table.rows():
        of_row = row.get(by, _ALL)
        if kind != "edges" or of_row == _ALL:
            for name in names:
                column = f"{kind}.{name}" if of_row == _ALL else f"{kind}.{name}.{of_row:g}"
                found.setdefault(column, {})[row["prompt"]] = float(row[name])
    return found
