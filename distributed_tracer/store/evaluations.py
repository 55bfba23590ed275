"""Checks: what was measured of stored graphs afterwards, beside them. An object holds figures of some prompts."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, StoreCorrupt
from ..names import unknown
from ..table import Table
from .backend.base import Backend, key_batches
from .backend.retry import retry_until
from .catalogue import Catalogue
from .format.checksummed_json import LARGEST, MALFORMED, check_depth, dump_checksummed, load_checksummed
from .format.schema import FORMAT_VERSION

CHECK_KEY = re.compile(r"checks/([a-z_]+)/([0-9a-f]{32})\.json")
_FORMAT = "distributed_tracer check"
KINDS = ("edges", "faithfulness")
"""Kinds that commands of this package find; others may be stored too."""


@dataclass(frozen=True)
class EvaluatedPrompt:
    """A prompt in an object of figures: what its graph was made from, the graph's digest, and why there are none."""

    id: str
    asked: str
    graph: str
    """64 hex digits; empty if the graph could not be read."""
    reason: str = ""
    """Why the prompt failed; empty if it did not, and has rows."""


@dataclass(frozen=True, eq=False)
class EvaluationRecord:
    """Figures of one kind, found with the same settings. `rows["prompt"]` says of which prompt, by number, a row is."""

    kind: str
    created: str
    settings: Mapping[str, Any]
    """All that decides the figures beside graph and model."""
    made_by: Mapping[str, Any]
    prompts: tuple[EvaluatedPrompt, ...]
    rows: Mapping[str, Sequence[Any]]
    number: int = 0
    """One more than the highest of the kind that was there when whoever measured began; 0 of early ones."""
    key: str = field(default="", compare=False)

    def to_json(self) -> bytes:
        """The object; numbers that are not finite are null."""
        return dump_checksummed(
            {
                "format": _FORMAT,
                "format_version": FORMAT_VERSION,
                "kind": self.kind,
                "created": self.created,
                "number": self.number,
                "settings": self.settings,
                "made_by": self.made_by,
                "prompts": {name: [getattr(p, name) for p in self.prompts] for name in EvaluatedPrompt.__annotations__},
                "rows": {name: [_finite(value) for value in values] for name, values in self.rows.items()},
            }
        )

    def of(self, wanted: Sequence[int]) -> EvaluationRecord:
        """The figures of some of the prompts."""
        number = {old: new for new, old in enumerate(wanted)}
        kept = [row for row, prompt in enumerate(self.rows["prompt"]) if prompt in number]
        rows = {name: [values[row] for row in kept] for name, values in self.rows.items()}
        rows["prompt"] = [number[prompt] for prompt in rows["prompt"]]
        prompts = tuple(self.prompts[old] for old in wanted)
        return EvaluationRecord(self.kind, self.created, self.settings, self.made_by, prompts, rows, self.number)


@dataclass(frozen=True, eq=False)
class EvaluationResults:
    """What is known, of one kind and with the same settings, of the graphs that a store has now."""

    settings: Mapping[str, Any]
    table: Table
    """A row for each that was measured, with the prompt's id, by ids."""
    done: frozenset[str]
    failed: Mapping[str, str]
    """Prompts that failed the last time, and why."""
    number: int = 0
    """The highest of any objects of the kind; those found now have the next."""


def new_check(
    kind: str,
    settings: Mapping[str, Any],
    made_by: Mapping[str, Any],
    prompts: tuple[EvaluatedPrompt, ...],
    tables: Sequence[Table],
    number: int = 0,
) -> EvaluationRecord:
    """Figures of some prompts, found now: a table of equal columns for each that did not fail. Which of several are the
    latest goes by `number`, and by the clock among equal ones only."""
    rows: dict[str, list[Any]] = {"prompt": []}
    for row, table in enumerate(tables):
        rows["prompt"] += [row] * len(table)
        for name in table.columns:
            rows.setdefault(name, []).extend(table[name].tolist())
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    return EvaluationRecord(kind, created, settings, made_by, prompts, rows, min(number, LARGEST - 1))


def write_check(root: Backend, check: EvaluationRecord, retry_seconds: float = 0.0) -> tuple[str, bytes]:
    """Make an object of figures, atomically, and try again for so many seconds; its key and bytes. It is named by what
    is in it: the same figures are written once."""
    data = check.to_json()
    key = f"checks/{check.kind}/{hashlib.sha256(data).hexdigest()[:32]}.json"
    retry_until(lambda: _create(root, key, data), retry_seconds)
    return key, data


def check_kind(root: Backend, kind: str, settings: Mapping[str, Any] | None = None) -> None:
    """Raises ConfigError for a kind that is neither there nor one that can be found, and for settings nobody used."""
    there = root.list_dir("checks")
    if kind not in (known := sorted({*there, *KINDS})):
        raise ConfigError(unknown("kind of figures", kind, known))
    if settings is not None and kind in there:
        used = {_canonical(check.settings) for check in read_checks(root, kind)}
        if _canonical(settings) not in used:
            raise ConfigError(
                f"no {kind} figures were found with {_canonical(settings)}; used: {', '.join(sorted(used))}"
            )


