"""Ledger: the driver's side of the store. What run it is, which parts count, which prompts failed and why."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from ..display import printable
from ..errors import CommitRefused, StoreCorrupt, StoreError, StoreMismatch, StoreNotFound, StoreVersionError
from ..redact import redacted
from .commit import commit
from .index import newest_index
from .places.patience import patiently
from .places.root import Root, open_root
from .receipt import Receipt
from .runs import How, RunEnd, write_run, write_run_end
from .schema import COMMIT_NAME, FAILURE_NAME, FORMAT_VERSION, RUN, failure_name
from .sealed import REFUSALS, check_depth

COMMITS_AT_ONCE = 16
_AT_ONCE = 256
_LONGEST_REASON = 50_000
"""Characters: with twelve bytes for each, a record is not too large to be read."""


@dataclass(frozen=True)
class Failure:
    """A prompt that was given up: in which phase, why, after how many attempts, and when (UTC, ISO 8601)."""

    prompt_id: str
    phase: str
    reason: str
    attempts: int
    time: str
    run: str = ""
    """The run that gave it up."""


class Ledger:
    """One driver's view of a store. Several drivers may share a store; each sees the others' commits."""

    def __init__(self, root: str, retry_seconds: float = 0.0) -> None:
        """What cannot be written is tried again for `retry_seconds`; what cannot be read is an error at once."""
        self._root = open_root(root)
        self._retry_seconds = retry_seconds
        self._last: int | None = None
        """The highest number of a commit that was seen."""
        self._run = ""

    def create_or_check(self, run_info: Mapping[str, Any]) -> None:
        """Make the store, or check that it was made with the same `run_info["identity"]` (a dict) and, where both have
        it, `run_info["content"]`: hashes of files.

        The rest of `run_info` is provenance of whoever came first. Raises StoreMismatch naming every key that
        differs with both values, StoreVersionError for a store of a newer format.
        """
        header = {"format": "distributed_tracer", "format_version": FORMAT_VERSION}
        data = json.dumps({**header, **run_info, **header}, indent=2).encode()
        there = self._root.read(RUN)
        found = parse_run(self._root.create(RUN, data) if there is None else there, self._root.url)
        if lines := differences(found["identity"], json.loads(data)["identity"]):
            raise StoreMismatch(
                f"{self._root.url} was made with another configuration:\n  "
                + "\n  ".join(lines)
                + "\n  Give the run the store's values, or another store."
            )
        if changed := _changed(found.get("content"), run_info.get("content", {})):
            raise StoreMismatch(
                f"{self._root.url} was made with other files:\n  "
                + "\n  ".join(changed)
                + "\n  Give the run the files as they were, or another store."
            )

    def begin(self, num_prompts: int, num_done: int, part_seconds: float, info: Mapping[str, Any]) -> None:
        """Say that a run starts (see RunRecord, and `info` beside it); later commits and failures name it."""
        started = datetime.now(UTC).isoformat(timespec="milliseconds")  # which run is the latest goes by it
        run = {"started": started, "host": f"{socket.gethostname()}:{os.getpid()}"}
        counts = {"num_prompts": num_prompts, "num_done": num_done, "part_seconds": part_seconds}
        self._run = write_run(self._root, {**info, **run, **counts})

    def end(self, how: How, reason: str = "") -> None:
        """Say how the run that began here has ended; nothing if none has."""
        if not self._run:
            return
        end = RunEnd(_now(), how, redacted(reason)[:_LONGEST_REASON])
        patiently(lambda: write_run_end(self._root, self._run, end), self._retry_seconds)

    def commit(self, *receipts: Receipt) -> list[str]:
        """Make parts count, several at once. Each is atomic, and harmless to repeat. Returns the commits' names.

        Raises CommitRefused for parts that are not whole, as `gc` removed them while this process was suspended, after
        the others are made to count; StoreNotFound if there is no store any more.
        """
        if not receipts:
            return []
        if self._last is None:
            self._last = max((int(name[:10]) for name in commit_names(self._root)), default=0)
        names = [f"{self._last + n:010d}-{receipt.part}.json" for n, receipt in enumerate(receipts, start=1)]
        # the same bytes each time: what is there after an answer that was lost is known as one's own
        documents = [receipt.to_json(_now(), self._run) for receipt in receipts]
        refused: dict[str, str] = {}
        patiently(lambda: refused.update(self._commit_all(names, documents, receipts)), self._retry_seconds)
        self._last += len(receipts)
        if refused:
            error = CommitRefused(next(iter(refused.values())))
            error.parts = refused
            raise error
        return names

    def _commit_all(
        self, names: Sequence[str], documents: Sequence[bytes], receipts: Sequence[Receipt]
    ) -> dict[str, str]:
        """Why parts are refused, by name. Raises StoreNotFound."""

        def reason(name: str, document: bytes, receipt: Receipt) -> str | None:
            try:
                commit_part(self._root, name, document, receipt)
            except CommitRefused as error:
                return str(error)
            return None

        with ThreadPoolExecutor(min(1 + len(names), COMMITS_AT_ONCE)) as pool:
            run = pool.submit(self._root.read, RUN)
            found = pool.map(reason, names, documents, receipts)
            refused = {receipt.part: why for receipt, why in zip(receipts, found, strict=True) if why}
        if run.result() is None:  # what writes parts would go on in an empty place for nobody
            raise StoreNotFound(f"there is no store at {self._root.url}: its {RUN} is gone, or was never there")
        return refused

    def record_failure(self, prompt_id: str, phase: str, reason: str, attempts: int) -> None:
        """Say that a prompt was given up; replaces an earlier record of the same prompt."""
        self.record_failures([(prompt_id, phase, reason, attempts)])

    def record_failures(self, given_up: Iterable[tuple[str, str, str, int]]) -> None:
        """The same of several, at once: (prompt's id, phase, reason, attempts) of each."""
        now = _now()
        failures = [
            Failure(name, phase, redacted(why)[:_LONGEST_REASON], attempts, now, self._run)
            for name, phase, why, attempts in given_up
        ]
        records = {f"failures/{failure_name(one.prompt_id)}": json.dumps(asdict(one)).encode() for one in failures}
        patiently(lambda: self._root.upload(records), self._retry_seconds)

    def done(self) -> set[str]:
        """Ids of all prompts in committed parts, those of other drivers included."""
        return {prompt_id for prompt_id, _ in self.asked()}

    def asked(self) -> Iterator[tuple[str, str]]:
        """Every prompt in every committed part, with what its graph was made from as `Prompt.asked` says it, empty
        where that is not known. The first commit that names a prompt holds its graph."""
        index = newest_index(self._root)
        covered: Collection[str] = ()
        if index:
            covered = index.covered
            yield from index.asked()
            self._last = max([self._last or 0, *(int(name[:10]) for name in covered)])
        for name, receipt in read_commits(self._root, covered):
            self._last = max(self._last or 0, int(name[:10]))
            yield from ((entry.id, entry.asked) for entry in receipt.prompts)

    def failures(self) -> dict[str, Failure]:
        """Failed prompts by id; a prompt that was done after all is not among them."""
        recorded, done = read_failures(self._root), self.done()
        return {failure.prompt_id: failure for failure in recorded if failure.prompt_id not in done}


def commit_part(root: Root, name: str, document: bytes, receipt: Receipt) -> None:
    """Make the commit `name` of a part.

    Raises CommitRefused if the part is not whole, StoreError if the name is another part's.
    """
    where = f"{root.url}/commits/{name}"
    there = commit(root, f"commits/{name}", document, f"parts/{receipt.part}", receipt.objects)
    if there != document and Receipt.from_json(there, where).part != receipt.part:
        raise StoreError(f"{where} holds another part than {receipt.part}")


def read_failures(root: Root) -> list[Failure]:
    """Every failure record, those of prompts that were done after all too. Raises StoreCorrupt."""
    keys = [f"failures/{name}" for name in root.names("failures") if FAILURE_NAME.fullmatch(name)]
    batches = (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))
    return [parse_failure(data, root.url, key) for batch in batches for key, data in root.read_many(batch).items()]


