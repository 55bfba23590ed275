"""Retries: outages of a store pass, so failed writes are retried for a while, with growing pauses."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterator

from ...errors import StoreUnavailable

_log = logging.getLogger(__name__)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


def backoff(first: float, longest: float = math.inf) -> Iterator[float]:
    """Yield pauses in seconds without end; they double until they reach `longest`.

    Each is shortened at random by up to a half: many workers meet the same outage, and must not retry all at once.
    """
    pause = first
    while True:
        yield random.uniform(0.5, 1.0) * pause
        pause = min(2 * pause, longest)


def retry_until(write: Callable[[], None], seconds: float) -> None:
    """Call `write` until it succeeds, or until it fails after `seconds`; calling it again must do no harm.

    Raises StoreUnavailable in the latter case, and any other error at once. Blocks only in sleep, so signals are
    handled.
    """
    started, pauses, tries = time.monotonic(), backoff(_FIRST_PAUSE, _LONGEST_PAUSE), 0
    while True:
        tries += 1
        try:
            return write()
        except StoreUnavailable as error:
            passed = time.monotonic() - started
            if passed >= seconds:
                raise StoreUnavailable(
                    f"{error}; tried {tries} times in {passed:.0f} seconds. What is committed stays: once the store "
                    "can be written, the same command goes on from there. --retry-seconds outlives longer outages."
                ) from error
            _log.warning("%s; trying again, for %.0f seconds more", error, seconds - passed)
        time.sleep(min(next(pauses), max(0.0, seconds - passed)))
