"""What tests put into a ledger, a prompt at a time."""

from __future__ import annotations

from distributed_tracer.store.ledger import Ledger


def record_failure(ledger: Ledger, prompt_id: str, phase: str, reason: str, attempts: int) -> None:
    """Record that a prompt was given up, as a run does with several at once."""
    ledger.record_failures([(prompt_id, phase, reason, attempts)])
