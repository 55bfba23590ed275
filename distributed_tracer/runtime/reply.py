"""WorkerReply and WorkerReady: what a worker answers to the driver. Both are plain picklable data."""

from __future__ import annotations

from dataclasses import dataclass

from ..plan.work import Outcome
from ..store.format.part_manifest import PartManifest


@dataclass(frozen=True)
class WorkerReady:
    """A worker's answer once its model is loaded."""

    supports_helpers: bool
    """Whether idle workers can help this worker with its prompt, and this one can help others."""


@dataclass(frozen=True)
class WorkerReply:
    """A worker's answer to one call: the outcomes of prompts, and what it wrote to the store."""

    outcomes: tuple[Outcome, ...] = ()
    manifest: PartManifest | None = None
    """Manifest of the part that the worker wrote, if it wrote one. The prompts of the part are done once the driver has
    committed it."""
    durable: tuple[str, ...] = ()
    """Ids of prompts whose results the worker wrote, and which count without a commit: these prompts are done."""
