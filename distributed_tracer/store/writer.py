"""PartWriter: a worker's side of the store. Graphs gather in memory and leave as one immutable part."""

from __future__ import annotations

import hashlib
import time
import uuid

from ..config import StoreConfig
from ..errors import StoreError
from ..graph.graph import Graph
from .columns import columns_of
from .encode import encode_part
from .receipt import PromptEntry, Receipt, finite
from .root import open_root
from .schema import Columns


class PartWriter:
    """Writes parts under names of their own, so that workers never meet. A part counts once the driver commits it."""

    def __init__(self, root: str, config: StoreConfig) -> None:
        self._root = open_root(root)
        self._config = config
        self._entries: list[PromptEntry] = []
        self._columns: list[Columns] = []
        self._first_added = 0.0

    def add(self, graph: Graph, asked: str = "") -> None:
        """Keep a graph for the next part; `asked` is `Prompt.asked` of its prompt, empty if nobody will compare.

        Raises StoreError if this prompt is already in it, or if the graph cannot be stored; nothing is kept then.
        """
        if any(entry.id == graph.prompt_id for entry in self._entries):
            raise StoreError(f"prompt {graph.prompt_id!r} is already in this part; flush before adding it again")
        columns = columns_of(graph)
        if not self._entries:
            self._first_added = time.monotonic()
        self._columns.append(columns)
        self._entries.append(_entry(graph, asked))

    @property
    def full(self) -> bool:
        """Whether the limits of StoreConfig say that it is time to flush."""
        if not self._entries:
            return False
        return (
            len(self._entries) >= self._config.part_prompts
            or sum(entry.num_edges for entry in self._entries) >= self._config.part_edges
            or time.monotonic() - self._first_added >= self._config.part_seconds
        )

    def flush(self) -> Receipt | None:
        """Upload what was added as one part; None if nothing was.

        On an error the graphs are kept, and the next flush tries them again under another name.
        """
        if not self._entries:
            return None
        objects = encode_part(self._columns, self._config.weight_bits, self._config.store_active)
        part = uuid.uuid4().hex
        self._root.upload({f"parts/{part}/{key}": data for key, data in objects.items()})
        checksums = {key: (len(data), hashlib.sha256(data).hexdigest()) for key, data in objects.items()}
        receipt = Receipt(part, tuple(self._entries), checksums)
        self._entries, self._columns = [], []
        return receipt


def _entry(graph: Graph, asked: str) -> PromptEntry:
    return PromptEntry(
        id=graph.prompt_id,
        num_tokens=len(graph.tokens_P),
        num_targets=len(graph.targets),
        num_nodes=len(graph.nodes),
        num_edges=graph.num_edges,
        num_active=len(graph.active),
        replacement=finite(graph.scores.replacement),
        completeness=finite(graph.scores.completeness),
        asked=asked,
    )
