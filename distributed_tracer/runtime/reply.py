"""What comes back from a worker for a WorkUnit: a Reply with Outcomes. Plain picklable data."""

from __future__ import annotations

from dataclasses import dataclass

from ..plan.work import Outcome
from ..store.format.part_manifest import PartManifest


@dataclass(frozen=True)
class WorkerReply:
    """A worker's answer to one call: what happened to prompts, and the receipt of a part if it wrote one."""

    outcomes: tuple[Outcome, ...] = ()
    receipt: PartManifest | None = None
