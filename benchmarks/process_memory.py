"""Memory of this process as Linux counts it: held now, and at its highest since the count was last begun anew.

Runs in the peer's environment too, so it imports nothing of ours.
"""

from __future__ import annotations

import re
from pathlib import Path

_PROCESS = Path("/proc/self")


def held_bytes() -> int | None:
    """Main memory held now; None where it cannot be known."""
    return _bytes("VmRSS")


def own_bytes() -> int | None:
    """Held now and by nobody else: without mapped files and shared memory."""
    return _bytes("RssAnon")


def data_bytes() -> int | None:
    """What counts against RLIMIT_DATA."""
    return _bytes("VmData")


def peak_bytes() -> int | None:
    """At its highest since `reset_peak`. getrusage would count the parent's too."""
    return _bytes("VmHWM")


def reset_peak() -> None:
    """The peak starts again from what is held now, where that is possible."""
    if (marks := _PROCESS / "clear_refs").exists():
        marks.write_text("5")


def _bytes(name: str) -> int | None:
    status = _PROCESS / "status"
    found = re.search(rf"^{name}:\s+(\d+) kB$", status.read_text(), re.MULTILINE) if status.exists() else None
    return None if found is None else int(found[1]) * 1024
