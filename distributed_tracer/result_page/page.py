"""The page of some results: one file of HTML that needs nothing else, and asks no address for anything.

Tables and pictures are there without the script of the page, which sorts and filters rows. The security policy allows
this script and this style and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from ..errors import ConfigError
from ..export.atomic import check_file, new_file
from ..export.page import security_policy
from ..mine.certificates import with_certificates
from ..mine.result import Result, open_result
from ..mine.token_names import token_names
from ..store.reader import Store
from ..text import counted
from .facts import tests_of
from .section import Section, text
from .values import Names, place_text

_TOP = 100
MOST_ROWS = 2_000
"""Largest number of rows of each table."""


def write_report(
    results: str | Path | Result | Sequence[str | Path | Result],
    out: str | Path,
    store: Store | None = None,
    top: int = _TOP,
) -> Path:
    """Write the findings of some results of mining as one page of HTML, and return its path.

    The page needs no network. It has the first `top` rows of every table, strongest first where the table has no order
    of its own, and pictures of what can be drawn; it says what it leaves out. With a `store`, features have the labels
    and tokens the text that they have there. Raises ConfigError without results, for a number of rows out of range, or
    for a place that cannot be written, before anything is read; ResultError for a result that cannot be read.
    """
    given = [results] if isinstance(results, str | Path | Result) else list(results)
    if not given:
        raise ConfigError("no result: name at least one folder that `mine` has written")
    if not 1 <= top <= MOST_ROWS:
        raise ConfigError(f"a table of the page has between 1 and {MOST_ROWS:,} rows, not {top:,}")
    destination = Path(out).expanduser()
    check_file(destination)
    opened = with_certificates(one if isinstance(one, Result) else open_result(one) for one in given)
    page = report_page(opened, store, top)
    with new_file(destination) as file:
        file.write(page.encode("utf-8"))
    return destination


def report_page(results: Sequence[Result], store: Store | None = None, top: int = _TOP) -> str:
    """Return the page of some results as text."""
    names = Names() if store is None else Names(store.labels, token_names(store))
    sections = [Section(result, number, names, top) for number, result in enumerate(results, 1)]
    body = "\n".join(section.html() for section in sections)
    folder = files(__package__).joinpath("html")
    template, script, *styles = (
        folder.joinpath(name).read_text(encoding="utf-8")
        for name in ("page.html", "script.js", "style.css", "picture.css")
    )
    style = "".join(styles)
    stores = sorted({place_text(str(result.info.get("store") or "unknown store")) for result in results})
    title = text(f"Findings in {', '.join(stores)}", 200)
    parts = {
        "policy": security_policy(script, style),
        "title": title,
        "style": style,
        "head": _head(sections, results, stores),
        "body": body,
        "script": script,
    }
    return re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], template)


def _head(sections: Sequence[Section], results: Sequence[Result], stores: Sequence[str]) -> str:
    """Return what stands below the title: how many results, how many tests, and a link to each result."""
    tests = [number for result in results for number in tests_of(result).values()]
    made = f"{sum(tests):,} tests were made for them" if tests else "none of them records tests"
    facts = f"{counted(len(results), 'result')} of mining; {made}."
    if len(stores) > 1:
        facts += f" They are of {len(stores)} different stores: compare with care."
    if len(tests) > 1:
        facts += " Each result keeps its own rate of false discoveries, not all of them together."
    links = "".join(f'<li><a href="#{section.id}">{text(section.title)}</a></li>' for section in sections)
    return f'<p>{escape(facts)}</p><nav aria-label="results"><ul>{links}</ul></nav>'
