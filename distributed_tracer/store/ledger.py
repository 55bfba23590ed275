"""Ledger: the driver's side of the store. What run it is, which parts count, which prompts failed and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from ..errors import StoreCorrupt, StoreError, StoreMismatch, StoreVersionError
from .receipt import PromptEntry, Receipt
from .root import Root, open_root
from .schema import COMMIT_NAME, FAILURE_NAME, FORMAT_VERSION, RUN, failure_name

_AT_ONCE, _COMMITS_AT_ONCE = 256, 16


@dataclass(frozen=True)
class Failure:
    """A prompt that was given up: in which phase, why, after how many attempts, and when (UTC, ISO 8601)."""

    prompt_id: str
    phase: str
    reason: str
    attempts: int
    time: str


class Ledger:
    """One driver's view of a store. Several drivers may share a store; each sees the others' commits."""

    def __init__(self, root: str) -> None:
        self._root = open_root(root)
        self._last: int | None = None
        """The highest number of a commit that was seen."""

    def create_or_check(self, run_info: Mapping[str, Any]) -> None:
        """Make the store, or check that it was made with the same `run_info["identity"]` (a dict).

        The rest of `run_info` is provenance of whoever came first. Raises StoreMismatch naming every key that
        differs with both values, StoreVersionError for a store of a newer format.
        """
        header = {"format": "distributed_tracer", "format_version": FORMAT_VERSION}
        data = json.dumps({**header, **run_info, **header}, indent=2).encode()
        there = self._root.read(RUN)
        found = parse_run(self._root.create(RUN, data) if there is None else there, self._root.url)
        differences = _differences(found["identity"], json.loads(data)["identity"])
        if differences:
            raise StoreMismatch(
                f"{self._root.url} was made with another configuration:\n  "
                + "\n  ".join(differences)
                + "\n  Give the run the store's values, or another store."
            )

    def commit(self, *receipts: Receipt) -> None:
        """Make parts count, several at once. Each is atomic; committing one again after an error is harmless."""
        if not receipts:
            return
        if self._last is None:
            self._last = max((int(name[:10]) for name in _commit_names(self._root)), default=0)
        names = [f"{self._last + n:010d}-{receipt.part}.json" for n, receipt in enumerate(receipts, start=1)]
        with ThreadPoolExecutor(min(len(names), _COMMITS_AT_ONCE)) as pool:
            list(pool.map(self._commit, names, receipts))
        self._last += len(receipts)

    def _commit(self, name: str, receipt: Receipt) -> None:
        data = receipt.to_json(created=_now())
        there = self._root.create(f"commits/{name}", data)
        if there != data and Receipt.from_json(there, f"{self._root.url}/commits/{name}").part != receipt.part:
            raise StoreError(f"{self._root.url}/commits/{name} holds another part than {receipt.part}")

    def record_failure(self, prompt_id: str, phase: str, reason: str, attempts: int) -> None:
        """Say that a prompt was given up; replaces an earlier record of the same prompt."""
        failure = Failure(prompt_id, phase, reason, attempts, _now())
        self._root.replace(f"failures/{failure_name(prompt_id)}", json.dumps(asdict(failure)).encode())

    def done(self) -> set[str]:
        """Ids of all prompts in committed parts, those of other drivers included."""
        return {entry.id for entry in self.entries()}

    def entries(self) -> Iterator[PromptEntry]:
        """Every prompt in every committed part; the first commit that names a prompt holds its graph."""
        for name, receipt in read_commits(self._root):
            self._last = max(self._last or 0, int(name[:10]))
            yield from receipt.prompts

    def failures(self) -> dict[str, Failure]:
        """Failed prompts by id; a prompt that was done after all is not among them."""
        keys = [f"failures/{name}" for name in self._root.names("failures") if FAILURE_NAME.fullmatch(name)]
        recorded = [self._failure(key, data) for key, data in self._root.read_many(keys).items()]
        done = self.done()
        return {failure.prompt_id: failure for failure in recorded if failure.prompt_id not in done}

    def _failure(self, key: str, data: bytes) -> Failure:
        try:
            record = json.loads(data)
            return Failure(**{field.name: record[field.name] for field in fields(Failure)})
        except (ValueError, TypeError, KeyError) as error:
            where = f"{self._root.url}/{key}"
            raise StoreCorrupt(f"{where} is not a failure record: {type(error).__name__}: {error}") from error


def read_commits(root: Root) -> Iterator[tuple[str, Receipt]]:
    """Name and receipt of every commit, in commit order, which is the order of names; some are read at once."""
    names = _commit_names(root)
    for start in range(0, len(names), _AT_ONCE):
        keys = {name: f"commits/{name}" for name in names[start : start + _AT_ONCE]}
        found = root.read_many(list(keys.values()))
        if gone := [key for key in keys.values() if key not in found]:
            raise StoreCorrupt(f"{root.url}/{gone[0]} is listed but cannot be read ({len(gone)} such)")
        for name, key in keys.items():
            yield name, Receipt.from_json(found[key], f"{root.url}/{key}")


def _commit_names(root: Root) -> list[str]:
    return [name for name in root.names("commits") if COMMIT_NAME.fullmatch(name)]


def parse_run(data: bytes, url: str) -> dict[str, Any]:
    """run.json's content. Raises StoreVersionError for another format version, StoreCorrupt for anything else."""
    try:
        info = json.loads(data)
        version = info["format_version"]
        known = info["format"] == "distributed_tracer" and isinstance(info["identity"], dict)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreCorrupt(f"{url}/{RUN} does not describe a store: {type(error).__name__}: {error}") from error
    if version != FORMAT_VERSION:
        raise StoreVersionError(
            f"{url} has format version {version!r}; this program reads version {FORMAT_VERSION}. "
            "Use a newer version of distributed_tracer."
        )
    if not known:
        raise StoreCorrupt(f"{url}/{RUN} does not describe a store")
    return dict(info)


def _differences(there: Mapping[str, Any], here: Mapping[str, Any], within: str = "") -> list[str]:
    """One line for every key, dotted where nested, whose values differ."""
    lines = []
    for name in sorted(there.keys() | here.keys()):
        old, new = there.get(name, _ABSENT), here.get(name, _ABSENT)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += _differences(old, new, f"{within}{name}.")
        elif old != new:
            lines.append(f"{within}{name}: the store has {_shown(old)}, this run {_shown(new)}")
    return lines


_ABSENT = object()


def _shown(value: object) -> str:
    return "nothing" if value is _ABSENT else json.dumps(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
