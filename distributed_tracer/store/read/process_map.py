"""Parallel: a function of each graph, in processes that read their own parts."""

from __future__ import annotations

import pickle
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

from ...errors import ConfigError, TracerError, WorkerLost
from ...graph.graph import Graph
from ..backend.open import open_backend
from ..format.part_manifest import PartManifest
from ..part import Part

T = TypeVar("T")
_GRAPHS = 32
"""Graphs of a task: so few that processes end together."""

Task = tuple[PartManifest, list[int]]
"""Prompts of a part, by number."""

_PART: dict[str, Part] = {}
"""In a process of the pool: the part that it read last."""


def reorder(answers: Iterable[tuple[str, T]], order: Sequence[str]) -> Iterator[T]:
    """Answers by prompt id, in this order; what comes early waits."""
    left, waiting = Counter(order), dict[str, T]()
    asked = iter(order)
    wanted = next(asked, None)
    for prompt_id, answer in answers:
        waiting[prompt_id] = answer
        while wanted is not None and wanted in waiting:
            left[wanted] -= 1
            yield waiting[wanted] if left[wanted] else waiting.pop(wanted)
            wanted = next(asked, None)


def map_in_processes(
    url: str, function: Callable[[Graph], T], tasks: Iterable[Task], processes: int
) -> Iterator[tuple[str, T]]:
    """Prompt id and answer for each graph. Few tasks are under way, so that answers do not pile up unasked for."""
    _check(function)
    pool = ProcessPoolExecutor(processes, get_context("spawn"))
    small = (pool.submit(_work, url, function, receipt, numbers) for receipt, numbers in _small(tasks))
    try:
        waiting = deque(islice(small, 2 * processes))
        while waiting:
            yield from waiting.popleft().result()
            waiting.extend(islice(small, 1))
    except BrokenProcessPool as error:
        raise WorkerLost(
            "a process of Store.map ended: it had no memory left, or could not import the function or the main "
            'script (which needs `if __name__ == "__main__":`); processes=1 works in this process'
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _work(url: str, function: Callable[[Graph], T], receipt: PartManifest, numbers: list[int]) -> list[tuple[str, T]]:
    """One task, in a process of its own."""
    if receipt.part not in _PART:  # the next task is often of the same part, whose small arrays are there then
        _PART.clear()
        _PART[receipt.part] = Part(open_backend(url), receipt)
    graphs = _PART[receipt.part].graphs(numbers)
    return [(graph.prompt_id, call_with_context(function, graph, portable=True)) for graph in graphs]


def call_with_context(function: Callable[[Graph], T], graph: Graph, portable: bool = False) -> T:
    """The function's answer; its error says which prompt it was. `portable`: the error can be sent to this process."""
    try:
        return function(graph)
    except Exception as error:
        error.add_note(f"in prompt {graph.prompt_id!r}")
        if portable and not _survives(error):
            raise TracerError(f"in prompt {graph.prompt_id!r}: {type(error).__name__}: {error}") from None
        raise


def _small(tasks: Iterable[Task]) -> Iterator[Task]:
    for receipt, numbers in tasks:
        for first in range(0, len(numbers), _GRAPHS):
            yield receipt, numbers[first : first + _GRAPHS]


def _check(function: Callable[..., Any]) -> None:
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"other processes cannot import {function!r} ({error}); define it in a module, or use processes=1"
        ) from error


def _survives(error: Exception) -> bool:
    """Whether an error can be sent to another process: many with arguments of their own cannot."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        return False
