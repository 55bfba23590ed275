"""Report of what a store holds and how far the latest run is, from the store alone, whether or not the run is alive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from ..redact import redacted
from ..store.backend.base import Backend
from ..store.backend.open import open_backend
from ..store.format.failure import Failure, read_failures
from ..store.format.run_file import is_imported
from ..store.format.run_record import RunEnd, RunRecord, read_run_end, read_runs
from ..store.maintenance.unreferenced import orphans
from ..store.object_names import failure_name
from ..store.reader import Store, open_store
from ..text import printable

_SHOWN = 20
_SILENT_PARTS = 3
"""A run counts as silent after this many times the seconds after which a worker writes a part."""
_CLOCK_SECONDS = 10.0
"""Difference between clocks, in seconds, that is not reported. Clocks may differ, and stores round their timestamps."""


def status_of(path: str) -> dict[str, Any]:
    """Return counts, failures, orphaned parts (written but never committed, harmless), the latest run, and run.json.

    Raises StoreNotFound, StoreVersionError, StoreCorrupt.
    """
    root = open_backend(path)
    runs = read_runs(root)
    end = read_run_end(root, runs[-1].id) if runs else None  # first: what a run that has ended has stored is then there
    store = open_store(path)
    catalogue = store.catalogue
    known = {commit.part for commit in (*catalogue.commits, *catalogue.superseded)}
    totals = {name: int(catalogue.columns[f"num_{name}"].sum()) for name in ("tokens", "nodes", "edges")}
    recorded = read_failures(root)
    failures = [failure for failure in recorded if failure.prompt_id not in store]
    return {
        "store": store.url,
        "done": len(store),
        "failed": [asdict(failure) for failure in sorted(failures, key=lambda failure: failure.prompt_id)],
        "parts": len(catalogue.commits),
        "orphans": list(orphans(root, known)),
        "bytes": sum(commit.num_bytes for commit in catalogue.commits),
        **totals,
        "written": _latest(commit.created for commit in catalogue.commits),
        "run": run_status(runs[-1], end, store, recorded) if runs else None,
        "info": store.info,
    }


def run_status(run: RunRecord, end: RunEnd | None, store: Store, failures: Sequence[Failure]) -> dict[str, Any]:
    """Return how far a run is, from what its driver last wrote and when: the driver itself may be gone.

    A run that ended by itself has recorded how; a run that was killed has not.
    """
    catalogue = store.catalogue
    is_own = catalogue.columns["run"] == (catalogue.runs.index(run.id) if run.id in catalogue.runs else -2)

    def is_done(prompt_id: str) -> bool:
        number = catalogue.number_of.get(prompt_id)
        return number is not None and bool(is_own[number])

    written = {f"commits/{commit.name}": commit.created for commit in catalogue.commits if commit.run == run.id}
    # A prompt whose id the store had under other content failed in this run, though the id is done.
    failed = [failure for failure in failures if failure.run == run.id and not is_done(failure.prompt_id)]
    num_done = run.num_done + int(is_own.sum())
    times = {f"runs/{run.id}.json": run.started, **written}
    times |= {f"failures/{failure_name(failure.prompt_id)}": failure.time for failure in failed}
    stamped, ahead = _by_the_store(store.root, times)
    return {
        "started": run.started,
        "host": run.host,
        "num_prompts": run.num_prompts,
        "num_done": num_done,
        "num_failed": len(failed),
        "num_left": max(0, run.num_prompts - num_done - len(failed)),
        "written": _latest(times.values()),
        "stamped": stamped,
        "clock_ahead_seconds": ahead,
        "silent_after_seconds": _SILENT_PARTS * run.part_seconds,
        "end": None if end is None else asdict(end),
    }


def _by_the_store(root: Backend, times: Mapping[str, str]) -> tuple[str | None, float]:
    """Return when the last of some objects was written, by the store's clock, and how far the writer's clock is ahead.

    The time is None if none of the objects is there. The lead is a lower bound in seconds: an object is written after
    the time that it states, so a stated time later than the store's timestamp shows that the writer's clock is ahead.
    """
    there = {key: info for folder in ("commits", "failures", "runs") for key, info in root.list_all(folder).items()}
    stamps = {key: there[key].written for key in times if key in there}
    if not stamps:
        return None, 0.0
    stated = {key: datetime.fromisoformat(time).timestamp() for key in stamps if (time := _time(times[key]))}
    ahead = max((stated[key] - stamps[key] for key in stated), default=0.0)
    stamped = datetime.fromtimestamp(max(stamps.values()), UTC).isoformat(timespec="seconds")
    return stamped, round(max(0.0, ahead), 1)


def _latest(times: Iterable[str]) -> str | None:
    """Return the latest of times in ISO 8601; other text is ignored. None if there is no time."""
    return max(filter(None, map(_time, times)), default=None)


def _time(text: str) -> str | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return None


def status_text(status: dict[str, Any], now: datetime | None = None) -> str:
    """Return the result of `status_of` as text."""
    now = now or datetime.now(UTC)
    info, failed = status["info"], status["failed"]
    identity = info["identity"]
    lines = [
        f"store    {status['store']}",
        f"made     {info.get('created', 'at an unknown time')} by {info.get('command', 'an unknown command')}",
        "model    that of each imported graph, as far as it is known"
        if is_imported(info)
        else f"model    {identity.get('model')} with {identity.get('transcoders')}",
        f"done     {status['done']:,} prompts: {status['nodes']:,} nodes, {status['edges']:,} edges in "
        f"{status['parts']:,} parts of {status['bytes']:,} bytes",
        *_progress_lines(status, now),
        f"failed   {len(failed):,} prompts",
        *(
            f"         {one['prompt_id']!r} in {one['phase']}, tried {one['attempts']}x: {one['reason']}"
            for one in failed[:_SHOWN]
        ),
    ]
    if len(failed) > _SHOWN:
        lines.append(f"         ... and {len(failed) - _SHOWN:,} more; --json has them all")
    lines.append(f"orphans  {len(status['orphans']):,} parts that no commit names, which nothing reads")
    return "\n".join(printable(redacted(line)) for line in lines)


def _progress_lines(status: dict[str, Any], now: datetime) -> Iterator[str]:
    """Yield lines on how far the latest run is and when something was last written. Old stores do not record runs."""
    run = status["run"]
    written = run["written"] if run else status["written"]
    if run:
        counts = f"{run['num_done']:,} of {run['num_prompts']:,} prompts done, {run['num_failed']:,} failed"
        yield f"run      {counts}, {run['num_left']:,} left; started {run['started']} by {run['host']}"
    if not written:
        return
    age = stored = _age(written, now)
    if run and run["stamped"]:
        stored = _age(run["stamped"], now)
        if run["clock_ahead_seconds"] > _CLOCK_SECONDS:
            ahead = timedelta(seconds=round(run["clock_ahead_seconds"]))
            yield f"clocks   that of {run['host']} is {ahead} or more ahead of the store's, which ages go by here"
            written, age = run["stamped"], stored
        if stored < -_CLOCK_SECONDS:
            yield f"clocks   this machine's is {timedelta(seconds=round(-stored))} or more behind the store's"
    yield f"written  {written}, {timedelta(seconds=max(0, age))} ago{_verdict(run, age, stored)}"


def _age(written: str, now: datetime) -> int:
    """Return the seconds since `written`; negative if a clock is wrong."""
    return round((now - datetime.fromisoformat(written)).total_seconds())


def _verdict(run: dict[str, Any] | None, age: int, stored: int) -> str:
    """Return a verdict on the run. `age` is in seconds by the clock of the run's driver, `stored` by the store's."""
    if not run:
        return ""
    if not run["num_left"]:
        return ": complete"
    if end := run["end"]:
        about = {"stopped": f" by {end['reason']}", "failed": f": {end['reason']}"}.get(end["how"], "")
        return f": {end['how']} at {end['time']}{about if end['reason'] else ''}; the same command goes on from here"
    if age <= run["silent_after_seconds"]:
        return ": running"
    if stored <= run["silent_after_seconds"]:
        return (
            f" by the clock of {run['host']}, {timedelta(seconds=max(0, stored))} by the store's: that clock is "
            "behind, and the run alive, or the store was copied since"
        )
    return (
        f": silent for {age:,} s, and nothing says that the run ended; if it is gone, the same command goes on from "
        "here"
    )
