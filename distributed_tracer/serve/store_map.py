"""StoreMap: the map of a served store's prompts, which is made in the background once somebody asks for it."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from ..errors import ConfigError, StoreUnavailable, TracerError
from ..mine.prompt_map import PromptMap, prompt_map
from ..redact import redacted
from ..store.reader import Store
from .served_store import ServedStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MapProgress:
    """How far the making of a map is."""

    done: int
    """Number of prompts whose graphs were read."""
    total: int
    """Number of prompts to read; 0 while this is not known."""


class StoreMap:
    """The map of one store: it is made once, kept in memory, and made anew only when that is asked for."""

    def __init__(self, served: ServedStore) -> None:
        """Know nothing yet."""
        self._served, self._lock = served, threading.Lock()
        self._map: PromptMap | None = None
        self._progress: MapProgress | None = None
        self._failed: TracerError | None = None
        self._failed_for = (-1, "")

    def now(self, anew: bool = False) -> PromptMap | MapProgress:
        """Return the map, or how far its making is, which begins if there is none. Never waits.

        `anew` has it made of the store as it is now; it is ignored while a map is being made. Raises what the last
        attempt raised, as long as the store has not changed and nobody asks anew.
        """
        store = self._served.refresh()
        with self._lock:
            if self._progress is not None:
                return self._progress
            if self._failed is not None and self._failed_for == self._served.version and not anew:
                raise self._failed
            if self._map is not None and not anew:
                return self._map
            self._failed, self._progress = None, MapProgress(0, 0)
            threading.Thread(target=self._work, args=(store,), name="map", daemon=True).start()
            return self._progress

    def num_new(self) -> int:
        """Return how many prompts more the store has than it had when its map was made."""
        return 0 if self._map is None else max(0, len(self._served.store) - self._map.num_prompts)

    def _work(self, store: Store) -> None:
        found, failed, version = None, None, self._served.version
        try:
            found = prompt_map(store, self._report)
        except TracerError as error:
            failed = error
        except OSError as error:
            failed = StoreUnavailable(f"the map could not be made: {redacted(str(error))}")
        except Exception:
            _log.exception("the map of the prompts could not be made")
            failed = ConfigError("the map could not be made: the server met an error of its own; its log says more")
        with self._lock:
            self._progress, self._failed, self._failed_for = None, failed, version
            self._map = found or self._map

    def _report(self, done: int, total: int) -> None:
        with self._lock:
            self._progress = MapProgress(done, total)


def map_of(served: ServedStore) -> StoreMap:
    """Return the map of a served store, which is not made before it is asked for."""
    return served.once("map", lambda: StoreMap(served))
