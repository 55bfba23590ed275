"""Rows of the main table of a result, with the verdicts of its certificates, that meet conditions."""

from __future__ import annotations

from collections.abc import Sequence

from ..mine.certificates import certificates_of, with_verdicts
from ..mine.result import Result
from ..table import Table
from .facts import tables_shown
from .row_filter import RowFilter
from .values import Names


def result_rows(result: Result, where: Sequence[str] = ()) -> tuple[str, Table, int]:
    """Return the name of the main table of a result, its rows that meet all conditions, and the number of all rows.

    The main table is the one whose rows are certified, or else the first one that readers want. Raises ConfigError for
    a condition on a column that is not there.
    """
    own = certificates_of(result)
    name = str(own.facts["table"]) if own is not None else tables_shown(result)[0]
    rows = with_verdicts(result, name)
    kinds = {column: "" if rows[column].dtype.kind == "O" else rows[column].dtype.str[1:] for column in rows.columns}
    return name, rows.where(RowFilter.of(where, "", kinds, Names()).mask(rows)), len(rows)
