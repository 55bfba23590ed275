"""RemoteHelper: another actor that acts as a helper of this one, called over Ray."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import ray

from ...config import TraceConfig
from ...prompt import Prompt
from ...trace.edge_block_io import SerializedBlock
from ..shared_rows import HelperFailed
from ..telemetry.untrusted_text import in_short
from .cluster import ACTOR_LOST_ERRORS
from .prompt_message import TOO_LARGE


class RemoteHelper:
    """A `Helper` in another actor. Its rows come through Ray's object store, never through the driver."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._opened: Any = None
        self._request: Any = None
        self._fingerprint = ""

    def open(self, prompt: Prompt, config: TraceConfig) -> None:
        """Begin to prepare for a prompt. Raises HelperFailed."""
        self._opened = _sent(self._actor.open_session, prompt, config)

    def fingerprint(self) -> str | None:
        """Return the fingerprint of the helper's active features; None until it is prepared. Raises HelperFailed."""
        if not ray.wait([self._opened], timeout=0)[0]:
            return None
        self._fingerprint = _get(self._opened, None)
        return self._fingerprint

    def ask(self, chosen_F: npt.NDArray[np.int64], number: int) -> None:
        """Begin to compute one batch of a round. Raises HelperFailed."""
        self._request = _sent(self._actor.compute_batch, self._fingerprint, chosen_F, number)

    def answered(self) -> bool:
        """Whether the last batch asked for has arrived, or has failed."""
        return bool(ray.wait([self._request], timeout=0)[0])

    def take(self, seconds: float) -> SerializedBlock:
        """Return the block asked for. Raises HelperFailed, also if the block does not arrive within `seconds`."""
        found: SerializedBlock = _get(self._request, seconds)
        return found


def _sent(method: Any, *args: Any) -> Any:
    try:
        return method.remote(*args)
    except TOO_LARGE as error:
        raise HelperFailed(f"Ray has no room for what it is asked: {in_short(error)}") from error


def _get(ref: Any, seconds: float | None) -> Any:
    try:
        return ray.get(ref, timeout=seconds)
    except ray.exceptions.GetTimeoutError as error:
        raise HelperFailed(f"no answer within {seconds:.0f} seconds") from error
    except ray.exceptions.RayTaskError as error:
        raise HelperFailed(f"{type(error.cause).__name__}: {error.cause}") from error
    except ACTOR_LOST_ERRORS as error:
        raise HelperFailed("its process died") from error
