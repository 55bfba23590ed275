"""Run records: the plan of each run, written once when it starts, and its end, written when it ends.

How far a run got follows from the commits that name it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from ...errors import StoreCorrupt
from ..backend.base import Backend, Larger
from ..object_names import RUN_NAME, file_of, id_of
from .checksummed_json import LARGEST, MALFORMED
from .schema import FORMAT_VERSION

_FORMAT = "distributed_tracer run"
How = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class RunRecord:
    """One run: when it started (UTC, ISO 8601), where (`host:pid` of its driver), and how many prompts it has."""

    id: str
    started: str
    host: str
    num_prompts: int
    """Number of all prompts of the corpus, including those that cannot be traced."""
    num_done: int
    """Number of these prompts that the store held already when the run started."""
    part_seconds: float
    """A worker that holds finished graphs writes a part at least once in this number of seconds."""
    number: int = 0
    """One more than the highest number that this run found when it started; 0 for early runs, which have none."""


@dataclass(frozen=True)
class RunEnd:
    """How a run ended, and when (UTC, ISO 8601). A run that was killed has no such record."""

    time: str
    how: How
    """`finished`: nothing was left to do; `stopped`: a user or a signal stopped it; `failed`: an error ended it."""
    reason: str = ""
    """The signal or the error; may be empty."""


def write_run(root: Backend, run: Mapping[str, Any]) -> str:
    """Write a run's record, give it a number, and return its id. `run` has the fields of RunRecord and any others."""
    name = uuid.uuid4().hex
    number = min(1 + max((known.number for known in _known_runs(root)), default=0), LARGEST - 1)
    document = {"format": _FORMAT, "format_version": FORMAT_VERSION, **run, "number": number}
    root.put_if_absent(f"runs/{name}.json", json.dumps(document, indent=2).encode())
    return name


def write_run_end(root: Backend, run: str, end: RunEnd) -> None:
    """Record how a run ended. If two processes record an end, the first record stays."""
    document = {"format": f"{_FORMAT} end", "format_version": FORMAT_VERSION, **asdict(end)}
    root.put_if_absent(f"runs/{run}.end.json", json.dumps(document, indent=2).encode())


def read_run_end(root: Backend, run: str) -> RunEnd | None:
    """Return how a run ended; None if no end is recorded. Raises StoreCorrupt."""
    key = f"runs/{run}.end.json"
    data = root.read(key)
    return None if data is None else parse_run_end(data, root.url, key)


def parse_run_end(data: bytes, url: str, key: str) -> RunEnd:
    """Return the content of a record of a run's end. Raises StoreCorrupt."""
    try:
        found = json.loads(data)
        end = RunEnd(found["time"], found["how"], found["reason"])
        if end.how not in get_args(How) or not isinstance(end.time, str) or not isinstance(end.reason, str):
            raise ValueError("not of the right kinds")
        return end
    except MALFORMED as error:
        raise StoreCorrupt(f"{url}/{key} does not say how a run ended: {type(error).__name__}: {error}") from error


def read_runs(root: Backend) -> list[RunRecord]:
    """Return the records of all runs, the latest last. Raises StoreCorrupt.

    A run is later if its number is higher, that is, if it knew of the others when it started, whatever the clocks of
    the machines said. The clocks decide between runs that started at the same time, or in stores that were merged
    later.
    """
    found = [parse_run_record(data, root.url, key) for key, data in _records(root).items()]
    return sorted(found, key=lambda run: (run.number, run.started, run.id))


def run_numbers(root: Backend) -> dict[str, int]:
    """Return the number of each run whose record can be read, by run id."""
    return {run.id: run.number for run in _known_runs(root)}


def _records(root: Backend, larger: dict[str, Larger] | None = None) -> dict[str, bytes]:
    return root.read_many([f"runs/{name}" for name in root.list_dir("runs") if RUN_NAME.fullmatch(name)], larger=larger)


def _known_runs(root: Backend) -> Iterator[RunRecord]:
    """Yield the records that can be read: a damaged record must not keep a new run from starting."""
    for key, data in _records(root, {}).items():
        with suppress(StoreCorrupt):
            yield parse_run_record(data, root.url, key)


def parse_run_record(data: bytes, url: str, key: str) -> RunRecord:
    """Return the content of a run's record. Raises StoreCorrupt."""
    try:
        info = json.loads(data)
        counts = info["num_prompts"], info["num_done"], info.get("number", 0)
        if not all(type(count) is int and 0 <= count < LARGEST for count in counts):
            raise ValueError(f"counts {counts}")
        seconds = float(info["part_seconds"])
        if not 0 <= seconds < LARGEST:
            raise ValueError(f"part_seconds {seconds}")
        return RunRecord(
            id_of(file_of(key)), str(info["started"]), str(info["host"]), counts[0], counts[1], seconds, counts[2]
        )
    except MALFORMED as error:
        raise StoreCorrupt(f"{url}/{key} does not describe a run: {type(error).__name__}: {error}") from error
