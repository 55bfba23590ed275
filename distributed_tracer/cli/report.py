"""Command that shows what mining has found: report."""

from __future__ import annotations

from typing import Annotated

import tyro
from tyro.conf import Positional

from ..redact import redacted
from ..text import counted, format_bytes, printable


def report(
    results: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="RESULT...")],
    out: str,
    store: str | None = None,
    top: int = 100,
) -> int:
    """Write the findings of results of mining as one page of HTML, which any browser shows without a network.

    The page has for each result what it is of, how many tests were made, what the data cannot say, pictures, and the
    strongest rows of each table. docs/report.md says how to read it.

    Args:
        results: Folders that `mine` has written, in the order of the page.
        out: File to write, such as findings.html. An existing file is replaced.
        store: Directory or URL of the store, for labels of features and the text of tokens.
        top: Number of rows of each table, at most 2,000.
    """
    from ..result_page.page import write_report
    from ..store.reader import open_store

    path = write_report(results, out, None if store is None else open_store(store), top)
    size = format_bytes(path.stat().st_size)
    print(printable(f"wrote {counted(len(results), 'result')} to {redacted(out)}, {size}"))
    return 0
