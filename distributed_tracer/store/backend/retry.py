"""Retries: outages of a store pass, so failed writes are retried for a while, with growing pauses."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from ...errors import StoreUnavailable

_log = logging.getLogger(__name__)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


def retry_until(write: Callable[[], None], seconds: float) -> None:
    """Call `write` until it succeeds, or until it fails after `seconds`; calling it again must do no harm.

    Raises StoreUnavailable in the latter case, and any other error at once. Blocks only in sleep, so signals are
    handled.
    """
    started, pause, tries = time.monotonic(), _FIRST_PAUSE, 1
    while True:
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
        # many workers meet the same outage: random pauses keep them from retrying all at once
        time.sleep(min(random.uniform(0.5, 1.0) * pause, max(0.0, seconds - passed)))
        pause, tries = min(2 * pause, _LONGEST_PAUSE), tries + 1
