"""WorkerReply: a worker's answer to a call, with the outcomes of its units. It is plain picklable data."""

from __future__ import annotations

from dataclasses import dataclass

from ..plan.work import Outcome
from ..store.format.part_manifest import PartManifest


@dataclass(frozen=True)
class WorkerReply:
    """A worker's answer to one call: the outcomes of prompts, and the part manifest if it wrote a part."""

    outcomes: tuple[Outcome, ...] = ()
    receipt: PartManifest | None = None
