"""Copies the records of runs, of failed prompts and of evaluations, and annotations from one store to another."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from ..annotations import annotation_keys
from ..backend.base import Backend, key_batches
from ..evaluations import check_keys, parse_check
from ..format.annotation import parse_annotation
from ..format.checksummed_json import MALFORMED
from ..format.run_record import run_numbers
from ..object_names import FAILURE_NAME, RUN_END_NAME, RUN_NAME


def copy_records(source: Backend, target: Backend) -> None:
    """Copy every run record, evaluation record, annotation and failure that the target lacks.

    A failure that the target has from an earlier run is replaced. Raises StoreCorrupt for evaluation records and
    annotations that were altered.
    """
    numbers = [run_numbers(root) for root in (source, target)]
    runs = [name for name in source.list_dir("runs") if RUN_NAME.fullmatch(name) or RUN_END_NAME.fullmatch(name)]
    for keys in key_batches([f"runs/{name}" for name in runs if name not in set(target.list_dir("runs"))]):
        for key, data in source.read_many(keys).items():
            target.put_if_absent(key, data)
    _copy_checked(source, target, check_keys, parse_check)
    _copy_checked(source, target, annotation_keys, parse_annotation)
    failures = [name for name in source.list_dir("failures") if FAILURE_NAME.fullmatch(name)]
    for keys in key_batches([f"failures/{name}" for name in failures]):
        if news := _news(source.read_many(keys), target.read_many(keys), numbers):
            target.put_many(news)


def _copy_checked(
    source: Backend,
    target: Backend,
    keys_of: Callable[[Backend], list[str]],
    parse: Callable[[bytes, str, str], object],
) -> None:
    """Copy the records that the target lacks, each after it was read and found as it was written."""
    there = set(keys_of(target))
    for keys in key_batches([key for key in keys_of(source) if key not in there]):
        for key, data in source.read_many(keys).items():
            parse(data, source.url, key)
            target.put_if_absent(key, data)


def _news(
    failures: Mapping[str, bytes], there: Mapping[str, bytes], numbers: Sequence[Mapping[str, int]]
) -> dict[str, bytes]:
    return {key: data for key, data in failures.items() if key not in there or _is_later(data, there[key], numbers)}


def _is_later(failure: bytes, other: bytes, numbers: Sequence[Mapping[str, int]]) -> bool:
    """Whether a failure is of a later run than another one.

    The run numbers of a store that knows both runs decide; if no store knows both, the clocks decide.
    """
    (run, time), (other_run, other_time) = _run_and_time(failure), _run_and_time(other)
    for known in numbers:
        if run in known and other_run in known and known[run] != known[other_run]:
            return known[run] > known[other_run]
    return time > other_time


def _run_and_time(failure: bytes) -> tuple[str, str]:
    """Return which run gave a prompt up, and when; the times of this format sort as text."""
    try:
        record = json.loads(failure)
        return str(record.get("run", "")), str(record["time"])
    except MALFORMED:
        return "", ""
