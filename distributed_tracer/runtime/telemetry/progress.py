"""Progress: shows how far a run is, by a bar on a terminal or a line every ten seconds elsewhere, if it is wanted."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ...plan.work import Outcome
from .estimate import DurationModel


class ProgressTracker:
    """Counts prompts, or other work, by status, and estimates the time left from the prompts traced so far.

    The clock starts at the first outcome, so that loading the model is not counted. Memory is used only for prompts
    that are neither done nor failed.
    """

    def __init__(
        self,
        num_prompts: int,
        expected_seconds: float,
        clock: Callable[[], float] | None = None,
        of: str = "prompts",
        before: str = "loading the model",
    ) -> None:
        """Create a tracker; `expected_seconds` is the duration of all prompts together according to the plan.

        `of` says what is counted, and `before` what the run does until the first outcome.
        """
        self._of, self._before = of, before
        self.total = num_prompts
        self.num_worked = 0
        """Number of prompts that are traced, done or failed."""
        self._clock = clock or time.monotonic
        self._under_way: dict[str, str] = {}
        self._count: Counter[str | None] = Counter()
        self._expected_left = expected_seconds
        self._estimate = DurationModel()
        self._first: tuple[float, int, float] | None = None

    def add(self, outcome: Outcome) -> None:
        """Count one outcome of a prompt."""
        before = self._under_way.pop(outcome.prompt_id, None)
        if outcome.status not in ("done", "failed"):
            self._under_way[outcome.prompt_id] = outcome.status
        self._count[before] -= 1
        self._count[outcome.status] += 1
        change = (outcome.status != "retried") - (before not in (None, "retried"))
        self.num_worked += change
        self._expected_left -= change * outcome.expected_seconds
        if outcome.status == "traced":
            self._estimate.observe(outcome.expected_seconds, outcome.seconds)
        if self._first is None:
            self._first = (self._clock(), self.num_worked, self._expected_left)

    def seconds_left(self, now: float) -> float | None:
        """Return the estimated seconds left at the pace so far; None before the first outcome."""
        if self._first is None:
            return None
        since, num_then, left_then = self._first
        worked = self._estimate.predict(self.num_worked - num_then, left_then - self._expected_left)
        left = self._estimate.predict(self.total - self.num_worked, max(self._expected_left, 0.0))
        return (now - since) * left / worked if worked > 0 else None

    def line(self) -> str:
        """Return a line with the numbers of done, failed and all prompts, prompts per second, and the time left."""
        if self._first is None:
            return f"0 of {self.total:,} done, {self._before}"
        text = f"{self._count['done']:,} of {self.total:,} done, {self._count['failed']:,} failed"
        if waiting := self._count["traced"]:
            text += f", {waiting:,} not written yet"
        since, num_then, _ = self._first
        now = self._clock()
        seconds_left = self.seconds_left(now)
        if self.num_worked > num_then and now > since:
            text += f", {(self.num_worked - num_then) / (now - since):.2f} {self._of}/s"
        if seconds_left is not None:
            text += f", {_hours(seconds_left)} left"
        return text


@contextmanager
def show_progress(
    tracker: ProgressTracker, wanted: bool, line_seconds: float = 10.0
) -> Iterator[Callable[[Outcome], None]]:
    """Show the progress on standard error while the block runs; yield the function to call with every outcome."""
    if wanted and sys.stderr.isatty():
        with _bar(tracker) as show:
            yield show
    elif wanted:
        with _lines(tracker, line_seconds):
            yield tracker.add
    else:
        yield tracker.add


@contextmanager
def _bar(tracker: ProgressTracker) -> Iterator[Callable[[Outcome], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%  {task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(tracker.line(), total=tracker.total)

        def show(outcome: Outcome) -> None:
            tracker.add(outcome)
            progress.update(task, completed=tracker.num_worked, description=tracker.line())

        yield show


@contextmanager
def _lines(tracker: ProgressTracker, seconds: float) -> Iterator[None]:
    finished = threading.Event()

    def log_lines() -> None:
        while not finished.wait(seconds):
            with suppress(OSError, ValueError):  # standard error is closed
                print(f"{time.strftime('%H:%M:%S')}  {tracker.line()}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=log_lines, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def _hours(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
