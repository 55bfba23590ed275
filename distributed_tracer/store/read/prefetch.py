"""Reading ahead: the next things are fetched while this one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(jobs: Iterable[Callable[[], T]], number: int = 1) -> Iterator[T]:
    """What each job returns, in order. Up to `number` further ones are done, or under way, when one is taken.

    A job's error is raised where its answer would have been. Jobs not begun are forgotten when the iterator is closed.
    """
    pool = ThreadPoolExecutor(max(1, number), "ahead")
    waiting: deque[Future[T]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(job))
            if len(waiting) > number:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def found_ahead(jobs: Iterable[Callable[[], T | None]], number: int, if_none: Callable[[], None]) -> Iterator[T]:
    """What the jobs return, as `ahead` gives it, without None; `if_none` is called at the end if all of them did."""
    found = False
    for answer in prefetch(jobs, number):
        if answer is not None:
            found = True
            yield answer
    if not found:
        if_none()
