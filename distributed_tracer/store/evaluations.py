"""Evaluations: measurements made on stored graphs later, and stored beside them.

One object holds the results of some prompts.
"""

from __future__ import annotations

import json
import math
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
from .object_names import evaluation_key, evaluation_kind

_FORMAT = "distributed_tracer check"
KINDS = ("certificates", "edges", "faithfulness")
"""Kinds of evaluations that commands of this package make; a store may hold other kinds, too."""


@dataclass(frozen=True)
class EvaluatedPrompt:
    """A prompt in an evaluation, with the content hash and the graph digest that it had at that time."""

    id: str
    asked: str
    graph: str
    """Digest of the graph, 64 hex digits; empty if the graph could not be read."""
    reason: str = ""
    """Why the evaluation of the prompt failed; empty if it succeeded, in which case the prompt has rows."""


@dataclass(frozen=True, eq=False)
class EvaluationRecord:
    """Results of one kind that were made with the same settings.

    `rows["prompt"]` is each row's index into `prompts`.
    """

    kind: str
    created: str
    settings: Mapping[str, Any]
    """Everything that determines the results, besides the graph and the model."""
    made_by: Mapping[str, Any]
    prompts: tuple[EvaluatedPrompt, ...]
    rows: Mapping[str, Sequence[Any]]
    number: int = 0
    """One more than the highest number of this kind that existed when the evaluation began; 0 in early records."""
    key: str = field(default="", compare=False)

    def to_json(self) -> bytes:
        """Return the bytes of the object; numbers that are not finite are written as null."""
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
        """Return the results of some of the prompts, given as indices into `prompts`."""
        number = {old: new for new, old in enumerate(wanted)}
        kept = [row for row, prompt in enumerate(self.rows["prompt"]) if prompt in number]
        rows = {name: [values[row] for row in kept] for name, values in self.rows.items()}
        rows["prompt"] = [number[prompt] for prompt in rows["prompt"]]
        prompts = tuple(self.prompts[old] for old in wanted)
        return EvaluationRecord(self.kind, self.created, self.settings, self.made_by, prompts, rows, self.number)


@dataclass(frozen=True, eq=False)
class EvaluationResults:
    """All current results of one kind, made with the same settings, for the graphs that a store has now."""

    settings: Mapping[str, Any]
    table: Table
    """The rows of all evaluated prompts, with the prompt's id, sorted by id."""
    done: frozenset[str]
    failed: Mapping[str, str]
    """Prompts without results because their evaluation failed, with the reason of the latest failure."""
    number: int = 0
    """The highest number among all records of this kind; results that are made now get the next number."""


def new_check(
    kind: str,
    settings: Mapping[str, Any],
    made_by: Mapping[str, Any],
    prompts: tuple[EvaluatedPrompt, ...],
    tables: Sequence[Table],
    number: int = 0,
) -> EvaluationRecord:
    """Return a record of new results for some prompts.

    `tables` holds one table for each prompt that did not fail; all tables have the same columns. Of several records,
    `number` decides which is the latest, and the clock decides only between equal numbers.
    """
    rows: dict[str, list[Any]] = {"prompt": []}
    for row, table in enumerate(tables):
        rows["prompt"] += [row] * len(table)
        for name in table.columns:
            rows.setdefault(name, []).extend(table[name].tolist())
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    return EvaluationRecord(kind, created, settings, made_by, prompts, rows, min(number, LARGEST - 1))


def write_check(root: Backend, check: EvaluationRecord, retry_seconds: float = 0.0) -> tuple[str, bytes]:
    """Write an evaluation record atomically and return its key and its bytes.

    A failed write is retried for `retry_seconds`.
    """
    data = check.to_json()
    key = evaluation_key(check.kind, data)
    retry_until(lambda: _create(root, key, data), retry_seconds)
    return key, data


def check_kind(root: Backend, kind: str, settings: Mapping[str, Any] | None = None) -> None:
    """Raise ConfigError for an unknown kind of evaluation, and for settings that no stored evaluation used.

    A kind is known if the store has results of it, or if a command of this package makes it.
    """
    there = root.list_dir("checks")
    if kind not in (known := sorted({*there, *KINDS})):
        raise ConfigError(unknown("kind of results", kind, known))
    if settings is not None and kind in there:
        used = {_canonical(check.settings) for check in read_checks(root, kind)}
        if _canonical(settings) not in used:
            raise ConfigError(
                f"no {kind} results were found with {_canonical(settings)}; used: {', '.join(sorted(used))}"
            )


