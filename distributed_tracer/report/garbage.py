"""Report of what `gc` removed or would remove."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ..store.maintenance.unreferenced import UnreferencedObjects
from ..text import printable

_SHOWN = 20


def garbage_text(found: Sequence[UnreferencedObjects], dry_run: bool) -> str:
    """Return a line for each of the first few removals, and a line with the totals."""
    lines = [
        f"{'would remove' if dry_run else 'removed'} {printable(one.key)}: {_NAMES[one.kind]}, {one.num_objects:,} "
        f"objects of {one.num_bytes:,} bytes{_time(one.written)}"
        for one in found[:_SHOWN]
    ]
    if len(found) > _SHOWN:
        lines.append(f"... and {len(found) - _SHOWN:,} more; --json has them all")
    num_bytes, num_objects = sum(one.num_bytes for one in found), sum(one.num_objects for one in found)
    verb = "would free" if dry_run else "freed"
    return "\n".join([*lines, f"{verb} {num_bytes:,} bytes in {num_objects:,} objects"])


_NAMES = {
    "part": "no commit names it",
    "superseded": "its prompts are in a larger part",
    "index": "no newer reader needs it",
    "temporary": "temporary file",
}


def _time(written: float) -> str:
    return f", written {datetime.fromtimestamp(written, UTC):%Y-%m-%d %H:%M} UTC" if written else ""
