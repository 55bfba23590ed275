"""TaskAttempts: counts how often the worker process of each task died."""

from __future__ import annotations

import logging
from collections import Counter

from ..errors import WorkerLost
from ..tasks.task import TaskCall

_log = logging.getLogger(__name__)


class TaskAttempts:
    """Decides whether a task whose process died is done again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._losses: Counter[str] = Counter()

    def lost(self, call: TaskCall, reason: str) -> None:
        """Record that a process died. Raises WorkerLost once it has happened too often for this task."""
        self._losses[call.folder] += 1
        losses, phase = self._losses[call.folder], call.folder.partition("/")[0]
        if losses >= self._most:
            raise WorkerLost(
                f"{losses} processes died at the same task of the phase {phase}; the last: {reason}. What is finished "
                "is kept, and the same command goes on from there. If memory was short, give less with --memory-gb, "
                "which each worker uses, or fewer --workers."
            )
        _log.warning("%s at a task of the phase %s, which is done again", reason, phase)
