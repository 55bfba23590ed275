"""Runs: what each run was to do, written once when it starts. How far it got is in the commits that name it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import StoreCorrupt
from .places.root import Root
from .schema import FORMAT_VERSION, RUN_NAME

_FORMAT = "distributed_tracer run"


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


def write_run(root: Root, run: Mapping[str, Any]) -> str:
    """Make a run's record of the fields of RunRecord and anything else; its id."""
    name = uuid.uuid4().hex
    document = {"format": _FORMAT, "format_version": FORMAT_VERSION, **run}
    root.create(f"runs/{name}.json", json.dumps(document, indent=2).encode())
    return name


def read_runs(root: Root) -> list[RunRecord]:
    """Every run, the latest last. Raises StoreCorrupt."""
    keys = [f"runs/{name}" for name in root.names("runs") if RUN_NAME.fullmatch(name)]
    found = [parse_run_record(data, root.url, key) for key, data in root.read_many(keys).items()]
    return sorted(found, key=lambda run: (run.started, run.id))


def parse_run_record(data: bytes, url: str, key: str) -> RunRecord:
    """A run's record's content. Raises StoreCorrupt."""
    try:
        info = json.loads(data)
        counts = int(info["num_prompts"]), int(info["num_done"])
        return RunRecord(key[5:37], str(info["started"]), str(info["host"]), *counts, float(info["part_seconds"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise StoreCorrupt(f"{url}/{key} does not describe a run: {type(error).__name__}: {error}") from error
