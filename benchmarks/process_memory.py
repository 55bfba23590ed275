"""Memory of this process as Linux counts it: held now, and its peak since the last reset.

It also runs in the peer's environment, so it imports nothing of ours.
"""

from __future__ import annotations

import re
from pathlib import Path

_PROCESS = Path("/proc/self")


def held_bytes() -> int | None:
    """Return the main memory held now; None if it cannot be determined."""
    return _bytes("VmRSS")


def own_bytes() -> int | None:
    """Return the memory held now by this process alone: without mapped files and shared memory."""
    return _bytes("RssAnon")


def data_bytes() -> int | None:
    """Return the memory that counts against RLIMIT_DATA."""
    return _bytes("VmData")


def peak_bytes() -> int | None:
    """Return the peak since `reset_peak`. getrusage would include the parent's peak."""
    return _bytes("VmHWM")


def reset_peak() -> None:
    """Reset the peak to what is held now, where that is possible."""
    if (marks := _PROCESS / "clear_refs").exists():
        marks.write_text("5")


def _bytes(name: str) -> int | None:
    status = _PROCESS / "status"
    found = re.search(rf"^{name}:\s+(\d+) kB$", status.read_text(), re.MULTILINE) if status.exists() else None
    return None if found is None else int(found[1]) * 1024
