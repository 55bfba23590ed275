"""Failure records: one JSON object for each prompt that could not be traced, with the reason."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

from ...errors import StoreCorrupt
from ..backend.base import Backend, key_batches
from ..object_names import FAILURE_NAME, failure_name
from .checksummed_json import MALFORMED


@dataclass(frozen=True)
class Failure:
    """A prompt that was given up: in which phase, why, after how many attempts, and when (UTC, ISO 8601)."""

    prompt_id: str
    phase: str
    reason: str
    attempts: int
    time: str
    run: str = ""
    """The run that gave the prompt up; empty if it is not known."""


def read_failures(root: Backend) -> list[Failure]:
    """Return every failure record, including those of prompts that were completed later. Raises StoreCorrupt."""
    keys = [f"failures/{name}" for name in root.list_dir("failures") if FAILURE_NAME.fullmatch(name)]
    found = (item for batch in key_batches(keys) for item in root.read_many(batch).items())
    return [parse_failure(data, root.url, key) for key, data in found]


def parse_failure(data: bytes, url: str, key: str) -> Failure:
    """Return the content of a failure record.

    Raises StoreCorrupt, also if the record's name belongs to another prompt.
    """
    where = f"{url}/{key}"
    try:
        record = {"run": "", **json.loads(data)}
        failure = Failure(**{field.name: record[field.name] for field in fields(Failure)})
        if any(
            type(getattr(failure, field.name)) is not (int if field.type == "int" else str) for field in fields(Failure)
        ):
            raise ValueError("not of the right kinds")
        if f"failures/{failure_name(failure.prompt_id)}" != key:
            raise ValueError(f"it is about prompt {failure.prompt_id!r}")
        return failure
    except MALFORMED as error:
        raise StoreCorrupt(f"{where} is not a failure record: {type(error).__name__}: {error}") from error
