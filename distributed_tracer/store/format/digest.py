"""Digest: the content of a store as 64 hex digits, independent of how the content is stored.

Two stores have the same digest if and only if they hold the same prompts with bitwise identical graphs. Parts, chunks,
compression, the order of writing, times and provenance do not affect it. Neither do arrays that were added to the
format later, so that a graph that is traced again has the digest of the graph that an early version stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from ...graph.graph import Graph
from .graph_columns import columns_of
from .schema import COLUMNS


def graph_digest(graph: Graph) -> bytes:
    """Return the SHA-256 of one graph.

    It is computed over each column's name, dtype, byte count (8 bytes, little-endian) and bytes in turn.
    """
    columns = columns_of(graph)
    metadata = json.dumps(dict(graph.metadata), sort_keys=True, separators=(",", ":")).encode()
    sha = hashlib.sha256()
    for name, column in COLUMNS.items():
        if column.added:
            continue
        content = metadata if name == "prompts/metadata" else columns[name].tobytes()
        sha.update(f"{name}:{column.dtype}:".encode() + len(content).to_bytes(8, "little") + content)
    return sha.digest()


def store_digest(graphs: Iterable[Graph]) -> str:
    """Return the SHA-256, in hex, of the graphs' digests sorted by prompt id; the order of `graphs` is irrelevant."""
    digests = {graph.prompt_id: graph_digest(graph) for graph in graphs}
    return hashlib.sha256(b"".join(digests[prompt_id] for prompt_id in sorted(digests))).hexdigest()
