"""What a store holds and how far the latest run is, from the store alone: the run may be alive, elsewhere or dead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from ..redact import redacted
from ..store.ledger import Failure, read_failures
from ..store.places.root import open_root
from ..store.reader import Store, open_store
from ..store.runs import RunEnd, RunRecord, read_run_end, read_runs
from ..store.table import printable
from ..upkeep.garbage import orphans

_SHOWN = 20
_SILENT_PARTS = 3
"""A run is called silent after so many times the seconds after which a worker writes a part."""


def status_of(path: str) -> dict[str, Any]:
    """Counts, failures, orphaned parts (written but never committed, harmless), the latest run, and run.json.

    Raises StoreNotFound, StoreVersionError, StoreCorrupt.
    """
    store, root = open_store(path), open_root(path)
    catalogue = store.catalogue
    known = {commit.part for commit in (*catalogue.commits, *catalogue.superseded)}
    totals = {name: int(catalogue.columns[f"num_{name}"].sum()) for name in ("tokens", "nodes", "edges")}
    recorded = read_failures(root)
    failures = [failure for failure in recorded if failure.prompt_id not in store]
    runs = read_runs(root)
    return {
        "store": store.url,
        "done": len(store),
        "failed": [asdict(failure) for failure in sorted(failures, key=lambda failure: failure.prompt_id)],
        "parts": len(catalogue.commits),
        "orphans": list(orphans(root, known)),
        "bytes": sum(commit.num_bytes for commit in catalogue.commits),
        **totals,
        "written": _latest(commit.created for commit in catalogue.commits),
        "run": _run_status(runs[-1], read_run_end(root, runs[-1].id), store, recorded) if runs else None,
        "info": store.info,
    }


def _run_status(run: RunRecord, end: RunEnd | None, store: Store, failures: Sequence[Failure]) -> dict[str, Any]:
    """How far a run is. Its driver is not asked, as it may be gone: what it last wrote, and when, must do. One that
    ended by itself has said how; one that was killed has not."""
    catalogue = store.catalogue
    number = catalogue.runs.index(run.id) if run.id in catalogue.runs else None
    done = set() if number is None else {catalogue.ids[n] for n in (catalogue.columns["run"] == number).nonzero()[0]}
    written = (commit.created for commit in catalogue.commits if commit.run == run.id)
    # one whose id the store had under other content failed in this run, though the id is done
    failed = [failure for failure in failures if failure.run == run.id and failure.prompt_id not in done]
    num_done = run.num_done + len(done)
    times = [run.started, *written, *(failure.time for failure in failed)]
    return {
        "started": run.started,
        "host": run.host,
        "num_prompts": run.num_prompts,
        "num_done": num_done,
        "num_failed": len(failed),
        "num_left": max(0, run.num_prompts - num_done - len(failed)),
        "written": _latest(times),
        "silent_after_seconds": _SILENT_PARTS * run.part_seconds,
        "end": None if end is None else asdict(end),
    }


def _latest(times: Iterable[str]) -> str | None:
    """Of times in ISO 8601; other text is passed over."""
    return max(filter(None, map(_time, times)), default=None)


def _time(text: str) -> str | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return None


def status_text(status: dict[str, Any], now: datetime | None = None) -> str:
    """The same for people."""
    now = now or datetime.now(UTC)
    info, failed = status["info"], status["failed"]
    identity = info["identity"]
    lines = [
        f"store    {status['store']}",
        f"made     {info.get('created', 'at an unknown time')} by {info.get('command', 'an unknown command')}",
        f"model    {identity.get('model')} with {identity.get('transcoders')}",
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
    """How far the latest run is, and when something was last written. An old store does not know its runs."""
    run = status["run"]
    written = run["written"] if run else status["written"]
    if run:
        counts = f"{run['num_done']:,} of {run['num_prompts']:,} prompts done, {run['num_failed']:,} failed"
        yield f"run      {counts}, {run['num_left']:,} left; started {run['started']} by {run['host']}"
    if written:
        age = max(timedelta(), timedelta(seconds=round((now - datetime.fromisoformat(written)).total_seconds())))
        yield f"written  {written}, {age} ago{_verdict(run, age)}"


def _verdict(run: dict[str, Any] | None, age: timedelta) -> str:
    if not run:
        return ""
    if not run["num_left"]:
        return ": complete"
    if end := run["end"]:
        about = {"stopped": f" by {end['reason']}", "failed": f": {end['reason']}"}.get(end["how"], "")
        return f": {end['how']} at {end['time']}{about if end['reason'] else ''}; the same command goes on from here"
    if age.total_seconds() <= run["silent_after_seconds"]:
        return ": running"
    return (
        f": silent for {age.total_seconds():,.0f} s, and nothing says that the run ended; if it is gone, the same "
        "command goes on from here"
    )
