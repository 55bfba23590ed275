"""A result as a section of the page: what it is, what the data cannot say, pictures, tables, and its provenance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ..mine.certificates import CERTIFICATES
from ..mine.result import Result
from ..table import Table
from ..text import counted
from .columns import End, ends_of
from .facts import basis_of, limits_of, main_numbers, provenance_of, tables_shown
from .kinds import KindView, view_of
from .shown_table import ShownTable
from .strongest_rows import StrongestRows
from .svg import cut
from .values import Names, number_text, value_text, visible, words

MOST_READ = 20_000
"""Largest number of rows that are read for pictures; of dots, a picture has fewer."""
_LONG = 24
"""Texts longer than this have a wide column."""
_TEXT = 300
"""Longest text of a cell."""


def text(value: str, length: int = _TEXT) -> str:
    """Return text as HTML: cut, escaped, and without characters that control or reverse text."""
    return escape(cut(value, length))


class Section:
    """One result as HTML. Everything that comes from the result is escaped, file names and column names included."""

    def __init__(self, result: Result, number: int, names: Names, top: int) -> None:
        self._result, self._names, self._top = result, names, top
        self._what = str(result.info["what"])
        self._view: KindView = view_of(self._what)
        self.id = f"result-{number}"
        self.title = f"{self._view.title}: {_name(result)}"

    def html(self) -> str:
        """Return the section."""
        body = [
            f'<section class="result" id="{self.id}" aria-labelledby="{self.id}-title">',
            f'<h2 id="{self.id}-title">{text(self.title)}</h2>',
            f'<p class="lead">{text(self._view.question)}</p>' if self._view.question else "",
            f'<p class="basis">{text(basis_of(self._result), 600)}</p>',
            self._tiles(),
            self._limits(),
            *(self._table(number, name) for number, name in enumerate(tables_shown(self._result))),
            self._provenance(),
            "</section>",
        ]
        return "\n".join(part for part in body if part)

    def _tiles(self) -> str:
        """Return the numbers that a reader wants first."""
        tiles = "".join(
            f"<div><dt>{text(name)}</dt><dd>{text(value_text(value))}</dd></div>"
            for name, value in main_numbers(self._result)
        )
        return f'<dl class="tiles">{tiles}</dl>'

    def _limits(self) -> str:
        """Return what the data cannot say."""
        items = "".join(f"<li>{text(warning, 1_000)}</li>" for warning in limits_of(self._result))
        return (
            f'<div class="limits"><h3>What the data cannot say</h3><ul>{items}</ul></div>'
            if items
            else '<div class="limits none"><h3>What the data cannot say</h3><p>The command gave no warning.</p></div>'
        )

    def _table(self, number: int, name: str) -> str:
        table = ShownTable(self._result, name)
        rows = table.rows(max(MOST_READ, self._top))
        images = table.pictures(rows, self._names)
        shown = rows.table.take(list(range(min(self._top, len(rows.table)))))
        title, texts, about = table.title, table.texts, table.about
        return "\n".join(
            [
                f"<h3>{text(title)}</h3>",
                f'<div class="pictures">{"".join(images)}</div>' if any(images) else "",
                self._rows(f"{self.id}-{number}", title, shown, table.columns, texts, about)
                if len(shown)
                else '<p class="basis">The table has no rows.</p>',
                f'<p class="basis">{text(_left_out(table, rows, len(shown)), 1_000)}</p>',
            ]
        )

    def _rows(
        self,
        id_: str,
        title: str,
        table: Table,
        columns: Sequence[str],
        texts: Sequence[str],
        about: Mapping[str, Mapping[str, Any]],
    ) -> str:
        ends = ends_of(columns, texts)
        of_end = {column: end for end in ends for column in end.columns if column}
        heads: list[End | str] = list(dict.fromkeys(of_end.get(column, column) for column in columns))
        head = "".join(_head(one, about, texts) for one in heads)
        q = self._result.facts.get("q")
        body = []
        for row in table.rows():
            is_found = isinstance(q, float) and isinstance(row.get("q"), float) and row["q"] <= q
            cells = "".join(self._cell(one, row) for one in heads)
            body.append(f"<tr{' class=found' if is_found else ''}>{cells}</tr>")
        search = (
            f'<p class="filter"><label for="{id_}-filter">Filter rows</label> '
            f'<input type="search" id="{id_}-filter" data-table="{id_}" autocomplete="off" spellcheck="false"> '
            f'<output for="{id_}-filter"></output></p>'
        )
        return (
            f'{search}<div class="scroll" tabindex="0" role="region" aria-label="{text(title)}">'
            f'<table id="{id_}"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
            f"{_help(columns, about)}"
        )

    def _cell(self, head: End | str, row: Mapping[str, Any]) -> str:
        if isinstance(head, End):
            name, known = head.of(dict(row), self._names)
            order = int(row[head.layer]) * (1 << 33) + int(row[head.feature])
            said = f'<span class="known">{text(known)}</span>' if known else ""
            return f'<td class="node" data-v="{order}">{text(name)}{said}</td>'
        value = row[head]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return f'<td class="number" data-v="{"" if value != value else repr(value)}">{number_text(value)}</td>'
        said = visible(value_text(value))
        return f"<td{' class=long' if len(said) > _LONG else ''}>{text(said)}</td>"

    def _provenance(self) -> str:
        """Return all facts, and the settings and versions that the result was made with."""
        facts = "".join(
            f"<div><dt>{text(words(name))}</dt><dd>{text(value_text(value))}</dd></div>"
            for name, value in self._result.facts.items()
        )
        document = escape(provenance_of(self._result))
        listed = f'<h3>Facts</h3><dl class="numbers">{facts}</dl>' if facts else ""
        return f"{listed}<details><summary>Where this comes from</summary><pre>{document}</pre></details>"


def _name(result: Result) -> str:
    """Return the name of a result: that of its folder, or of the findings that it certifies."""
    path = result.path.resolve()
    return path.parent.name if path.name == CERTIFICATES == result.info["what"] else path.name


def _left_out(table: ShownTable, rows: StrongestRows, num_shown: int) -> str:
    """Return what the page has of a table and what it leaves out."""
    order = table.order
    said = f"{num_shown:,} of {counted(rows.num_rows, 'row')} of the table {table.name}"
    said += f", {order.describe()}" if order.column else ", in the order of the table"
    if rows.num_left_out:
        bounds = " and ".join(f"{words(one)} below {number_text(least)}" for one, least in order.least.items())
        said += f"; {counted(rows.num_left_out, 'row')} with {bounds} left out"
    others = [column for column in table.kinds if column not in table.columns]
    return f"{said}. Columns not shown: {', '.join(others)}." if others else f"{said}."


def _head(head: End | str, about: Mapping[str, Mapping[str, Any]], texts: Sequence[str]) -> str:
    """Return the head of a column: a button that sorts, with its meaning as a hint."""
    if isinstance(head, End):
        name, meaning, unit = head.name, "kind, layer and index, and labels or token if they are known", ""
    else:
        name, (meaning, unit) = words(head), (str(about[head][one]) for one in ("meaning", "unit"))
    unit = "" if unit in ("", "1") else f" [{unit}]"
    hint = text(f"{meaning}{unit}: sort by it", 600)
    css = "" if isinstance(head, End) or head in texts else ' class="number"'
    return f'<th scope="col" aria-sort="none"{css}><button type="button" title="{hint}">{text(name, 60)}</button></th>'


def _help(columns: Iterable[str], about: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what the columns mean, for those who cannot point at their heads."""
    rows = "".join(
        f"<dt>{text(column, 80)}</dt><dd>{text(str(about[column]['meaning']), 600)}"
        f"{_unit(str(about[column]['unit']))}</dd>"
        for column in columns
    )
    return f'<details><summary>What the columns mean</summary><dl class="facts">{rows}</dl></details>'


def _unit(unit: str) -> str:
    return "" if unit in ("", "1") else f' <span class="unit">[{text(unit, 200)}]</span>'
