"""Ledger: the driver's side of the store.

It records which run this is, which parts count, and which prompts failed and why.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ..errors import CommitRefused, StoreError, StoreMismatch, StoreNotFound
from ..redact import redacted
from .backend.base import Backend
from .backend.open import open_backend
from .backend.retry import retry_until
from .commits import commit, commit_names, read_commits
from .format.failure import Failure, read_failures
from .format.part_manifest import PartManifest
from .format.run_file import changed_keys, differences, parse_run
from .format.run_record import How, RunEnd, write_run, write_run_end
from .format.schema import FORMAT_VERSION
from .index import newest_index
from .object_names import RUN, commit_name, failure_name, number_of

COMMITS_AT_ONCE = 16
_LONGEST_REASON = 50_000
"""Maximum length of a failure's reason in characters.

Even at twelve bytes per character, a record then stays below the size limit for reading.
"""


class Ledger:
    """One driver's view of a store. Several drivers may share a store; each sees the commits of the others."""

    def __init__(self, root: str, retry_seconds: float = 0.0) -> None:
        """Open the store at `root`.

        A write that fails is retried for `retry_seconds`; a read that fails raises at once.
        """
        self._root = open_backend(root)
        self._retry_seconds = retry_seconds
        self._last: int | None = None
        """The highest number of a commit that was seen; None as long as the commits were not listed."""
        self._run = ""

    def identity(self) -> dict[str, Any] | None:
        """Return the identity that the store was made with; None if there is no store yet.

        Raises StoreVersionError for a store of another format version, and StoreCorrupt for anything that is no store.
        """
        there = self._root.read(RUN)
        return None if there is None else dict(parse_run(there, self._root.url)["identity"])

    def create_or_check(self, run_info: Mapping[str, Any]) -> None:
        """Create the store, or check that it was created with the same identity and files.

        `run_info["identity"]` (a dict) must be equal in the store and here. `run_info["content"]` (hashes of files)
        must be equal where both have it. The rest of `run_info` is provenance of the run that created the store. Raises
        StoreMismatch, which names every key that differs with both values, and StoreVersionError for a store of a newer
        format.
        """
        header = {"format": "distributed_tracer", "format_version": FORMAT_VERSION}
        data = json.dumps({**header, **run_info, **header}, indent=2).encode()
        there = self._root.read(RUN)
        found = parse_run(self._root.put_if_absent(RUN, data) if there is None else there, self._root.url)
        if lines := differences(found["identity"], json.loads(data)["identity"]):
            raise StoreMismatch(
                f"{self._root.url} was made with another configuration:\n  "
                + "\n  ".join(lines)
                + "\n  Give the run the store's values, or another store."
            )
        if changed := changed_keys(found.get("content"), run_info.get("content", {})):
            raise StoreMismatch(
                f"{self._root.url} was made with other files:\n  "
                + "\n  ".join(changed)
                + "\n  Give the run the files as they were, or another store."
            )

    def start_run(self, num_prompts: int, num_done: int, part_seconds: float, info: Mapping[str, Any]) -> None:
        """Record that a run starts: the fields of RunRecord, and `info` beside them.

        Later commits and failures name this run.
        """
        started = datetime.now(UTC).isoformat(timespec="milliseconds")  # orders runs whose numbers are equal
        run = {"started": started, "host": f"{socket.gethostname()}:{os.getpid()}"}
        counts = {"num_prompts": num_prompts, "num_done": num_done, "part_seconds": part_seconds}
        self._run = write_run(self._root, {**info, **run, **counts})

    def end(self, how: How, reason: str = "") -> None:
        """Record how the run that `start_run` began has ended; does nothing if no run was started."""
        if not self._run:
            return
        end = RunEnd(_now(), how, redacted(reason)[:_LONGEST_REASON])
        retry_until(lambda: write_run_end(self._root, self._run, end), self._retry_seconds)

    def commit(self, *manifests: PartManifest) -> list[str]:
        """Make parts count, several at once, and return the names of their commits.

        Each commit is atomic, and repeating it does no harm. Raises CommitRefused for incomplete parts, which occur if
        `gc` removed objects of a part while this process was suspended; all other parts are committed before it is
        raised. Raises StoreNotFound if the store no longer exists.
        """
        if not manifests:
            return []
        if self._last is None:
            self._last = max((number_of(name) for name in commit_names(self._root)), default=0)
        names = [commit_name(self._last + n, manifest.part) for n, manifest in enumerate(manifests, start=1)]
        # every retry writes the same bytes, so a commit whose acknowledgement was lost is recognised as our own
        documents = [manifest.to_json(_now(), self._run) for manifest in manifests]
        refused: dict[str, str] = {}
        retry_until(lambda: refused.update(self._commit_all(names, documents, manifests)), self._retry_seconds)
        self._last += len(manifests)
        if refused:
            error = CommitRefused(next(iter(refused.values())))
            error.parts = refused
            raise error
        return names

    def _commit_all(
        self, names: Sequence[str], documents: Sequence[bytes], manifests: Sequence[PartManifest]
    ) -> dict[str, str]:
        """Commit the parts and return the reason for each part that was refused, by part name. Raises StoreNotFound."""

        def reason(name: str, document: bytes, manifest: PartManifest) -> str | None:
            """Commit one part and return the reason if it was refused, else None."""
            try:
                commit_part(self._root, name, document, manifest)
            except CommitRefused as error:
                return str(error)
            return None

        with ThreadPoolExecutor(min(1 + len(names), COMMITS_AT_ONCE)) as pool:
            run = pool.submit(self._root.read, RUN)
            found = pool.map(reason, names, documents, manifests)
            refused = {manifest.part: why for manifest, why in zip(manifests, found, strict=True) if why}
        if run.result() is None:  # otherwise workers would keep writing parts into a store that no longer exists
            raise StoreNotFound(f"there is no store at {self._root.url}: its {RUN} is gone, or was never there")
        return refused

    def record_failures(self, given_up: Iterable[tuple[str, str, str, int]]) -> None:
        """Record several prompts that were given up, each as (prompt id, phase, reason, number of attempts)."""
        now = _now()
        failures = [
            Failure(name, phase, redacted(why)[:_LONGEST_REASON], attempts, now, self._run)
            for name, phase, why, attempts in given_up
        ]
        records = {f"failures/{failure_name(one.prompt_id)}": json.dumps(asdict(one)).encode() for one in failures}
        retry_until(lambda: self._root.put_many(records), self._retry_seconds)

    def done(self) -> set[str]:
        """Return the ids of all prompts in committed parts, including parts that other drivers committed."""
        return {prompt_id for prompt_id, _ in self.content_hashes()}

    def content_hashes(self) -> Iterator[tuple[str, str]]:
        """Yield (prompt id, content hash) for every prompt of every committed part.

        The content hash is `Prompt.content_hash` of the prompt that the graph was made from, or empty where it is not
        known. If a prompt occurs several times, the first commit that names it holds its graph.
        """
        index = newest_index(self._root)
        covered: Collection[str] = ()
        if index:
            covered = index.covered
            yield from index.content_hashes()
            self._last = max([self._last or 0, *(number_of(name) for name in covered)])
        for name, manifest in read_commits(self._root, covered):
            self._last = max(self._last or 0, number_of(name))
            yield from ((entry.id, entry.asked) for entry in manifest.prompts)

    def failures(self) -> dict[str, Failure]:
        """Return the failed prompts by id, without the prompts that were completed later."""
        recorded, done = read_failures(self._root), self.done()
        return {failure.prompt_id: failure for failure in recorded if failure.prompt_id not in done}


def commit_part(root: Backend, name: str, document: bytes, manifest: PartManifest) -> None:
    """Create the commit `name` of a part.

    Raises CommitRefused if the part is incomplete, StoreError if a commit of another part already has this name.
    """
    where = f"{root.url}/commits/{name}"
    there = commit(root, f"commits/{name}", document, f"parts/{manifest.part}", manifest.objects)
    if there != document and PartManifest.from_json(there, where).part != manifest.part:
        raise StoreError(f"{where} holds another part than {manifest.part}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