def check_keys(root: Backend) -> list[str]:
    """Return the keys of all evaluation records, of every kind."""
    kinds = root.list_dir("checks")
    keys = [f"checks/{kind}/{name}" for kind in kinds for name in root.list_dir(f"checks/{kind}")]
    return [key for key in keys if evaluation_kind(key)]


def read_checks(root: Backend, kind: str | None = None) -> list[EvaluationRecord]:
    """Return all evaluation records of one kind, or of all kinds, the oldest first. Raises StoreCorrupt.

    A record is older if its number is lower, that is, if fewer records existed when its evaluation began. The clocks of
    the machines decide only between equal numbers.
    """
    keys = [key for key in check_keys(root) if kind in (None, evaluation_kind(key))]
    found = []
    for batch in key_batches(keys):
        found += [parse_check(data, root.url, key) for key, data in root.read_many(batch).items()]
    return sorted(found, key=lambda check: (check.number, check.created, check.key))


def parse_check(data: bytes, url: str, key: str) -> EvaluationRecord:
    """Return the content of an evaluation record. Raises StoreCorrupt, also if the record was altered."""
    try:
        document = load_checksummed(data)
        if "sha256" not in document:
            raise ValueError("it has no checksum")
        if (document["format"], document["format_version"]) != (_FORMAT, FORMAT_VERSION):
            raise ValueError(f"format {document['format']!r}, version {document['format_version']!r}")
        columns = (list(document["prompts"][name]) for name in EvaluatedPrompt.__annotations__)
        prompts = tuple(EvaluatedPrompt(*row) for row in zip(*columns, strict=True))
        if any(type(text) is not str for prompt in prompts for text in vars(prompt).values()):
            raise ValueError("a field of a prompt is not text")
        rows = {str(name): list(values) for name, values in document["rows"].items()}
        if len({len(values) for values in rows.values()}) != 1:
            raise ValueError("columns of different lengths")
        if any(not _is_value(value) for values in rows.values() for value in values):
            raise ValueError("a figure that is neither a number of 64 bits nor text")
        if any(type(number) is not int or not 0 <= number < len(prompts) for number in rows["prompt"]):
            raise ValueError("a row of a prompt that is not there")
        if document["kind"] != evaluation_kind(key):
            raise ValueError(f"results of kind {document['kind']!r}")
        settings, made_by = dict(document["settings"]), dict(document["made_by"])
        check_depth([settings, made_by])
        number = document.get("number", 0)
        if type(number) is not int or not 0 <= number < LARGEST:
            raise ValueError(f"number {number!r}")
        return EvaluationRecord(
            document["kind"], str(document["created"]), settings, made_by, prompts, rows, number, key
        )
    except MALFORMED as error:
        raise StoreCorrupt(f"{url}/{key} does not hold results: {type(error).__name__}: {error}") from error


def evaluation_results(
    root: Backend, kind: str, catalogue: Catalogue, settings: Mapping[str, Any] | None = None
) -> EvaluationResults:
    """Return the current results for the prompts in `catalogue`.

    The results are those made with `settings`, or with the settings that were used last. Results of a prompt whose
    content hash was different at that time are left out. Of several results of a prompt, the latest counts. Raises
    StoreCorrupt.
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
            if known is None or catalogue.content_hashes[known] != prompt.asked:
                continue
            if prompt.reason:
                failed[prompt.id] = prompt.reason
            else:
                place[prompt.id] = check, number
    failed = {name: reason for name, reason in failed.items() if name not in place}
    highest = max((check.number for check in checks), default=0)
    return EvaluationResults(settings, _table(place), frozenset(place), failed, highest)


def _table(place: Mapping[str, tuple[EvaluationRecord, int]]) -> Table:
    """Return the rows of all prompts, sorted by prompt id; the rows of one prompt keep their order."""
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
    """Return integers and floats as numpy arrays, with NaN for missing floats; return all other values unchanged."""
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
