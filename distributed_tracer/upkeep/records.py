"""Records: what stores tell of runs, of failed prompts and of figures, taken from one store to another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from ..store.checks import check_keys, parse_check
from ..store.places.root import Root
from ..store.schema import FAILURE_NAME, RUN_END_NAME, RUN_NAME
from ..store.sealed import REFUSALS

_AT_ONCE = 256


def copy_records(source: Root, target: Root) -> None:
    """Every run's records and object of figures that is not there, and every failure that is not there or is there from
    an earlier time. Raises StoreCorrupt for figures that were altered."""
    runs = [name for name in source.names("runs") if RUN_NAME.fullmatch(name) or RUN_END_NAME.fullmatch(name)]
    for keys in _batches([f"runs/{name}" for name in runs if name not in set(target.names("runs"))]):
        for key, data in source.read_many(keys).items():
            target.create(key, data)
    there = set(check_keys(target))
    for keys in _batches([key for key in check_keys(source) if key not in there]):
        for key, data in source.read_many(keys).items():
            parse_check(data, source.url, key)
            target.create(key, data)
    failures = [name for name in source.names("failures") if FAILURE_NAME.fullmatch(name)]
    for keys in _batches([f"failures/{name}" for name in failures]):
        if news := _news(source.read_many(keys), target.read_many(keys)):
            target.upload(news)


def _news(failures: Mapping[str, bytes], there: Mapping[str, bytes]) -> dict[str, bytes]:
    return {key: data for key, data in failures.items() if key not in there or _time(there[key]) < _time(data)}


def _time(failure: bytes) -> str:
    """When a prompt was given up; the times of this format sort as text."""
    try:
        return str(json.loads(failure)["time"])
    except REFUSALS:
        return ""


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), _AT_ONCE):
        yield keys[start : start + _AT_ONCE]
