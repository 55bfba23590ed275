"""Digest: what a store says, in 64 hex digits, however it was written down.

Two stores have the same digest if and only if they hold the same prompts with bit for bit the same graphs:
neither parts, chunks, compression and order of writing nor times and provenance take part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from ...graph.graph import Graph
from .graph_columns import columns_of
from .schema import COLUMNS


def graph_digest(graph: Graph) -> bytes:
    """SHA-256 of one graph: every column's name, dtype, byte count (8 bytes, little-endian) and bytes in turn."""
    columns = columns_of(graph)
    metadata = json.dumps(dict(graph.metadata), sort_keys=True, separators=(",", ":")).encode()
    sha = hashlib.sha256()
    for name, column in COLUMNS.items():
        content = metadata if name == "prompts/metadata" else columns[name].tobytes()
        sha.update(f"{name}:{column.dtype}:".encode() + len(content).to_bytes(8, "little") + content)
    return sha.digest()


def store_digest(graphs: Iterable[Graph]) -> str:
    """Return the SHA-256, in hex, of the graphs' digests sorted by prompt id; the order of `graphs` is irrelevant."""
    digests = {graph.prompt_id: graph_digest(graph) for graph in graphs}
    return hashlib.sha256(b"".join(digests[prompt_id] for prompt_id in sorted(digests))).hexdigest()