def check_keys(root: Backend) -> list[str]:
    """Of all objects of figures, of every kind."""
    kinds = root.list_dir("checks")
    keys = [f"checks/{kind}/{name}" for kind in kinds for name in root.list_dir(f"checks/{kind}")]
    return [key for key in keys if CHECK_KEY.fullmatch(key)]


def read_checks(root: Backend, kind: str | None = None) -> list[EvaluationRecord]:
    """All of one kind, or of any, the oldest first: those whose measurer knew of fewer, whatever the clocks of machines
    said. Raises StoreCorrupt."""
    keys = [key for key in check_keys(root) if kind in (None, key.split("/")[1])]
    found = []
    for batch in key_batches(keys):
        found += [parse_check(data, root.url, key) for key, data in root.read_many(batch).items()]
    return sorted(found, key=lambda check: (check.number, check.created, check.key))


def parse_check(data: bytes, url: str, key: str) -> EvaluationRecord:
    """An object's content. Raises StoreCorrupt, also if it was altered."""
    try:
        document = load_checksummed(data)
        if "sha256" not in document:
            raise ValueError("it has no seal")
        if (document["format"], document["format_version"]) != (_FORMAT, FORMAT_VERSION):
            raise ValueError(f"format {document['format']!r}, version {document['format_version']!r}")
        columns = (list(document["prompts"][name]) for name in EvaluatedPrompt.__annotations__)
        prompts = tuple(EvaluatedPrompt(*row) for row in zip(*columns, strict=True))
        if any(type(text) is not str for prompt in prompts for text in vars(prompt).values()):
            raise ValueError("what is said of prompts is not text")
        rows = {str(name): list(values) for name, values in document["rows"].items()}
        if len({len(values) for values in rows.values()}) != 1:
            raise ValueError("columns of different lengths")
        if any(not _is_value(value) for values in rows.values() for value in values):
            raise ValueError("a figure that is neither a number of 64 bits nor text")
        if any(type(number) is not int or not 0 <= number < len(prompts) for number in rows["prompt"]):
            raise ValueError("a row of a prompt that is not there")
        if document["kind"] != key.split("/")[1]:
            raise ValueError(f"figures of kind {document['kind']!r}")
        settings, made_by = dict(document["settings"]), dict(document["made_by"])
        check_depth([settings, made_by])
        number = document.get("number", 0)
        if type(number) is not int or not 0 <= number < LARGEST:
            raise ValueError(f"number {number!r}")
        return EvaluationRecord(
            document["kind"], str(document["created"]), settings, made_by, prompts, rows, number, key
        )
    except MALFORMED as error:
        raise StoreCorrupt(f"{url}/{key} does not hold figures: {type(error).__name__}: {error}") from error


def evaluation_results(
    root: Backend, kind: str, catalogue: Catalogue, settings: Mapping[str, Any] | None = None
) -> EvaluationResults:
    """What is known of the prompts in `catalogue`, with these settings, or those that were used last.

    Figures of a prompt that asked something else then are left out. Of several, the latest count. Raises StoreCorrupt.
    """
    checks = read_checks(root, kind)
    if settings is None:
        settings = checks[-1].settings if checks else {}
    wanted = [check for check in checks if _canonical(check.settings) == _canonical(settings)]
    place: dict[str, tuple[EvaluationRecord, int]] = {}
    failed: dict[str, str] = {}
    for check in wanted:
        for number, prompt in enumerate(check.prompts):
            known = catalogue.number_of.get(prompt.id)
            if known is None or catalogue.asked[known] != prompt.asked:
                continue
            if prompt.reason:
                failed[prompt.id] = prompt.reason
            else:
                place[prompt.id] = check, number
    failed = {name: reason for name, reason in failed.items() if name not in place}
    highest = max((check.number for check in checks), default=0)
    return EvaluationResults(settings, _table(place), frozenset(place), failed, highest)


def _table(place: Mapping[str, tuple[EvaluationRecord, int]]) -> Table:
    """Rows of all prompts, by ids, each prompt's in their own order."""
    rows_of: dict[EvaluationRecord, dict[int, list[int]]] = {}
    for check, _ in place.values():
        if check not in rows_of:
            by_prompt = rows_of[check] = {}
            for row, number in enumerate(check.rows["prompt"]):
                by_prompt.setdefault(number, []).append(row)
    names = list(next((check.rows for check in rows_of), {"prompt": []}))
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for prompt_id in sorted(place):
        check, number = place[prompt_id]
        rows = rows_of[check].get(number, [])
        for name in names:
            values = check.rows[name]
            columns[name] += [prompt_id] * len(rows) if name == "prompt" else [values[row] for row in rows]
    return Table({name: _column(values) for name, values in columns.items()})


def _column(values: list[Any]) -> list[Any] | npt.NDArray[Any]:
    """Numbers as numbers, NaN where there are none; all else as it is."""
    kinds = {type(value) for value in values}
    if kinds == {int}:
        return np.array(values, dtype=np.int64)
    if kinds <= {int, float, type(None)} and float in kinds:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return values


def _create(root: Backend, key: str, data: bytes) -> None:
    root.put_if_absent(key, data)


def _is_value(value: object) -> bool:
    if type(value) is int:
        return -(1 << 63) <= value < 1 << 63
    return value is None or isinstance(value, bool | str) or (type(value) is float and math.isfinite(value))


def _canonical(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
