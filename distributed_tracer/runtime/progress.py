"""Progress: how far a run is. A bar on a terminal, a line every ten seconds elsewhere, nothing if not wanted."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..plan.unit import WorkUnit
from .events import Outcome


class Tally:
    """Counts of prompts by what became of them, and what is left by the plan's reckoning.

    The clock starts with the first outcome, so that loading the model counts for nothing.
    """

    def __init__(self, units: Sequence[WorkUnit]) -> None:
        self.total = len(units)
        self.num_worked = 0
        """Prompts that are traced, written or given up."""
        self._expected = {unit.prompt.id: unit.expected_seconds for unit in units}
        self._status: dict[str, str] = {}
        self._count: Counter[str | None] = Counter()
        self._work_left = sum(self._expected.values())
        self._first: tuple[float, int, float] | None = None

    def add(self, outcome: Outcome) -> None:
        before = self._status.get(outcome.prompt_id)
        self._status[outcome.prompt_id] = outcome.status
        self._count[before] -= 1
        self._count[outcome.status] += 1
        change = (outcome.status != "retried") - (before not in (None, "retried"))
        self.num_worked += change
        self._work_left -= change * self._expected[outcome.prompt_id]
        if self._first is None:
            self._first = (time.monotonic(), self.num_worked, self._work_left)

    def line(self) -> str:
        """Done, failed and total, prompts per second, and the time left."""
        if self._first is None:
            return f"0 of {self.total:,} done, loading the model"
        text = f"{self._count['done']:,} of {self.total:,} done, {self._count['failed']:,} failed"
        if waiting := self._count["traced"]:
            text += f", {waiting:,} not written yet"
        since, num_then, left_then = self._first
        elapsed, worked = time.monotonic() - since, left_then - self._work_left
        if self.num_worked > num_then and elapsed > 0:
            text += f", {(self.num_worked - num_then) / elapsed:.2f} prompts/s"
        if worked > 0:
            text += f", {_clock(elapsed * self._work_left / worked)} left"
        return text


@contextmanager
def showing(tally: Tally, wanted: bool, line_seconds: float = 10.0) -> Iterator[Callable[[Outcome], None]]:
    """Show a tally on standard error while the block runs; gives what is to be called with every outcome."""
    if wanted and sys.stderr.isatty():
        with _bar(tally) as show:
            yield show
    elif wanted:
        with _lines(tally, line_seconds):
            yield tally.add
    else:
        yield tally.add


@contextmanager
def _bar(tally: Tally) -> Iterator[Callable[[Outcome], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%  {task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("loading the model", total=tally.total)

        def show(outcome: Outcome) -> None:
            tally.add(outcome)
            progress.update(task, completed=tally.num_worked, description=tally.line())

        yield show


@contextmanager
def _lines(tally: Tally, seconds: float) -> Iterator[None]:
    finished = threading.Event()

    def tell() -> None:
        while not finished.wait(seconds):
            print(f"{time.strftime('%H:%M:%S')}  {tally.line()}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=tell, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
