"""Reports of what `verify` found and what `repair` did, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..store.maintenance.damage import Damage, Verified
from ..store.maintenance.repair import Repaired
from ..store.object_names import RUN
from ..text import and_more, printable

_NAMED = 20
_DID = ("removed", "moved", "dropped")
_WOULD = ("would remove", "would move", "would drop")


def verified_as_dict(found: Verified) -> dict[str, Any]:
    """Return all findings as plain data. Nothing is shortened."""
    return {
        "store": found.url,
        "whole": not found.damages,
        "prompts": found.num_prompts,
        "objects": found.num_objects,
        "bytes": found.num_bytes,
        "damages": [
            {"record": damage.key, "problems": damage.problems, "prompts": damage.prompts} for damage in found.damages
        ],
        "lost": found.lost,
    }


def verified_text(found: Verified) -> str:
    """Return one line if the store is undamaged; otherwise all damage, the affected prompts, and what to do."""
    checked = f"{found.num_objects:,} objects, {found.num_bytes:,} bytes in parts and index"
    if not found.damages:
        return printable(f"{found.url}: {found.num_prompts:,} prompts, {checked}: all as written")
    lines = [f"{found.url}: damage in {len(found.damages):,} records; {checked}"]
    for damage in found.damages:
        lines += _lines(damage)
    lines.append(f"prompts that cannot be read whole: {_named(found.lost) or 'none that is known'}")
    if any(damage.key != RUN for damage in found.damages):
        lines.append(
            f"to fix it: distributed-tracer repair {found.url}; then the same `trace` command traces them again"
        )
    if any(damage.key == RUN for damage in found.damages):
        lines.append(_run_json(found.url))
    return "\n".join(map(printable, lines))


def repaired_text(done: Repaired, dry_run: bool) -> str:
    """Return what `repair` did, or would do, and the next steps."""
    if not done.damages:
        return "nothing is damaged"
    removed, moved, dropped = _WOULD if dry_run else _DID
    lines = [
        f"{removed} {damage.key}: {damage.problems[0]}{and_more(len(damage.problems) - 1)}" for damage in done.damages
    ]
    lines.append(f"{moved} {done.num_moved:,} whole prompts of damaged parts to new parts")
    lines.append(
        f"{dropped} {len(done.dropped):,} prompts{': ' if done.dropped else ''}{', '.join(map(repr, done.dropped))}"
    )
    if done.num_unknown:
        lines.append(f"{done.num_unknown:,} commits could not be read: which other prompts they named is not known")
    if done.dropped or done.num_unknown:
        lines.append(
            "the same `trace` command as before traces them again; `gc` takes away what is not needed any more"
        )
    return "\n".join(map(printable, lines))


def _lines(damage: Damage) -> list[str]:
    lines = [damage.key, *(f"  {problem}" for problem in damage.problems)]
    if damage.superseded:
        return [*lines, "  no prompt is concerned: the newest index does without it"]
    if damage.prompts is None:
        return [*lines, "  which prompts it named is not known"]
    return [*lines, f"  prompts concerned: {_named(damage.prompts)}"] if damage.prompts else lines


def _named(ids: Sequence[str]) -> str:
    """Return the first ids, and the number of the others."""
    return ", ".join(map(repr, ids[:_NAMED])) + and_more(len(ids) - _NAMED)


def _run_json(where: str) -> str:
    return f"{RUN} of {where} cannot be repaired: put a copy of it back, or make a new store"
