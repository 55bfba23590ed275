"""Certificates beside a result: the verdicts that interventions gave on its findings, which `certify` has written."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..table import Table
from .result import DOCUMENT, Result, open_result

CERTIFICATES = "certificates"
"""Folder within that of a result, kind of the result in it, and name of its main table."""
UNTESTED = "untested"
"""Verdict on a finding that has no certificate."""


def certificates_of(result: Result) -> Result | None:
    """Return the certificates that lie beside a result; None if there are none, or those of another result.

    Raises ResultError if they are damaged.
    """
    folder = result.path / CERTIFICATES
    if result.info["what"] == CERTIFICATES or not (folder / DOCUMENT).is_file():
        return None
    found = open_result(folder)
    is_of_this = found.info["settings"].get("result") == result.info.get("sha256")
    return found if found.info["what"] == CERTIFICATES and is_of_this else None


def with_certificates(results: Iterable[Result]) -> list[Result]:
    """Return results, each followed by its certificates if they lie beside it and are not among the results."""
    given = list(results)
    paths = {result.path.resolve() for result in given}
    found = []
    for result in given:
        found.append(result)
        own = certificates_of(result)
        if own is not None and own.path.resolve() not in paths:
            found.append(own)
    return found


def with_verdicts(result: Result, table: str) -> Table:
    """Return a table of a result; the one whose rows are certified has the columns verdict and certificate_q, too.

    `certificate_q` is NaN for findings that were not tested.
    """
    rows, own = result.table(table), certificates_of(result)
    if own is None or own.facts.get("table") != table:
        return rows
    verdict = np.full(len(rows), UNTESTED, dtype=object)
    q = np.full(len(rows), np.nan)
    for row in own.table(CERTIFICATES, ["finding", "verdict", "q"]).rows():
        verdict[row["finding"]], q[row["finding"]] = row["verdict"], row["q"]
    certified = "certified" if "verdict" in rows else "verdict"  # communities have a verdict of their own
    return Table({**{name: rows[name] for name in rows.columns}, certified: verdict, "certificate_q": q})
