"""Runs: what each run was to do, written once when it starts, and how it ended, written then. How far it got is in the
commits that name it."""

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
    """One run: when it started (UTC, ISO 8601), where (`host:pid` of its driver), and of how many prompts."""

    id: str
    started: str
    host: str
    num_prompts: int
    """All of its corpus, with those that cannot be traced."""
    num_done: int
    """Those of them that the store held already."""
    part_seconds: float
    """A worker that has something writes a part after so many seconds."""
    number: int = 0
    """One more than the highest that this run found when it started; 0 of runs that had none."""


@dataclass(frozen=True)
class RunEnd:
    """How a run ended, and when (UTC, ISO 8601). Of one that was killed there is none."""

    time: str
    how: How
    """`finished`: nothing was left to do; `stopped`: a user or a signal stopped it; `failed`: an error ended it."""
    reason: str = ""
    """The signal, or the error."""


def write_run(root: Backend, run: Mapping[str, Any]) -> str:
    """Make a run's record of the fields of RunRecord and anything else, and number it; its id."""
    name = uuid.uuid4().hex
    number = min(1 + max((known.number for known in _known_runs(root)), default=0), LARGEST - 1)
    document = {"format": _FORMAT, "format_version": FORMAT_VERSION, **run, "number": number}
    root.put_if_absent(f"runs/{name}.json", json.dumps(document, indent=2).encode())
    return name


def write_run_end(root: Backend, run: str, end: RunEnd) -> None:
    """Say how a run ended; of two who say so the first is believed."""
    document = {"format": f"{_FORMAT} end", "format_version": FORMAT_VERSION, **asdict(end)}
    root.put_if_absent(f"runs/{run}.end.json", json.dumps(document, indent=2).encode())


def read_run_end(root: Backend, run: str) -> RunEnd | None:
    """How a run ended; None if nothing says that it did. Raises StoreCorrupt."""
    key = f"runs/{run}.end.json"
    data = root.read(key)
    return None if data is None else parse_run_end(data, root.url, key)


def parse_run_end(data: bytes, url: str, key: str) -> RunEnd:
    """The content of a record of a run's end. Raises StoreCorrupt."""
    try:
        found = json.loads(data)
        end = RunEnd(found["time"], found["how"], found["reason"])
        if end.how not in get_args(How) or not isinstance(end.time, str) or not isinstance(end.reason, str):
            raise ValueError("not of the right kinds")
        return end
    except MALFORMED as error:
        raise StoreCorrupt(f"{url}/{key} does not say how a run ended: {type(error).__name__}: {error}") from error


def read_runs(root: Backend) -> list[RunRecord]:
    """Every run, the latest last: the one that knew of the others, whatever the clocks of their machines said. Of runs
    that started beside each other, or in stores merged since, clocks decide. Raises StoreCorrupt."""
    found = [parse_run_record(data, root.url, key) for key, data in _records(root).items()]
    return sorted(found, key=lambda run: (run.number, run.started, run.id))


def run_numbers(root: Backend) -> dict[str, int]:
    """The number of each run of which something is known, by its id."""
    return {run.id: run.number for run in _known_runs(root)}


def _records(root: Backend, larger: dict[str, Larger] | None = None) -> dict[str, bytes]:
    return root.read_many([f"runs/{name}" for name in root.list_dir("runs") if RUN_NAME.fullmatch(name)], larger=larger)


def _known_runs(root: Backend) -> Iterator[RunRecord]:
    """Those of which something is known: a record that is damaged keeps no run from starting."""
    for key, data in _records(root, {}).items():
        with suppress(StoreCorrupt):
            yield parse_run_record(data, root.url, key)


def parse_run_record(data: bytes, url: str, key: str) -> RunRecord:
    """A run's record's content. Raises StoreCorrupt."""
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