def parse_failure(data: bytes, url: str, key: str) -> Failure:
    """A failure record's content. Raises StoreCorrupt, also if it is about another prompt than its name says."""
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
    except REFUSALS as error:
        raise StoreCorrupt(f"{where} is not a failure record: {type(error).__name__}: {error}") from error


def read_commits(root: Root, covered: Container[str] = ()) -> Iterator[tuple[str, Receipt]]:
    """Name and receipt of every commit but those `covered`, in the order of names; some are read at once."""
    names = [name for name in commit_names(root) if name not in covered]
    for start in range(0, len(names), _AT_ONCE):
        keys = {name: f"commits/{name}" for name in names[start : start + _AT_ONCE]}
        found = root.read_many(list(keys.values()))
        if gone := [key for key in keys.values() if key not in found]:
            raise StoreCorrupt(f"{root.url}/{gone[0]} is listed but cannot be read ({len(gone)} such)")
        for name, key in keys.items():
            yield name, parse_commit(root, name, found[key])


def read_commit(root: Root, name: str) -> Receipt:
    """One commit's receipt. Raises StoreCorrupt, also if it is gone."""
    data = root.read(f"commits/{name}")
    if data is None:
        raise StoreCorrupt(f"{root.url}/commits/{name} is gone; if the store was cleaned meanwhile, open it again")
    return parse_commit(root, name, data)


