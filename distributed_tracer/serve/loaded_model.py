"""LoadedModel: the model of a server that can intervene, loaded once, in the background, when it is first needed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ..artifacts.files_in_use import FilesInUse
from ..errors import StoreMismatch, TracerError
from ..redact import redacted
from ..store.format.run_file import changed_keys, is_imported
from .served_store import ServedStore

if TYPE_CHECKING:
    from ..intervene.replacement_model import ReplacementModel


class LoadedModel:
    """A model with its transcoders, and how far its loading is. One request uses it at a time."""

    def __init__(self, served: ServedStore) -> None:
        """Load nothing yet."""
        self.in_use = threading.Lock()
        """Held while a request runs the model."""
        self.replacement: ReplacementModel | None = None
        self.problem = ""
        """Why it could not be loaded."""
        self._served = served
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def state(self) -> str:
        """`none` (no model was given), `waiting` (not asked for yet), `loading`, `ready` or `failed`."""
        if self._served.settings.model is None:
            return "none"
        if self.replacement is not None:
            return "ready"
        if self.problem:
            return "failed"
        return "waiting" if self._thread is None else "loading"

    def load(self) -> None:
        """Begin to load the model, unless that has been done; return at once."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._load, name="loading the model", daemon=True)
                self._thread.start()

    def _load(self) -> None:
        from ..intervene.replacement_model import ReplacementModel

        settings, info = self._served.settings, self._served.store.info
        try:
            assert settings.model is not None
            assert settings.transcoders is not None
            _check_files(settings.model, settings.transcoders, info)
            dtype = str(info.get("identity", {}).get("forward_dtype", "float32"))
            self.replacement = ReplacementModel.load(settings.model, settings.transcoders, dtype, settings.device)
        except (TracerError, OSError) as error:
            self.problem = redacted(str(error))
        except Exception as error:  # a library's own: without words here, pages would wait for ever
            self.problem = redacted(f"{type(error).__name__}: {error}")


def loaded_model(served: ServedStore) -> LoadedModel:
    """Return the model of a server."""
    return served.once("model", lambda: LoadedModel(served))


def _check_files(model: str, transcoders: str, info: dict[str, Any]) -> None:
    """Raise StoreMismatch if the graphs were made with other files. Imported graphs do not say with which."""
    if is_imported(info):
        return
    changed = changed_keys(info.get("content"), FilesInUse(model, transcoders).identity["content"])
    if changed:
        raise StoreMismatch("the store's graphs were made with other files than these: " + "; ".join(changed))
