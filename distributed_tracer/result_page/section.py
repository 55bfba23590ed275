"""A result as a section of the page: what it is, what the data cannot say, pictures, tables, and its provenance."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from ..mine.result import Result
from ..table import Table
from ..text import counted, printable
from .columns import End, ends_of
from .drawn import Drawn
from .effect_pictures import P_VALUES
from .kinds import KindView, TableView, view_of
from .pictures import pictures
from .strongest_rows import Order, StrongestRows, strongest_rows
from .svg import cut
from .value_pictures import histogram
from .values import Names, number_text, place_text, value_text, visible, without_folders, words

MOST_READ = 20_000
"""Largest number of rows that are read for pictures; of dots, a picture has fewer."""
_COLUMNS = 24
"""Largest number of columns of a table of which no view says what readers want first."""
_LONG = 24
"""Texts longer than this have a wide column."""
_TEXT = 300
"""Longest text of a cell."""
_IS_TEST = re.compile(r"(num_)?test(s|ed)(_.*)?")
"""Names of facts that are numbers of tests."""
_TILES = ("found", "num_found", "replicated", "share")


def text(value: str, length: int = _TEXT) -> str:
    """Return text as HTML: cut, escaped, and without characters that control or reverse text."""
    return escape(cut(value, length))


def tests_of(result: Result) -> dict[str, int]:
    """Return the numbers of tests that a result says it has made, by the names of its facts."""
    named, facts = view_of(str(result.info["what"])).tests, result.facts.items()
    return {name: value for name, value in facts if (name in named or _IS_TEST.fullmatch(name)) and type(value) is int}


class Section:
    """One result as HTML. Everything that comes from the result is escaped, file names and column names included."""

    def __init__(self, result: Result, number: int, names: Names, top: int) -> None:
        self._result, self._names, self._top = result, names, top
        self._what = str(result.info["what"])
        self._view: KindView = view_of(self._what)
        self.id = f"result-{number}"
        self.title = f"{self._view.title}: {result.path.resolve().name}"

    def html(self) -> str:
        """Return the section."""
        body = [
            f'<section class="result" id="{self.id}" aria-labelledby="{self.id}-title">',
            f'<h2 id="{self.id}-title">{text(self.title)}</h2>',
            f'<p class="lead">{text(self._view.question)}</p>' if self._view.question else "",
            f'<p class="basis">{text(self._basis(), 600)}</p>',
            self._tiles(),
            self._warnings(),
            *(self._table(number, name) for number, name in enumerate(self._tables())),
            self._provenance(),
            "</section>",
        ]
        return "\n".join(part for part in body if part)

    def _tables(self) -> list[str]:
        known = [name for name in self._view.tables if name in self._result.tables]
        others = [name for name in self._result.tables if name not in known]
        return [*known, *(others if self._view.has_more_tables or not known else ())]

    def _basis(self) -> str:
        """Return what the result is of."""
        info = self._result.info
        store = info.get("store")
        of = f" of the store “{place_text(str(store))}”" if store else ""
        clusters = info.get("num_clusters")
        grouped = f" in {counted(clusters, 'cluster')}" if isinstance(clusters, int) else ""
        return f"From {counted(info['num_prompts'], 'prompt')}{grouped}{of}: {info['graphs']}."

    def _tiles(self) -> str:
        """Return the numbers that a reader wants first."""
        info, facts = self._result.info, self._result.facts
        found: list[tuple[str, Any]] = [("prompts", info["num_prompts"])]
        if isinstance(info.get("num_clusters"), int):
            found.append(("clusters", info["num_clusters"]))
        tests = tests_of(self._result)
        found += [(words(name), number) for name, number in tests.items()] or [
            ("tests made", "not recorded" if self._view.makes_tests else "none")
        ]
        shown = (name for name in (*self._view.tiles, *_TILES) if name in facts)
        found += [(words(name), facts[name]) for name in dict.fromkeys(shown)]
        tiles = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value_text(value))}</dd></div>" for name, value in found)
        return f'<dl class="tiles">{tiles}</dl>'

    def _warnings(self) -> str:
        """Return what the data cannot say: the result's own warnings, and what follows from what it is of."""
        info = self._result.info
        found = [without_folders(warning) for warning in self._result.warnings]
        if info.get("num_clusters") is None and "clusters_a" not in self._result.facts and self._view.has_clusters:
            found.append(
                "No clusters were named: prompts that share a template count as if they were independent, so that the "
                "numbers of prompts say more than the evidence does."
            )
        elif without := info.get("num_without_cluster"):
            found.append(f"{counted(int(without), 'prompt')} without a cluster.")
        if str(info["graphs"]).startswith("pruned") and not any("pruned" in warning for warning in found):
            found.append("The graphs are pruned: an edge or a feature that is absent may have been removed.")
        items = "".join(f"<li>{text(warning[:1].upper() + warning[1:], 1_000)}</li>" for warning in found)
        return (
            f'<div class="limits"><h3>What the data cannot say</h3><ul>{items}</ul></div>'
            if items
            else '<div class="limits none"><h3>What the data cannot say</h3><p>The command gave no warning.</p></div>'
        )

    def _table(self, number: int, name: str) -> str:
        result, view = self._result, self._view.tables.get(name, TableView())
        about = {row["column"]: row for row in result.describe(name).rows()}
        kinds = result.stream(name).kinds
        texts = [column for column, kind in kinds.items() if not kind]
        columns = [column for column in view.columns if column in kinds] or list(kinds)[:_COLUMNS]
        columns += [end.text for end in ends_of(list(kinds), texts) if end.text and end.layer in columns]
        columns = list(dict.fromkeys(columns))
        order = view.order.known(list(kinds))
        of_p = [column for column in P_VALUES if column in kinds]
        plotted = [*columns, *(c for c in ("p", "q", "half_1", "half_2", *view.histograms) if c in kinds)]
        rows = strongest_rows(result, name, plotted, order, max(MOST_READ, self._top), of_p)
        units = {column: str(row["unit"]) for column, row in about.items()}
        drawn = Drawn(rows, texts, units, self._names, result.facts)
        images = pictures(drawn)
        for column in (one for one in view.histograms if one in kinds):
            images += histogram(result.table(name, column)[column].astype(np.float64), drawn, column)
        title = view.title or words(name).capitalize()
        shown = rows.table.take(list(range(min(self._top, len(rows.table)))))
        return "\n".join(
            [
                f"<h3>{text(title)}</h3>",
                f'<div class="pictures">{"".join(images)}</div>' if any(images) else "",
                self._rows(f"{self.id}-{number}", title, shown, columns, texts, about)
                if len(shown)
                else '<p class="basis">The table has no rows.</p>',
                f'<p class="basis">{text(self._left_out(name, rows, len(shown), order, kinds, columns), 1_000)}</p>',
            ]
        )

    def _left_out(
        self,
        name: str,
        rows: StrongestRows,
        num_shown: int,
        order: Order,
        kinds: Mapping[str, str],
        columns: Sequence[str],
    ) -> str:
        """Return what the page has of a table and what it leaves out."""
        said = f"{num_shown:,} of {counted(rows.num_rows, 'row')} of the table {name}"
        said += f", {order.describe()}" if order.column else ", in the order of the table"
        if rows.num_left_out:
            bounds = " and ".join(f"{words(one)} below {number_text(least)}" for one, least in order.least.items())
            said += f"; {counted(rows.num_left_out, 'row')} with {bounds} left out"
        others = [column for column in kinds if column not in columns]
        return f"{said}. Columns not shown: {', '.join(others)}." if others else f"{said}."

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
        info = self._result.info
        facts = "".join(
            f"<div><dt>{text(words(name))}</dt><dd>{text(value_text(value))}</dd></div>"
            for name, value in self._result.facts.items()
        )
        hidden = ("files", "warnings", "facts")
        rest = {name: _placed(value) for name, value in info.items() if name not in hidden}
        document = escape("\n".join(map(printable, json.dumps(rest, indent=2, ensure_ascii=False).split("\n"))))
        listed = f'<h3>Facts</h3><dl class="numbers">{facts}</dl>' if facts else ""
        return f"{listed}<details><summary>Where this comes from</summary><pre>{document}</pre></details>"


def _placed(value: Any) -> Any:
    """Return a value of a document with addresses that do not say whose machine made it."""
    if isinstance(value, Mapping):
        return {str(name): _placed(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_placed(one) for one in value]
    return place_text(value) if isinstance(value, str) else value


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