def parse_commit(root: Root, name: str, data: bytes) -> Receipt:
    """The receipt in the commit `name`. Raises StoreCorrupt, also for another part's."""
    receipt = Receipt.from_json(data, f"{root.url}/commits/{name}")
    if receipt.part != name[11:43]:
        raise StoreCorrupt(f"{root.url}/commits/{name} is the commit of another part, {receipt.part}")
    return receipt


def commit_names(root: Root) -> list[str]:
    """File names of all commits, in their order."""
    return [name for name in root.names("commits") if COMMIT_NAME.fullmatch(name)]


def parse_run(data: bytes, url: str) -> dict[str, Any]:
    """run.json's content. Raises StoreVersionError for another format version, StoreCorrupt for anything else."""
    try:
        info = json.loads(data)
        version = info["format_version"]
        known = info["format"] == "distributed_tracer" and isinstance(info["identity"], dict)
        check_depth(info)
    except REFUSALS as error:
        raise StoreCorrupt(f"{url}/{RUN} does not describe a store: {type(error).__name__}: {error}") from error
    if version != FORMAT_VERSION:
        raise StoreVersionError(
            f"{url} has format version {version!r}; this program reads version {FORMAT_VERSION}. "
            "Use a newer version of distributed_tracer."
        )
    if not known:
        raise StoreCorrupt(f"{url}/{RUN} does not describe a store")
    return dict(info)


def differences(
    there: Mapping[str, Any],
    here: Mapping[str, Any],
    names: tuple[str, str] = ("the store", "this run"),
    within: str = "",
) -> list[str]:
    """One line for every key, dotted where nested, whose values differ; `names` are of whose the values are."""
    lines = []
    for name in sorted(there.keys() | here.keys()):
        old, new = there.get(name, _ABSENT), here.get(name, _ABSENT)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += differences(old, new, names, f"{within}{name}.")
        elif old != new:
            lines.append(f"{printable(within + name)}: {names[0]} has {_shown(old)}, {names[1]} {_shown(new)}")
    return lines


def _changed(there: object, here: Mapping[str, str]) -> list[str]:
    """A line for everything whose files have another hash; stores made before there were hashes know none."""
    known = there if isinstance(there, dict) else {}
    return [
        f"{name}: the store has {_shown(known[name])}, this run {_shown(value)}"
        for name, value in here.items()
        if known.get(name, value) != value
    ]


_ABSENT = object()


def _shown(value: object) -> str:
    return "nothing" if value is _ABSENT else json.dumps(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
