"""Endpoints of results of mining: what each found, rows of its tables, pictures, and the graphs behind its edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import ConfigError
from ...mine.atlas_instances import Site
from ...result_page.columns import ends_of
from ...result_page.facts import basis_of, limits_of, main_numbers, provenance_of, tables_shown
from ...result_page.kinds import view_of
from ...result_page.standalone import caption_of, size_of, standalone
from ...result_page.values import place_text, value_text, words
from ...table import Table
from ..edge_witnesses import MOST_GRAPHS, witnesses
from ..endpoint import Endpoint, File, Json, Param
from ..finding_rows import chain_paths, column_of, compared_columns, head, row_values
from ..finding_tables import MOST_ROWS, FindingTables, Question, order_of
from ..served_store import ServedStore

_LIMIT, _MOST_AT_ONCE = 50, 500
_ORDERS = ("largest", "smallest", "largest absolute")


def tables_of(served: ServedStore) -> FindingTables:
    """Return the tables of the results of a server."""
    return served.once("findings", lambda: FindingTables(served))


def results(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return what each result is, without rows."""
    return Json({"results": [_result(served, number) for number in range(len(served.results))]})


def _result(served: ServedStore, number: int) -> dict[str, Any]:
    found = tables_of(served)
    result = found.result(number)
    view = view_of(str(result.info["what"]))
    tables = [(name, found.shown(number, name).title) for name in tables_shown(result)]
    return {
        "number": number,
        "name": place_text(str(result.path.resolve())),
        "what": str(result.info["what"]),
        "title": view.title,
        "question": view.question,
        "basis": basis_of(result),
        "numbers": [[name, value_text(value)] for name, value in main_numbers(result)],
        "facts": [[words(name), value_text(value)] for name, value in result.facts.items()],
        "limits": limits_of(result),
        "misfits": found.misfits(number),
        "provenance": provenance_of(result),
        "tables": [{"name": name, "title": title} for name, title in tables],
    }


def result_rows(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return some rows of a table: those from `offset` on, in an order, that meet all conditions."""
    found = tables_of(served)
    number, table = query["result"], query["table"]
    shown = found.shown(number, table)
    question = Question(number, table, query["sort"], query["by"], tuple(query["where"]), query["find"])
    order = order_of(question, shown)
    rows = found.rows(question)
    first = min(query["offset"], len(rows.table))
    some = rows.table.take(list(range(first, min(first + query["limit"], len(rows.table)))))
    names, ends = found.names(), ends_of(shown.columns, shown.texts)
    listed = row_values(shown, some, names, served.refresh())
    result = found.result(number)
    if result.info["what"] == "chains" and table == "chains" and "edges" in result.tables:
        paths = chain_paths(result, some["chain"].tolist(), names)
        listed = [{**row, "chain": paths.get(row["values"]["chain"], [])} for row in listed]
    return Json(
        {
            "title": shown.title,
            "head": head(shown, ends),
            "hidden": [column_of(shown, name) for name in shown.kinds if name not in shown.columns],
            "is_edge": {"source", "target"} <= {end.name for end in ends},
            "compare": compared_columns(shown),
            "rows": listed,
            "offset": first,
            "num_rows": rows.num_rows,
            "num_meeting": rows.num_rows - rows.num_left_out,
            "num_reachable": len(rows.table),
            "order": {
                "column": order.column,
                "by": order.by,
                "least": dict(order.least),
                "is_text": order.column in shown.texts,
            },
            "q": result.facts.get("q") if "q" in shown.kinds else None,
            "found": _is_found(result.facts.get("q"), some),
        }
    )


def _is_found(q: Any, rows: Table) -> list[bool]:
    """Return for each row whether it counts as found at the rate q of false discoveries."""
    if not isinstance(q, float) or "q" not in rows:
        return [False] * len(rows)
    return [bool(value <= q) for value in rows["q"].tolist()]


def result_pictures(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return captions and sizes of the pictures of a table; `/result_picture` has each."""
    drawn = tables_of(served).pictures(query["result"], query["table"])
    sizes = map(size_of, drawn)
    return Json(
        {
            "pictures": [
                {"caption": caption_of(one), "width": width, "height": height}
                for one, (width, height) in zip(drawn, sizes, strict=True)
            ]
        }
    )


def result_picture(served: ServedStore, query: Mapping[str, Any]) -> File:
    """Return one picture of a table as a file of SVG, for an image: scripts do not run there."""
    drawn, picture = tables_of(served).pictures(query["result"], query["table"]), query["picture"]
    if picture >= len(drawn):
        raise ConfigError(f"the table {query['table']} has {len(drawn)} pictures, numbered from 0")
    return File(standalone(drawn[picture], query["theme"]), "image/svg+xml", f"{query['table']}.svg", inline=True)


def result_prompts(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return prompts whose graph has an edge of a result, with the nodes where it is strongest."""
    source, target = (Site.of_text(query[name]) for name in ("source", "target"))
    result = tables_of(served).result(query["result"])
    return Json(witnesses(result, served.results, served.refresh(), source, target))


_RESULT = Param("result", "Number of the result, from 0.", "integer", required=True, least=0)
_TABLE = Param("table", "Name of a table of the result.", required=True)
_SITE = "as kind:layer:index: feature:2:46, token:-1:318, error:3:-1"
ENDPOINTS = (
    Endpoint(
        "/results",
        "The results of mining that the server shows: what each is, its facts, warnings and tables.",
        results,
        slow=True,
        tags=("findings",),
    ),
    Endpoint(
        "/result_rows",
        f"Rows of a table of a result. The table is read whole, and its first {MOST_ROWS:,} rows in an order are kept.",
        result_rows,
        (
            _RESULT,
            _TABLE,
            Param("sort", "Column; empty for the order of the table; default: what suits the table."),
            Param("by", "Which values come first; of texts, the smallest is A.", default="largest", choices=_ORDERS),
            Param("where", "Conditions, as COLUMN>=VALUE, COLUMN<=VALUE or COLUMN=VALUE.", "strings"),
            Param("find", "Text in a column, a label or a token; 2:46 names a feature.", default=""),
            Param("offset", "Number of the first row.", "integer", default=0, least=0, most=MOST_ROWS),
            Param("limit", "Number of rows.", "integer", default=_LIMIT, least=1, most=_MOST_AT_ONCE),
        ),
        alone=True,
        tags=("findings",),
    ),
    Endpoint(
        "/result_pictures",
        "Captions and sizes of the pictures of a table.",
        result_pictures,
        (_RESULT, _TABLE),
        alone=True,
        tags=("findings",),
    ),
    Endpoint(
        "/result_picture",
        "A picture of a table.",
        result_picture,
        (
            _RESULT,
            _TABLE,
            Param("picture", "Number of the picture, from 0.", "integer", default=0, least=0),
            Param("theme", "Colours.", default="light", choices=("light", "dark")),
        ),
        returns="image/svg+xml",
        alone=True,
        tags=("findings",),
    ),
    Endpoint(
        "/result_prompts",
        f"Up to {MOST_GRAPHS} prompts whose graph has an edge of a result, the strongest first.",
        result_prompts,
        (
            _RESULT,
            Param("source", f"The source, {_SITE}.", required=True),
            Param("target", f"The target, {_SITE}.", required=True),
        ),
        slow=True,
        tags=("findings",),
    ),
)
