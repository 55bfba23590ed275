"""Text for people: public objects as one line in a terminal, and as a small table in a notebook.

Text from prompts is escaped, so that it can neither control a terminal nor act as HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

_TEXT = 60


def short(text: str, limit: int = _TEXT) -> str:
    """Return the text in quotes, cut to `limit` characters, with unprintable characters escaped."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def printable(text: str) -> str:
    """Return the text with unprintable characters escaped, so that it can neither control a terminal nor begin a
    line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def listed(items: Sequence[object], limit: int = 3) -> str:
    """Return the first `limit` items, separated by commas, and the number of further ones."""
    more = [f"{len(items) - limit:,} more"] if len(items) > limit else []
    shown = [short(item) if isinstance(item, str) else repr(item) for item in items[:limit]]
    return ", ".join([*shown, *more])


def and_more(number: int, before: str = " ") -> str:
    """Return `before` and how many more items than the named ones there are: ` and 3 more`; empty if there are none."""
    return f"{before}and {number:,} more" if number > 0 else ""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 token`, `1,200 tokens`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def html_facts(title: str, facts: Mapping[str, object]) -> str:
    """Return an HTML table of names and values for `_repr_html_`; text is escaped."""
    rows = "".join(f"<tr><th>{_cell(name)}</th><td>{_cell(value)}</td></tr>" for name, value in facts.items())
    return f"<table><caption>{_cell(title)}</caption><tbody>{rows}</tbody></table>"


def html_table(columns: Iterable[str], rows: Iterable[Iterable[object]], foot: str) -> str:
    """Return an HTML table with a line of column names above and the line `foot` below; text is escaped."""
    head = "".join(f"<th>{_cell(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{_cell(foot)}</p>"


def _cell(value: object) -> str:
    """Return a value escaped for HTML; unprintable characters, such as marks that reverse text, become Python
    escapes."""
    return escape(printable(str(value)))


def format_bytes(num_bytes: int) -> str:
    """Return a number of bytes as text in MiB or GiB."""
    return f"{num_bytes / 2**30:,.2f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:,.1f} MiB"
