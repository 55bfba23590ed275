"""How a run went: the Recorder writes down what happens while it happens, the Summary says it at the end."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from .redact import redacted
from .runtime.events import Outcome
from .store.ledger import Ledger
from .store.receipt import Receipt

SHOWN_FAILURES = 5


@dataclass(frozen=True)
class Summary:
    """What became of a corpus in one run."""

    store: str
    num_done: int
    num_skipped: int
    """Prompts that were in the store already."""
    failed: tuple[Outcome, ...]
    num_left: int
    """Prompts that were not tried, because the run was stopped."""
    num_retried: int
    num_nodes: int
    num_edges: int
    num_bytes: int
    mean_replacement: float
    mean_completeness: float
    seconds: float

    @property
    def exit_code(self) -> int:
        """What a program should end with: 0 all is done, 3 some prompts failed, 130 the run was stopped."""
        return 130 if self.num_left else 3 if self.failed else 0

    def describe(self) -> str:
        """A few lines for people, ending in what to run next."""
        store = shlex.quote(self.store)
        rate = self.num_done / self.seconds if self.seconds > 0 else 0.0
        lines = [
            f"{self.num_done:,} done, {self.num_skipped:,} skipped (done before), {len(self.failed):,} failed "
            f"in {self.seconds:,.1f} seconds ({rate:.2f} prompts/s)"
        ]
        if self.num_done:
            lines += [
                f"stored {self.num_edges:,} edges between {self.num_nodes:,} nodes in {self.num_bytes:,} bytes",
                f"mean replacement score {self.mean_replacement:.3f}, mean completeness {self.mean_completeness:.3f}",
            ]
        if self.num_retried:
            lines.append(f"{self.num_retried:,} times a prompt was tried again")
        lines += [
            f"failed in {outcome.phase}: {outcome.prompt_id!r}: {redacted(outcome.reason or '')!r}"
            for outcome in self.failed[:SHOWN_FAILURES]
        ]
        if len(self.failed) > SHOWN_FAILURES:
            lines.append(f"... and {len(self.failed) - SHOWN_FAILURES:,} more, which status lists")
        if self.num_left:
            lines.append(f"stopped with {self.num_left:,} prompts left: run the same command again to go on")
        return "\n".join(
            [
                *lines,
                f"next: distributed-tracer status {store}",
                f"      distributed-tracer show {store} --prompt ID",
                f"      distributed-tracer query {store} --feature LAYER:INDEX",
            ]
        )


class Recorder:
    """The only one who commits: passes receipts and failures to the ledger, and counts."""

    def __init__(self, ledger: Ledger, tell: Callable[[Outcome], None] = lambda outcome: None) -> None:
        """`tell` is called with every outcome."""
        self._ledger, self._tell = ledger, tell
        self._num_done = self._num_nodes = self._num_edges = 0
        self._replacement, self._completeness = _Mean(), _Mean()
        self._failed: list[Outcome] = []
        self._num_retried = 0
        self._num_bytes = 0

    def commit(self, *receipts: Receipt) -> None:
        """Make parts count. Raises StoreError."""
        self._ledger.commit(*receipts)
        self._num_bytes += sum(receipt.num_bytes for receipt in receipts)

    def record(self, outcome: Outcome) -> None:
        """Write down a failure; count everything. Raises StoreError."""
        if outcome.status == "failed":
            phase, reason = outcome.phase or "unknown", outcome.reason or "unknown"
            self._ledger.record_failure(outcome.prompt_id, phase, reason, outcome.attempt)
            self._failed.append(outcome)
        elif outcome.status == "done":
            self._num_done += 1
            self._num_nodes += outcome.num_nodes
            self._num_edges += outcome.num_edges
            self._replacement.add(outcome.replacement)
            self._completeness.add(outcome.completeness)
        elif outcome.status == "retried":
            self._num_retried += 1
        self._tell(outcome)

    def summary(self, store: str, num_wanted: int, num_skipped: int, seconds: float) -> Summary:
        """The counts of a run over `num_wanted` prompts, `num_skipped` of which were done before."""
        return Summary(
            store=store,
            num_done=self._num_done,
            num_skipped=num_skipped,
            failed=tuple(self._failed),
            num_left=num_wanted - num_skipped - self._num_done - len(self._failed),
            num_retried=self._num_retried,
            num_nodes=self._num_nodes,
            num_edges=self._num_edges,
            num_bytes=self._num_bytes,
            mean_replacement=self._replacement.value,
            mean_completeness=self._completeness.value,
            seconds=seconds,
        )


class _Mean:
    """Of the finite ones among some numbers."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        if math.isfinite(value):
            self._sum, self._count = self._sum + value, self._count + 1

    @property
    def value(self) -> float:
        return self._sum / self._count if self._count else float("nan")
