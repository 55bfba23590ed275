"""Summary of a run: `OutcomeRecorder` records outcomes while they arrive, `Summary` reports them at the end."""

from __future__ import annotations

import logging
import math
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import CommitRefused, StoreError
from ..plan.work import Outcome
from ..redact import redacted
from ..store.format.part_manifest import PartManifest
from ..store.ledger import Ledger
from ..text import and_more

SHOWN_FAILURES = 5
"""Number of failures that a description of a run names."""
KEPT_FAILURES = 1_000
"""Largest number of failures that a summary keeps; the store keeps all."""
MAX_REFUSALS_IN_A_ROW = 10
"""Number of parts refused in a row at which the run ends: this many are a fault of the store, not of single parts."""
_RECORDS_AT_ONCE = 256
_RECORD_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """Outcome of one run over a corpus."""

    store: str
    num_done: int
    num_skipped: int
    """Prompts that were in the store already."""
    num_failed: int
    failed: tuple[Outcome, ...]
    """First failures, at most KEPT_FAILURES."""
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
        """Exit code of the program: 0 all is done, 3 some prompts failed, 130 the run was stopped."""
        return 130 if self.num_left else 3 if self.num_failed else 0

    def describe(self) -> str:
        """Return a few lines for people, which end with the commands to run next."""
        store = shlex.quote(self.store)
        lines = [describe_counts("done", self.num_done, self.num_skipped, self.num_failed, self.seconds)]
        if self.num_done:
            lines += [
                f"stored {self.num_edges:,} edges between {self.num_nodes:,} nodes in {self.num_bytes:,} bytes",
                f"mean replacement score {self.mean_replacement:.3f}, mean completeness {self.mean_completeness:.3f}",
            ]
        if self.num_retried:
            lines.append(f"{self.num_retried:,} times a prompt was tried again")
        return "\n".join(
            [
                *lines,
                *describe_unfinished(self.failed, self.num_failed, self.num_left, ", which status lists"),
                f"next: distributed-tracer status {store}",
                f"      distributed-tracer show {store} --prompt ID",
                f"      distributed-tracer query {store} --feature LAYER:INDEX",
            ]
        )


def describe_counts(verb: str, num_done: int, num_skipped: int, num_failed: int, seconds: float) -> str:
    """Return a line with the counts of a run and its pace; `verb` says what was done with the prompts."""
    rate = num_done / seconds if seconds > 0 else 0.0
    return (
        f"{num_done:,} {verb}, {num_skipped:,} skipped (done before), {num_failed:,} failed "
        f"in {seconds:,.1f} seconds ({rate:.2f} prompts/s)"
    )


def describe_unfinished(
    failed: Sequence[Outcome], num_failed: int, num_left: int, where_more: str = ""
) -> Iterator[str]:
    """Yield lines on the prompts that failed, the first ones by name, and on those that a stopped run left.

    `failed` holds at least the first failures of `num_failed`. `where_more` says where to find the others.
    """
    for outcome in failed[:SHOWN_FAILURES]:
        yield f"failed in {outcome.phase}: {outcome.prompt_id!r}: {redacted(outcome.reason or '')!r}"
    if more := and_more(num_failed - SHOWN_FAILURES, before="... "):
        yield f"{more}{where_more}"
    if num_left:
        yield f"stopped with {num_left:,} prompts left: run the same command again to go on"


class OutcomeRecorder:
    """Writes commits and failures to the ledger and keeps the totals of the run. It is the only writer."""

    def __init__(self, ledger: Ledger, on_outcome: Callable[[Outcome], None] = lambda outcome: None) -> None:
        """Call `on_outcome` with every outcome."""
        self._ledger, self._on_outcome = ledger, on_outcome
        self._num_done = self._num_nodes = self._num_edges = 0
        self._replacement, self._completeness = _Mean(), _Mean()
        self._failed: list[Outcome] = []
        self._num_failed = self._num_retried = self._num_bytes = self._refused_in_a_row = 0
        self._unrecorded: list[Outcome] = []
        self._recorded = -math.inf

    def commit(self, *manifests: PartManifest) -> None:
        """Commit parts, so that they count.

        Raises CommitRefused if some parts are not complete in the store; the others count. Raises StoreError after
        MAX_REFUSALS_IN_A_ROW refusals without a part that counts.
        """
        refused = None
        try:
            self._ledger.commit(*manifests)
        except CommitRefused as error:
            refused = error
        for manifest in manifests:
            if refused is None or manifest.part not in refused.parts:
                self._refused_in_a_row = 0
                self._num_bytes += manifest.num_bytes
            else:
                self._refuse(manifest, refused.parts[manifest.part])
        if refused is not None:
            raise refused

    def _refuse(self, manifest: PartManifest, reason: str) -> None:
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= MAX_REFUSALS_IN_A_ROW:
            raise StoreError(
                f"{self._refused_in_a_row} parts in a row were refused when they were to be committed; the last: "
                f"{reason} What is committed stays; once the cause is found, the same command goes on from there."
            )
        _log.warning("%s The %d prompts in it are not done.", reason, len(manifest.prompts))

    def record(self, outcome: Outcome) -> None:
        """Count an outcome, and write a failure to the ledger: at once, or together with others if many come fast.

        Raises StoreError.
        """
        if outcome.status == "failed":
            self._num_failed += 1
            self._unrecorded.append(outcome)
            if len(self._failed) < KEPT_FAILURES:
                self._failed.append(outcome)
            since = time.monotonic() - self._recorded
            if len(self._unrecorded) >= _RECORDS_AT_ONCE or since >= _RECORD_SECONDS:
                self.flush()
        elif outcome.status == "done":
            self._num_done += 1
            self._num_nodes += outcome.num_nodes
            self._num_edges += outcome.num_edges
            self._replacement.add(outcome.replacement)
            self._completeness.add(outcome.completeness)
        elif outcome.status == "retried":
            self._num_retried += 1
        self._on_outcome(outcome)

    def flush(self) -> None:
        """Write the failures that are not yet in the ledger. Call it at the end of a run. Raises StoreError."""
        failed, self._unrecorded = self._unrecorded, []
        if failed:
            self._ledger.record_failures(
                (one.prompt_id, one.phase or "unknown", one.reason or "unknown", one.attempt) for one in failed
            )
        self._recorded = time.monotonic()

    def summary(self, store: str, num_wanted: int, num_skipped: int, seconds: float) -> Summary:
        """Return the totals of a run over `num_wanted` prompts, `num_skipped` of which were done before."""
        return Summary(
            store=store,
            num_done=self._num_done,
            num_skipped=num_skipped,
            num_failed=self._num_failed,
            failed=tuple(self._failed),
            num_left=num_wanted - num_skipped - self._num_done - self._num_failed,
            num_retried=self._num_retried,
            num_nodes=self._num_nodes,
            num_edges=self._num_edges,
            num_bytes=self._num_bytes,
            mean_replacement=self._replacement.value,
            mean_completeness=self._completeness.value,
            seconds=seconds,
        )


class _Mean:
    """Mean of the numbers that are finite; NaN if there are none."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        if math.isfinite(value):
            self._sum, self._count = self._sum + value, self._count + 1

    @property
    def value(self) -> float:
        return self._sum / self._count if self._count else float("nan")
