"""What tests put into a ledger and read from it, a prompt at a time."""

from __future__ import annotations

from distributed_tracer.store.format.failure import Failure, read_failures
from distributed_tracer.store.ledger import Ledger


def record_failure(ledger: Ledger, prompt_id: str, phase: str, reason: str, attempts: int) -> None:
    """Record that a prompt was given up, as a run does with several at once."""
    ledger.record_failures([(prompt_id, phase, reason, attempts)])


def failures_left(ledger: Ledger) -> dict[str, Failure]:
    """Return the failed prompts by id, without the prompts that were completed later."""
    done = ledger.done()
    return {failure.prompt_id: failure for failure in read_failures(ledger._root) if failure.prompt_id not in done}
