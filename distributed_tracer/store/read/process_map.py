"""Process map: applies a function to each graph, in processes that each read their own parts."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

from ...errors import ConfigError, TracerError, WorkerLost
from ...graph.graph import Graph
from ..backend.open import open_backend
from ..format.part_manifest import PartManifest
from ..part import Part
from .prefetch import results_in_order

T = TypeVar("T")
_GRAPHS = 32
"""Maximum number of graphs per task: small enough that all processes finish at about the same time."""

Task = tuple[PartManifest, list[int]]
"""Prompts of a part, by number."""

_PART: dict[str, Part] = {}
"""In a worker process of the pool: the part that it read last, by name."""


def reorder(answers: Iterable[tuple[str, T]], order: Sequence[str]) -> Iterator[T]:
    """Yield the results, which come with prompt ids, in the order of `order`; results that come early wait."""
    left, waiting = Counter(order), dict[str, T]()
    ids = iter(order)
    wanted = next(ids, None)
    for prompt_id, answer in answers:
        waiting[prompt_id] = answer
        while wanted is not None and wanted in waiting:
            left[wanted] -= 1
            yield waiting[wanted] if left[wanted] else waiting.pop(wanted)
            wanted = next(ids, None)


def map_in_processes(
    url: str, function: Callable[[Graph], T], tasks: Iterable[Task], processes: int
) -> Iterator[tuple[str, T]]:
    """Yield prompt id and result for each graph.

    Only a few tasks are submitted at a time, so that results do not accumulate faster than they are used. Raises
    ConfigError if `function` cannot be pickled, WorkerLost if a process dies.
    """
    _check(function)
    pool = ProcessPoolExecutor(processes, get_context("spawn"))
    jobs = (partial(_work, url, function, manifest, numbers) for manifest, numbers in _small(tasks))
    try:
        for answers in results_in_order(pool, jobs, 2 * processes - 1):
            yield from answers
    except BrokenProcessPool as error:
        raise WorkerLost(
            "a process of Store.map ended: it had no memory left, or could not import the function or the main "
            'script (which needs `if __name__ == "__main__":`); processes=1 works in this process'
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _work(url: str, function: Callable[[Graph], T], manifest: PartManifest, numbers: list[int]) -> list[tuple[str, T]]:
    """Run one task in a process of the pool."""
    if manifest.part not in _PART:  # the next task often concerns the same part, whose small arrays are then in memory
        _PART.clear()
        _PART[manifest.part] = Part(open_backend(url), manifest)
    graphs = _PART[manifest.part].graphs(numbers)
    return [(graph.prompt_id, call_with_context(function, graph, portable=True)) for graph in graphs]


def call_with_context(function: Callable[[Graph], T], graph: Graph, portable: bool = False) -> T:
    """Return the function's result for a graph; an error that it raises gets a note that names the prompt.

    With `portable`, an error that cannot be pickled is replaced by one that can be sent to the parent process.
    """
    try:
        return function(graph)
    except Exception as error:
        error.add_note(f"in prompt {graph.prompt_id!r}")
        if portable and not _survives(error):
            raise TracerError(f"in prompt {graph.prompt_id!r}: {type(error).__name__}: {error}") from None
        raise


def _small(tasks: Iterable[Task]) -> Iterator[Task]:
    for manifest, numbers in tasks:
        for first in range(0, len(numbers), _GRAPHS):
            yield manifest, numbers[first : first + _GRAPHS]


def _check(function: Callable[..., Any]) -> None:
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"other processes cannot import {function!r} ({error}); define it in a module, or use processes=1"
        ) from error


def _survives(error: Exception) -> bool:
    """Whether an error can be sent to another process: many errors with their own constructor arguments cannot."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        return False
