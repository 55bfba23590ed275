"""Prefetching: the next items are read while the current item is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(jobs: Iterable[Callable[[], T]], number: int = 1) -> Iterator[T]:
    """Yield the result of each job, in order.

    While one result is used, up to `number` further jobs run or are finished.

    An error of a job is raised where its result would have been. Jobs that have not begun are cancelled when the
    iterator is closed.
    """
    pool = ThreadPoolExecutor(max(1, number), "ahead")
    try:
        yield from results_in_order(pool, jobs, number)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def results_in_order(pool: Executor, jobs: Iterable[Callable[[], T]], number: int) -> Iterator[T]:
    """Yield the result of each job in order; while one is waited for or used, up to `number` further jobs are in the
    pool."""
    waiting: deque[Future[T]] = deque()
    for job in jobs:
        waiting.append(pool.submit(job))
        if len(waiting) > number:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def found_ahead(jobs: Iterable[Callable[[], T | None]], number: int, if_none: Callable[[], None]) -> Iterator[T]:
    """Yield the results of the jobs, as `prefetch` does, without None; call `if_none` at the end if all were None."""
    found = False
    for answer in prefetch(jobs, number):
        if answer is not None:
            found = True
            yield answer
    if not found:
        if_none()
