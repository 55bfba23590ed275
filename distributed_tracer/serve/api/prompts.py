"""Endpoints of the table of prompts: rows, histograms, ids, failed prompts, and how far a run is.

Nothing here waits for the whole store to be read: a question about columns that are still being read is answered with
status 202 and how far the reading is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ...errors import ConfigError
from ...mine.prompt_map import PromptMap
from ...redact import redacted
from ...store.read.conditions import kind_of
from ..endpoint import Endpoint, Json, Param
from ..prompts.block import LABEL, WEIGHT
from ..prompts.column import canonical
from ..prompts.histograms import Binned
from ..prompts.loader import prompts_of
from ..prompts.region import RegionOfMap, is_region
from ..prompts.snapshot import Asked, NotYet, PromptSnapshot
from ..run_progress import progress_of
from ..served_store import ServedStore
from ..store_map import map_of

MOST_ROWS, MOST_IDS, MOST_HISTOGRAMS, MOST_FAILURES = 500, 10_000, 40, 1000
"""Largest numbers of rows, ids, histograms and failed prompts in one reply."""
_MOST_CHARACTERS = 600
_WAIT_SECONDS = 0.3

WHERE = Param(
    "where",
    "Conditions, as on the command line: KEY=VALUE, KEY>=VALUE, KEY<=VALUE; or `map.region=MAP:X,Y X,Y X,Y`.",
    "strings",
)
SEARCH = Param("search", "Text that the id, the text or the answer of a prompt contains, in any case.", default="")
SORT = Param("sort", "Column by which rows are sorted; `id` by default.", default="id")
DESCENDING = Param("descending", "Whether the largest value comes first.", "boolean", default=False)
COLUMN = Param("column", "Name of a column, as in `columns` of /prompts. May be repeated.", "strings")


def prompt_rows(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return one page of the prompts that match, sorted; equal values in the order of ids, missing ones last.

    While the store is being read, pages in the order of ids are of those prompts that are read first, whose number
    `first_of` says; null where the rows are the first ones of all.
    """
    loader = prompts_of(served)
    snapshot, sort, first = loader.now(), query["sort"], query["offset"]
    try:
        conditions = conditions_of(served, snapshot, query["where"])
        mask = snapshot.meeting(conditions, query["search"])
        is_early = not snapshot.is_complete and sort == "id" and not query["descending"]
        is_early = is_early and len(snapshot.first_read) < len(snapshot)
        early = snapshot.early_page(mask, first, query["limit"]) if is_early else []
        numbers = early or snapshot.page(mask, sort, query["descending"], first, query["limit"])
    except NotYet as waiting:
        return not_yet(snapshot, waiting)
    snapshot = loader.wait_for(snapshot, numbers, _WAIT_SECONDS)
    for name in query["column"]:
        if name not in snapshot.sources and snapshot.is_complete:
            snapshot.column(name)  # says what there is
    names = [name for name in query["column"] if name in snapshot.sources]
    return Json(
        {
            "total": len(snapshot),
            "matching": int(mask.sum()),
            "offset": first,
            "rows": [row_of(snapshot, number, names) for number in numbers],
            "columns": _columns(snapshot),
            "loading": snapshot.loading,
            "num_read": snapshot.num_read,
            "first_of": len(snapshot.first_read) if early else None,
            "problems": [*snapshot.said(), *loader.troubles],
        }
    )


def conditions_of(served: ServedStore, snapshot: PromptSnapshot, where: Sequence[str]) -> list[Asked]:
    """Return conditions as they are written; regions of the map are among them. Raises ConfigError, NotYet."""
    return [_region(served, text) if is_region(text) else snapshot.condition(text) for text in where]


def _region(served: ServedStore, text: str) -> RegionOfMap:
    found = map_of(served).now()
    if not isinstance(found, PromptMap):
        raise NotYet(["the map"])
    return RegionOfMap.of(text, found)


def row_of(snapshot: PromptSnapshot, number: int, names: Sequence[str]) -> dict[str, Any]:
    """Return what the table shows of a prompt, with its values in some columns."""
    commit, _ = snapshot.place(number)
    block, text = snapshot.blocks[commit], snapshot.text(number)
    return {
        "id": snapshot.catalogue.ids[number],
        "text": text if text is None else text[:_MOST_CHARACTERS],
        "is_cut": text is not None and len(text) > _MOST_CHARACTERS,
        "is_read": block is not None and not block.problem,
        "answer": _cell(snapshot, LABEL, number)[0],
        "answer_condition": _condition(LABEL, *_cell(snapshot, LABEL, number)),
        "probability": _cell(snapshot, WEIGHT, number)[0],
        "values": [_cell(snapshot, name, number)[0] for name in names],
        "conditions": [_condition(name, *_cell(snapshot, name, number)) for name in names],
    }


def _cell(snapshot: PromptSnapshot, name: str, number: int) -> tuple[Any, bool]:
    """Return a value as it is shown, and whether it is whole."""
    value = snapshot.cell(name, number)
    if kind_of(value) == "lists or objects":
        value = canonical(value)
    if isinstance(value, str) and len(value) > _MOST_CHARACTERS:
        return value[:_MOST_CHARACTERS] + "…", False
    return value, True


def _condition(name: str, value: Any, is_whole: bool) -> str | None:
    """Return the condition that this value meets; None where the command line has none for it."""
    if not is_whole or any(sign in name for sign in "=<>") or name != name.strip():
        return None
    if value is None:
        return f"{name}=null"
    if isinstance(value, bool):
        return f"{name}={'true' if value else 'false'}"
    if isinstance(value, float) and value != value:
        return None
    return f"{name}={value}"


