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
    """Counts of prompts by what became of them, and what is left by the plan's reckoning."""

    def __init__(self, units: Sequence[WorkUnit]) -> None:
        self.total = len(units)
        self._expected = {unit.prompt.id: unit.expected_seconds for unit in units}
        self._status: dict[str, str] = {}
        self._started = time.monotonic()

    def add(self, outcome: Outcome) -> None:
        self._status[outcome.prompt_id] = outcome.status

    @property
    def num_worked(self) -> int:
        """Prompts that are traced, written or given up."""
        return sum(status != "retried" for status in self._status.values())

    def line(self) -> str:
        """Done, failed and total, prompts per second, and the time left."""
        count = Counter(self._status.values())
        elapsed = time.monotonic() - self._started
        text = f"{count['done']:,} of {self.total:,} done, {count['failed']:,} failed"
        if count["traced"]:
            text += f", {count['traced']:,} not written yet"
        text += f", {self.num_worked / max(elapsed, 1e-9):.2f} prompts/s"
        worked = sum(self._expected[i] for i, status in self._status.items() if status != "retried")
        if worked > 0:
            left = elapsed * (sum(self._expected.values()) - worked) / worked
            text += f", {_clock(left)} left"
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
