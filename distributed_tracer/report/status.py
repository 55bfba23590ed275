"""What a store holds, from its commits and failure records alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..store.ledger import Ledger, read_commits
from ..store.reader import open_store
from ..store.root import open_root
from ..store.table import printable

_SHOWN = 20


def status_of(path: str) -> dict[str, Any]:
    """Counts, failures, orphaned parts (written but never committed, harmless) and run.json.

    Raises StoreNotFound, StoreVersionError, StoreCorrupt.
    """
    store, root = open_store(path), open_root(path)
    entries = [store.entry(prompt_id) for prompt_id in store]
    receipts = [receipt for _, receipt in read_commits(root)]
    orphans = sorted(set(root.names("parts")) - {receipt.part for receipt in receipts})
    failures = sorted(Ledger(path).failures().values(), key=lambda failure: failure.prompt_id)
    return {
        "store": store.url,
        "done": len(store),
        "failed": [asdict(failure) for failure in failures],
        "parts": len(receipts),
        "orphans": orphans,
        "bytes": sum(receipt.num_bytes for receipt in receipts),
        "tokens": sum(entry.num_tokens for entry in entries),
        "nodes": sum(entry.num_nodes for entry in entries),
        "edges": sum(entry.num_edges for entry in entries),
        "info": store.info,
    }


def status_text(status: dict[str, Any]) -> str:
    """The same for people."""
    info, failed = status["info"], status["failed"]
    identity = info["identity"]
    lines = [
        f"store    {status['store']}",
        f"made     {info.get('created', 'at an unknown time')} by {info.get('command', 'an unknown command')}",
        f"model    {identity.get('model')} with {identity.get('transcoders')}",
        f"done     {status['done']:,} prompts: {status['nodes']:,} nodes, {status['edges']:,} edges in "
        f"{status['parts']:,} parts of {status['bytes']:,} bytes",
        f"failed   {len(failed):,} prompts",
        *(
            f"         {one['prompt_id']!r} in {one['phase']}, tried {one['attempts']}x: {one['reason']}"
            for one in failed[:_SHOWN]
        ),
    ]
    if len(failed) > _SHOWN:
        lines.append(f"         ... and {len(failed) - _SHOWN:,} more; --json has them all")
    lines.append(f"orphans  {len(status['orphans']):,} parts that no commit names, which nothing reads")
    return "\n".join(map(printable, lines))
