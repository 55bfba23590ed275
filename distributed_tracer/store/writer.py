"""PartWriter: the worker's side of the store. It collects graphs in memory and writes them as one immutable part."""

from __future__ import annotations

import hashlib
import time
import uuid
from typing import Any

from ..config import StoreConfig
from ..errors import StoreError
from ..graph.graph import Graph
from .backend.open import open_backend
from .backend.retry import retry_until
from .format.graph_columns import columns_of
from .format.part_manifest import PartManifest, PromptSummary, finite
from .format.run_file import provenance_of
from .format.schema import Columns
from .format.zarr_encode import encode_part
from .object_names import RUN


class PartWriter:
    """Writes parts under unique names, so that workers never collide.

    A part counts once the driver has committed it.
    """

    def __init__(self, root: str, config: StoreConfig) -> None:
        self._root = open_backend(root)
        self._config = config
        self._entries: list[PromptSummary] = []
        self._columns: list[Columns] = []
        self._first_added = 0.0
        self._provenance: dict[str, Any] | None = None

    def add(self, graph: Graph, asked: str = "") -> None:
        """Keep a graph for the next part.

        `asked` is `Prompt.content_hash` of the graph's prompt, or empty if nobody will compare it. Raises StoreError if
        the prompt is already in this part, or if the graph cannot be stored; the graph is not kept then.
        """
        if any(entry.id == graph.prompt_id for entry in self._entries):
            raise StoreError(f"prompt {graph.prompt_id!r} is already in this part; flush before adding it again")
        _refuse_half_pairs(graph.prompt_id)
        self.keep(_entry(graph, asked), columns_of(graph))

    def keep(self, entry: PromptSummary, columns: Columns) -> None:
        """Keep a graph for the next part, given its manifest entry and its columns, as `columns_of` returns them."""
        if not self._entries:
            self._first_added = time.monotonic()
        self._columns.append(columns)
        self._entries.append(entry)

    def __len__(self) -> int:
        """Number of graphs that are kept for the next part."""
        return len(self._entries)

    @property
    def full(self) -> bool:
        """Whether a limit of StoreConfig (`part_prompts`, `part_edges`, `part_seconds`) is reached, so flush is due."""
        if not self._entries:
            return False
        return (
            len(self._entries) >= self._config.part_prompts
            or sum(entry.num_edges for entry in self._entries) >= self._config.part_edges
            or time.monotonic() - self._first_added >= self._config.part_seconds
        )

    def flush(self) -> PartManifest | None:
        """Upload the graphs that were added as one part and return its manifest; return None if there are none.

        A write that fails is retried for `StoreConfig.retry_seconds` under the same part name. After an error the
        graphs are kept, and the next flush writes them under another name.
        """
        if not self._entries:
            return None
        retry_until(self._learn_provenance, self._config.retry_seconds)
        config = self._config
        objects = encode_part(self._columns, config.weight_bits, config.store_active, self._provenance)
        part = uuid.uuid4().hex
        uploaded = {f"parts/{part}/{key}": data for key, data in objects.items()}
        retry_until(lambda: self._root.put_many(uploaded), self._config.retry_seconds)
        checksums = {key: (len(data), hashlib.sha256(data).hexdigest()) for key, data in objects.items()}
        manifest = PartManifest(part, tuple(self._entries), checksums)
        self._entries, self._columns = [], []
        return manifest

    def _learn_provenance(self) -> None:
        """Read the provenance from run.json, once.

        Workers thus need no information about the run, and parts still record it.
        """
        if self._provenance is None:
            self._provenance = provenance_of(self._root.read(RUN))


def _refuse_half_pairs(prompt_id: str) -> None:
    """Raise StoreError for a prompt id with a lone surrogate.

    The JSON of a commit would join two lone surrogates into one character, and the id would then differ from the id in
    the part.
    """
    try:
        prompt_id.encode()
    except UnicodeEncodeError as error:
        half = f"U+{ord(prompt_id[error.start]):04X}"
        raise StoreError(f"prompt id {prompt_id!r} holds half a surrogate pair, {half}: not a character") from None


def _entry(graph: Graph, asked: str) -> PromptSummary:
    return PromptSummary(
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