def _columns(snapshot: PromptSnapshot) -> list[dict[str, Any]]:
    """Return all columns with their kinds; until a column has been read, its kind is null."""
    found = []
    for name, source in snapshot.sources.items():
        try:
            kind: str | None = snapshot.column(name).kind
        except NotYet:
            kind = None
        found.append({"name": name, "kind": kind, "source": source})
    return found


def not_yet(snapshot: PromptSnapshot, waiting: NotYet) -> Json:
    """Return the reply to a question about columns that are still being read."""
    values = {"waiting_for": waiting.columns, "loading": snapshot.loading, "num_read": snapshot.num_read}
    values |= {"first_of": None}
    values |= {"total": len(snapshot), "matching": None, "rows": [], "columns": _columns(snapshot), "problems": []}
    return Json(values, status=202)


def histograms(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return for each column the counts of all prompts, of those that meet all other conditions, and of the matching.

    Numbers have bins with bounds that both belong to the bin; other columns the most frequent values.
    """
    snapshot = prompts_of(served).now()
    if len(query["column"]) > MOST_HISTOGRAMS:
        raise ConfigError(f"{len(query['column'])} histograms are asked for; at most {MOST_HISTOGRAMS} at a time")
    try:
        conditions = conditions_of(served, snapshot, query["where"])
        mask = snapshot.meeting(conditions, query["search"])
        found = [_histogram(snapshot, name, conditions, query["search"], mask) for name in query["column"]]
    except NotYet as waiting:
        values = {"waiting_for": waiting.columns, "loading": snapshot.loading, "total": len(snapshot)}
        return Json({**values, "matching": None, "columns": []}, status=202)
    return Json({"total": len(snapshot), "matching": int(mask.sum()), "loading": snapshot.loading, "columns": found})


def _histogram(
    snapshot: PromptSnapshot, name: str, conditions: Sequence[Asked], search: str, mask: Any
) -> dict[str, Any]:
    own = snapshot.binned(name)
    has_own = any(condition.column == name for condition in conditions)
    others = own.counts(snapshot.meeting(conditions, search, but=name)) if has_own else None
    matching = own.counts(mask)
    return {
        **legend_of(name, own),
        "all": own.counts(),
        "others": others or matching,
        "matching": matching,
    }


def legend_of(name: str, own: Binned) -> dict[str, Any]:
    """Return what the bins or categories of a column are: bounds of numbers, or values with their conditions."""
    facts = dict(own.facts)
    if (values := facts.get("values")) is not None:
        facts["values"] = [_shortened(value) for value in values]
        facts["conditions"] = [_condition(name, value, _shortened(value) == value) for value in values]
    about = {"name": name, "kind": own.column.kind, "source": own.column.source}
    return {**about, "is_integer": own.column.is_integer, **facts}


def _shortened(value: Any) -> Any:
    return value[:_MOST_CHARACTERS] + "…" if isinstance(value, str) and len(value) > _MOST_CHARACTERS else value


def prompt_ids(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the ids of the prompts that match, sorted, up to a number."""
    snapshot = prompts_of(served).now()
    try:
        mask = snapshot.meeting(conditions_of(served, snapshot, query["where"]), query["search"])
        numbers = snapshot.page(mask, "id", False, 0, query["limit"])
    except NotYet as waiting:
        return not_yet(snapshot, waiting)
    matching = int(mask.sum())
    ids = [snapshot.catalogue.ids[number] for number in numbers]
    return Json({"ids": ids, "matching": matching, "is_cut": matching > len(ids)})


def failed_prompts(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the prompts that could not be traced, by id, each with the phase and the reason."""
    failures, damaged = progress_of(served).failures(served.refresh())
    first = query["offset"]
    shown = failures[first : first + query["limit"]]
    rows = [{**asdict(failure), "reason": redacted(failure.reason)[: 5 * _MOST_CHARACTERS]} for failure in shown]
    return Json({"total": len(failures), "offset": first, "failures": rows, "problems": damaged[:5]})


def run_progress(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return how far the latest run is: counts, what became of it, its speed; null where nothing is known."""
    return Json(progress_of(served).now(served.refresh()))


def _paging(most: int, default: int, what: str) -> tuple[Param, Param]:
    return (
        Param("offset", f"Number of {what} to leave out.", "integer", default=0, least=0),
        Param("limit", f"Largest number of {what}, at most {most:,}.", "integer", default=default, least=0, most=most),
    )


ENDPOINTS = (
    Endpoint(
        "/prompts",
        "A page of the table of prompts; `values` and `conditions` of a row are in the order of the asked columns.",
        prompt_rows,
        (
            WHERE,
            SEARCH,
            SORT,
            DESCENDING,
            *_paging(MOST_ROWS, 100, "rows"),
            COLUMN,
        ),
        tags=("prompts",),
    ),
    Endpoint(
        "/histograms",
        "Counts of prompts by the values of columns: of all, of those that meet the other conditions, of the matching.",
        histograms,
        (WHERE, SEARCH, COLUMN),
        tags=("prompts",),
    ),
    Endpoint(
        "/ids",
        "Ids of the prompts that match; `is_cut` says whether there are more.",
        prompt_ids,
        (WHERE, SEARCH, _paging(MOST_IDS, MOST_IDS, "ids")[1]),
        tags=("prompts",),
    ),
    Endpoint(
        "/failures",
        "Prompts that could not be traced, with the phase and the reason.",
        failed_prompts,
        _paging(MOST_FAILURES, 100, "failed prompts"),
        tags=("prompts",),
    ),
    Endpoint("/progress", "How far the latest run is, and whether it still goes on.", run_progress, tags=("prompts",)),
)
