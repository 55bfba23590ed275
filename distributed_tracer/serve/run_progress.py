"""RunProgress: how far the latest run is and which prompts failed, asked again and again while the run goes on.

What cannot have changed is not read again: records of runs, and failures with the same time and size.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from ..errors import StoreCorrupt
from ..report.status import run_status
from ..store.backend.base import ObjectInfo, key_batches
from ..store.format.failure import Failure, parse_failure
from ..store.format.run_record import RunRecord, parse_run_record, read_run_end
from ..store.object_names import FAILURE_NAME, RUN_NAME, file_of
from ..store.reader import Store
from .served_store import ServedStore

State = Literal["complete", "finished", "stopped", "failed", "running", "silent"]
_KEPT_SECONDS = 4.0
_RECENT_PARTS = 20


class RunProgress:
    """What is known of the runs of one store."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._runs: dict[str, RunRecord] = {}
        self._going_on: set[str] = set()
        """Runs that were seen before they ended."""
        self._failures: dict[str, tuple[ObjectInfo, Failure | str]] = {}
        """Records of failures, or why one cannot be read, by key."""
        self._answer: tuple[float, dict[str, Any]] | None = None
        self._lock = threading.Lock()

    def failures(self, store: Store) -> tuple[list[Failure], list[str]]:
        """Return the failed prompts that have no graph, by id, and what is wrong with records that cannot be read.

        Raises StoreUnavailable.
        """
        with self._lock:
            self._read_failures(store)
            damaged = [found for _, found in self._failures.values() if isinstance(found, str)]
            return self._current_failures(store), damaged

    def now(self, store: Store) -> dict[str, Any]:
        """Return how far the latest run is; the answer may be some seconds old.

        `run` has what `status --json` says, None if no run is recorded; `state` what became of it; `rate` prompts per
        second over the latest parts and `seconds_left` at this rate, None where it is not known.

        Raises StoreCorrupt for a damaged record of a run, StoreUnavailable.
        """
        with self._lock:
            if self._answer is None or time.monotonic() - self._answer[0] > _KEPT_SECONDS:
                self._read_failures(store)
                self._answer = time.monotonic(), self._found(store)
            return self._answer[1]

    def _found(self, store: Store) -> dict[str, Any]:
        names = {name for name in store.root.list_dir("runs") if RUN_NAME.fullmatch(name)}
        new = [f"runs/{name}" for name in sorted(names - {file_of(key) for key in self._runs})]
        for key, data in store.root.read_many(new).items():
            self._runs[key] = parse_run_record(data, store.root.url, key)
        known = {"num_stored": len(store), "num_failed": len(self._current_failures(store))}
        if not self._runs:
            return {**known, "run": None, "state": None, "rate": None, "seconds_left": None}
        latest = max(self._runs.values(), key=lambda run: (run.number, run.started, run.id))
        end = read_run_end(store.root, latest.id)
        if end is None:
            self._going_on.add(latest.id)
        elif latest.id in self._going_on:  # what it stored last may be newer than `store`: the next answer says so
            self._going_on.discard(latest.id)
            end = None
        run = run_status(latest, end, store, self._readable())
        state = run_state(run, datetime.now(UTC))
        rate = recent_rate(store, latest) if state == "running" else None
        left = run["num_left"] / rate if rate else None
        return {**known, "run": run, "state": state, "rate": rate, "seconds_left": left}

    def _read_failures(self, store: Store) -> None:
        there = {
            key: info for key, info in store.root.list_all("failures").items() if FAILURE_NAME.fullmatch(file_of(key))
        }
        self._failures = {key: kept for key, kept in self._failures.items() if there.get(key) == kept[0]}
        for batch in key_batches([key for key in there if key not in self._failures]):
            for key, data in store.root.read_many(batch).items():
                try:
                    self._failures[key] = there[key], parse_failure(data, store.root.url, key)
                except StoreCorrupt as error:
                    self._failures[key] = there[key], str(error)

    def _readable(self) -> list[Failure]:
        return [found for _, found in self._failures.values() if isinstance(found, Failure)]

    def _current_failures(self, store: Store) -> list[Failure]:
        found = [failure for failure in self._readable() if failure.prompt_id not in store]
        return sorted(found, key=lambda failure: failure.prompt_id)


def run_state(run: Mapping[str, Any], now: datetime) -> State:
    """Return what became of a run, given what `run_status` says of it.

    `silent` means that nothing was written for so long that the run is probably gone, and no end is recorded.
    """
    if not run["num_left"]:
        return "complete"
    if run["end"]:
        ended: State = run["end"]["how"]
        return ended
    times = [text for text in (run["written"], run["stamped"]) if text]
    ages = [(now - datetime.fromisoformat(text)).total_seconds() for text in times]
    return "running" if min(ages, default=0.0) <= run["silent_after_seconds"] else "silent"


def recent_rate(store: Store, run: RunRecord) -> float | None:
    """Return the prompts per second of a run's latest parts; None if there are fewer than two moments to compare."""
    catalogue = store.catalogue
    made = []
    for commit in range(len(catalogue.commits) - 1, -1, -1):
        info = catalogue.commits[commit]
        if info.run == run.id and (moment := _seconds(info.created)) is not None:
            made.append((moment, len(catalogue.numbers(commit))))
            if len(made) > _RECENT_PARTS:
                break
    made.sort()
    begin = _seconds(run.started) if len(made) <= _RECENT_PARTS else made[0][0]
    counted = made if len(made) <= _RECENT_PARTS else made[1:]
    if not counted or begin is None or counted[-1][0] <= begin:
        return None
    return sum(count for _, count in counted) / (counted[-1][0] - begin)


def _seconds(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def progress_of(served: ServedStore) -> RunProgress:
    """Return what is known of the runs of a served store."""
    return served.once("progress", RunProgress)
