"""How public objects show themselves, in a terminal in a line, in a notebook as a small table.

What comes from prompts is escaped: it can neither steer a terminal nor be HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

_TEXT = 60


def short(text: str, limit: int = _TEXT) -> str:
    """Text in quotes, cut to `limit` characters, unprintable ones as escapes."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def printable(text: str) -> str:
    """Text that can neither steer a terminal nor begin a line: unprintable characters, as control ones, are escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def listed(items: Sequence[object], limit: int = 3) -> str:
    """The first few, separated by commas, and how many more there are."""
    more = [f"{len(items) - limit:,} more"] if len(items) > limit else []
    shown = [short(item) if isinstance(item, str) else repr(item) for item in items[:limit]]
    return ", ".join([*shown, *more])


def counted(number: int, noun: str) -> str:
    """`1 token`, `1,200 tokens`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def html_facts(title: str, facts: Mapping[str, object]) -> str:
    """A table of names and values for `_repr_html_`; text is escaped."""
    rows = "".join(f"<tr><th>{_cell(name)}</th><td>{_cell(value)}</td></tr>" for name, value in facts.items())
    return f"<table><caption>{_cell(title)}</caption><tbody>{rows}</tbody></table>"


def html_table(columns: Iterable[str], rows: Iterable[Iterable[object]], foot: str) -> str:
    """A table with a line of names, and a line under it; text is escaped."""
    head = "".join(f"<th>{_cell(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{_cell(foot)}</p>"


def _cell(value: object) -> str:
    """Escaped for HTML; what cannot be printed, such as marks that turn text around, as Python writes it."""
    return escape(printable(str(value)))


def format_bytes(num_bytes: int) -> str:
    """Bytes for people."""
    return f"{num_bytes / 2**30:,.2f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:,.1f} MiB"
