"""ServedStore: what all requests share: the store as it is now, what was read of it, and what is kept in memory.

Every method may be called by several threads at once. A Store does not change: when parts have been committed, another
one takes its place, and requests that have begun go on with theirs.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from ..errors import StoreError, StoreNotFound
from ..graph.context import GraphContext
from ..graph.graph import Graph
from ..graph.labels import Labels
from ..mine.certificates import with_certificates
from ..mine.result import Result, open_result
from ..profile.reader import Profile, open_profile
from ..profile.same_features import check_profile
from ..redact import redacted
from ..store.annotation_log import AnnotationCache
from ..store.annotations import counting_labels
from ..store.format.annotation import GROUPS, LABELS
from ..store.reader import Store, open_store
from .newer_store import newer_store
from .settings import ServeSettings

T = TypeVar("T")
REFRESH_SECONDS = 5.0
"""Time after which the store is looked at again, when something is asked of it."""


class ByteCache:
    """Replies by key, the ones used last, up to a number of bytes."""

    def __init__(self, most_bytes: int) -> None:
        """Create an empty cache that holds `most_bytes`."""
        self._most, self._bytes, self._lock = most_bytes, 0, threading.Lock()
        self._kept: OrderedDict[Any, bytes] = OrderedDict()

    def get(self, key: Any, make: Callable[[], bytes]) -> bytes:
        """Return the reply of a key; `make` makes it where it is not kept. Two threads may make the same at once."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            if key not in self._kept and len(made) <= self._most:
                self._kept[key] = made
                self._bytes += len(made)
                while self._bytes > self._most:
                    self._bytes -= len(self._kept.popitem(last=False)[1])
        return made


class ServedStore:
    """The store of one server, with its profile and results."""

    def __init__(self, settings: ServeSettings) -> None:
        """Open the store, the profile and the results that the settings name. Raises what opening them raises, and
        ConfigError for a profile of other features."""
        self.settings = settings
        self.store: Store = open_store(settings.store)
        """The store as it was when it was last looked at. Read it once in a request."""
        self.profile: Profile | None = None if settings.profile is None else open_profile(settings.profile)
        if self.profile is not None:
            check_profile(self.store, self.profile)
        self.results: tuple[Result, ...] = tuple(with_certificates(open_result(path) for path in settings.mined))
        self.annotations = AnnotationCache(self.store.root)
        """What is said about the store. Endpoints that write annotations call `reopen` afterwards."""
        self.cache = ByteCache(settings.cache_bytes)
        self.shared: dict[str, Any] = {}
        """What groups of endpoints keep between requests, by their own names; see `once`."""
        self._lock = threading.RLock()
        self._looked, self._looking = time.monotonic(), threading.Lock()
        self._labels = Labels()
        self._label_names: list[str] | None = None
        self._group_names: list[str] = []
        self.annotations.refresh()
        self._set_labels(self.store)
        self.trouble = ""
        """Why the last look for new parts failed; empty if it did not. What was read before is still shown."""

    def refresh(self) -> Store:
        """Return the store; look for new parts first if that was not done for some seconds.

        One request at a time looks, others go on. If the store cannot be read, it stays as it was, and `trouble` says
        why. Raises StoreNotFound if the store is not there any more.
        """
        if time.monotonic() - self._looked < REFRESH_SECONDS or not self._looking.acquire(blocking=False):
            return self.store
        try:
            self._look()
        finally:
            self._looking.release()
        return self.store

    def reopen(self) -> Store:
        """Return the store as it is now, as after something was written into it."""
        with self._looking:
            self._look()
        return self.store

    def _look(self) -> None:
        """Take a store with new parts or new annotations in the place of the one before."""
        try:
            found = newer_store(self.store, self.settings.store)
            self.annotations.refresh()
            groups = [one.name for one in self.annotations.annotations(GROUPS)]
            if groups != self._group_names and found is self.store:  # it keeps the groups that it has read
                found = Store(found.root, found.info, found.catalogue, found.index, {})
            self._group_names = groups
            self._set_labels(found)
            self.store, self.trouble = found, ""
        except StoreNotFound:
            raise
        except StoreError as error:
            self.trouble = redacted(str(error))
        finally:
            self._looked = time.monotonic()

    def _set_labels(self, store: Store) -> None:
        """Give a store the labels that count now. Damaged annotations are left out: `annotations.problems` has them."""
        annotations = self.annotations.annotations(LABELS)
        names = [one.name for one in annotations]
        if names != self._label_names:
            self._labels = Labels.of(row for _, row in counting_labels(annotations))
            self._label_names = names
        store.labels = self._labels

    @property
    def version(self) -> tuple[int, str]:
        """What tells this state of the graphs from others, for replies that are kept: commits change it."""
        commits = self.store.catalogue.commits
        return len(commits), commits[-1].name if commits else ""

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return the object kept under a name, which the first call makes."""
        with self._lock:
            if name not in self.shared:
                self.shared[name] = make()
            kept: T = self.shared[name]
            return kept

    def graph(self, prompt: str) -> Graph:
        """Return the graph of a prompt. Raises PromptNotFound, StoreCorrupt."""
        return self.refresh().graph(prompt)

    def context(self, prompt: str) -> GraphContext:
        """Return what is known about a prompt's graph besides the graph. Raises PromptNotFound, StoreCorrupt."""
        return self.refresh().context(prompt)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the store says about its model and transcoders."""
        return dict(self.store.info.get("identity", {}))
