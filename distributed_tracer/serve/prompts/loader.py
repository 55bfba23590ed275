"""PromptLoader: reads what parts say of prompts in the background, each part once, also while a run adds parts."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import StoreUnavailable, TracerError
from ...redact import redacted
from ...store.evaluations import check_keys
from ...store.part import Part
from ...store.reader import Store
from ...text import counted, format_bytes
from ..served_store import REFRESH_SECONDS, ServedStore
from .block import Dictionaries, PromptBlock, read_block
from .check_columns import check_columns
from .snapshot import PromptSnapshot, num_first_parts

_log = logging.getLogger(__name__)
MOST_COLUMNS = 300
MOST_BYTES = 1 << 30
"""Limits of what is kept: metadata keys, and bytes of texts; those of distinct values may take half as many."""
_RETRY_SECONDS = 30.0
_Key = tuple[str, bytes]


class PromptLoader:
    """The table of prompts of a served store, kept up in a thread that runs while there is something to read."""

    def __init__(self, served: ServedStore, most_bytes: int = MOST_BYTES, most_columns: int = MOST_COLUMNS) -> None:
        """Begin to read the table."""
        self._served, self._most_bytes = served, most_bytes
        self._dictionaries = Dictionaries(most_columns, most_bytes // 2)
        self._blocks: dict[_Key, PromptBlock] = {}
        self._checks: dict[str, dict[str, float]] = {}
        self._check_keys: list[str] | None = None
        self._read: Store | None = None
        self._changed = threading.Condition()
        self._wanted: list[int] = []
        self.troubles: tuple[str, ...] = ()
        """Why the table could not be brought up to date when that was last tried; empty if it could."""
        self._is_working, self._looked, self._failed = False, -REFRESH_SECONDS, 0.0
        self._current = self._snapshot(served.store, [None] * len(served.store.catalogue.commits), False)

    def now(self) -> PromptSnapshot:
        """Return the table as it is now, and look for new parts in the background if that is due. Never waits."""
        with self._changed:
            if not self._is_working and time.monotonic() - self._looked >= REFRESH_SECONDS:
                self._is_working = True
                threading.Thread(target=self._work, name="prompts", daemon=True).start()
            return self._current

    def read_all(self, seconds: float) -> PromptSnapshot:
        """Return the table when nothing more is being read, or as it is when the time is over."""
        self.now()
        with self._changed:
            self._changed.wait_for(lambda: not self._is_working, seconds)
            return self._current

    def wait_for(self, snapshot: PromptSnapshot, numbers: Iterable[int], seconds: float) -> PromptSnapshot:
        """Wait until the parts of some prompts have been read, which are read next, or until the time is over.

        Returns the table that then has them: numbers of prompts mean the same in it.
        """
        commits = {snapshot.place(number)[0] for number in numbers}

        def latest() -> PromptSnapshot:
            return self._current if self._current.catalogue is snapshot.catalogue else snapshot

        def are_there() -> bool:
            return latest().is_complete or all(latest().blocks[commit] for commit in commits)

        with self._changed:
            if not are_there():
                self._wanted = sorted(commits)
                self._changed.wait_for(are_there, seconds)
            return latest()

    def _work(self) -> None:
        try:
            self._look()
            trouble = self._served.trouble
            self.troubles = (f"the table is not up to date: {trouble}",) if trouble else ()
        except (TracerError, OSError) as error:
            self.troubles = (f"the table is not up to date: {redacted(str(error))}",)
        except Exception:
            _log.exception("the table of prompts could not be read")
            self.troubles = ("the table is not up to date: the server met an error of its own; its log says more",)
        finally:
            with self._changed:
                self._is_working, self._looked = False, time.monotonic()
                self._changed.notify_all()

    def _look(self) -> None:
        """Read what is new, and replace the table once all of it has been read."""
        store = self._served.refresh()
        keys, retries = check_keys(store.root), time.monotonic() - self._failed > _RETRY_SECONDS
        again = [key for key, block in self._blocks.items() if block.is_temporary and retries]
        if store is self._read and keys == self._check_keys and not again:
            return
        for key in again:
            del self._blocks[key]
        found = self._read_blocks(store)
        problems: list[str] = []
        if keys != self._check_keys or store is not self._read:
            try:
                self._checks = check_columns(store)
            except TracerError as error:
                problems.append(f"evaluations cannot be read: {redacted(str(error))}")
        snapshot = self._snapshot(store, found, True, problems)
        with self._changed:
            self._current, self._read, self._check_keys = snapshot, store, keys
            self._changed.notify_all()

    def _read_blocks(self, store: Store) -> list[PromptBlock | None]:
        """Return the blocks of all commits, those that are asked for first."""
        catalogue = store.catalogue
        keys = [_key(store, commit) for commit in range(len(catalogue.commits))]
        blocks: list[PromptBlock | None] = [self._blocks.get(key) for key in keys]
        self._blocks = {key: block for key, block in zip(keys, blocks, strict=True) if block}
        if not self._current.is_complete:
            with self._changed:
                self._current = self._snapshot(store, blocks, False)
        missing = {commit: None for commit, block in enumerate(blocks) if block is None}
        num_first = num_first_parts(catalogue)
        while missing:
            commit = next(iter(missing))
            if commit >= num_first:
                with self._changed:
                    commit = next((wanted for wanted in self._wanted if wanted in missing), commit)
            del missing[commit]
            block = self._block(store, commit)
            with self._changed:
                blocks[commit] = self._blocks[keys[commit]] = block
                if not self._current.is_complete and len(self._dictionaries.of) > self._current.num_dictionaries:
                    self._current = self._snapshot(store, blocks, False)  # it has columns that were not known before
                self._changed.notify_all()
        catalogue.rank_I  # noqa: B018  sorts the ids here, and not in a request: no request is answered meanwhile
        return blocks

    def _block(self, store: Store, commit: int) -> PromptBlock:
        """Return what is kept of a part, or why it cannot be read."""
        rows = store.catalogue.rows(commit)
        if not rows:
            return PromptBlock(0)
        kept = sum(block.num_bytes for block in self._blocks.values())
        try:
            part = Part(store.root, store.manifest(commit))
            return read_block(part, rows, self._dictionaries, kept < self._most_bytes)
        except (StoreUnavailable, OSError) as error:
            self._failed = time.monotonic()
            return PromptBlock(len(rows), problem=redacted(str(error)), is_temporary=True)
        except TracerError as error:
            return PromptBlock(len(rows), problem=redacted(str(error)))

    def _snapshot(
        self, store: Store, blocks: list[PromptBlock | None], is_complete: bool, problems: Iterable[str] = ()
    ) -> PromptSnapshot:
        own, said = self._dictionaries, list(problems)
        if own.dropped:
            names = ", ".join(sorted(name.removeprefix("metadata.") for name in own.dropped)[:5])
            said.append(f"not kept, as their values take more than {format_bytes(self._most_bytes // 2)}: {names}")
        if own.num_left_out:
            said.append(f"there are more than {counted(MOST_COLUMNS, 'metadata key')}: some have no column here")
        values: Mapping[str, Any] = {name: one.values for name, one in own.of.items() if name not in own.dropped}
        return PromptSnapshot(store, blocks, values, self._checks, is_complete, said)


def _key(store: Store, commit: int) -> _Key:
    """Return what tells the prompts of a commit from those that it had before: its name, and a hash of their rows."""
    numbers = store.catalogue.numbers(commit)
    rows = store.catalogue.columns["row"][numbers.start : numbers.stop]
    return store.catalogue.commits[commit].name, hashlib.sha256(rows.tobytes()).digest()


def prompts_of(served: ServedStore) -> PromptLoader:
    """Return the loader of a served store, which the first request starts."""
    return served.once("prompts", lambda: PromptLoader(served))
