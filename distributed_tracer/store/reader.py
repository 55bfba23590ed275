"""open_store: the analyst's side of the store. Opening reads commits only; the rest is read when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import PromptNotFound, StoreCorrupt, StoreNotFound
from ..graph.graph import Graph
from ..graph.nodes import Kind
from .digest import store_digest
from .ledger import parse_run, read_commits
from .part import Part
from .prompts import prompt_table
from .receipt import PromptEntry, Receipt
from .root import Root, open_root
from .schema import RUN, Columns
from .table import Table

_OPEN_PARTS = 64
_PARTS_AT_ONCE = 8
_NAMED = 5


def open_store(path: str) -> Store:
    """The store at a local path or fsspec URL, as it is now; what is committed later needs opening again.

    Raises StoreNotFound, StoreVersionError for a format this program does not know, StoreCorrupt.
    """
    root = open_root(path)
    run = root.read(RUN)
    if run is None:
        raise StoreNotFound(f"there is no store at {root.url}: it has no {RUN}")
    info = parse_run(run, root.url)
    return Store(root, info, [receipt for _, receipt in read_commits(root)])


@dataclass(frozen=True, eq=False)
class NodeScan:
    """Columns of the node tables of one part's prompts, one after another; `prompt_N` is the place in `ids`."""

    ids: list[str]
    prompt_N: npt.NDArray[np.intp]
    columns: Columns


class Store:
    """Graphs of many prompts. Where several commits name a prompt, the first one's graph is the prompt's."""

    def __init__(self, root: Root, info: dict[str, Any], receipts: Sequence[Receipt]) -> None:
        self.url = root.url
        self.info = info
        self._root = root
        self._receipts = receipts
        self._place: dict[str, tuple[int, int]] = {}
        for number, receipt in enumerate(receipts):
            for row, entry in enumerate(receipt.prompts):
                self._place.setdefault(entry.id, (number, row))
        self._part = lru_cache(_OPEN_PARTS)(lambda number: Part(root, receipts[number]))

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, prompt_id: object) -> bool:
        return prompt_id in self._place

    def __iter__(self) -> Iterator[str]:
        """Prompt ids in sorted order, whoever wrote them when."""
        return iter(sorted(self._place))

    @cached_property
    def prompts(self) -> Table:
        """One row per prompt, by id: text, sizes, scores, targets' labels, part, a column per metadata key."""
        return prompt_table(list(self._parts()))

    def entry(self, prompt_id: str) -> PromptEntry:
        """Sizes and scores of one prompt from its commit; reads nothing. Raises PromptNotFound."""
        number, row = self._find(prompt_id)
        return self._receipts[number].prompts[row]

    def graph(self, prompt_id: str) -> Graph:
        """One prompt's graph; reads only its ranges. Raises PromptNotFound, StoreCorrupt."""
        number, row = self._find(prompt_id)
        return self._part(number).graph(row)

    def graphs(self, prompt_ids: Iterable[str] | None = None) -> Iterator[Graph]:
        """All graphs, or those of `prompt_ids`, in no particular order: each part is read once, then forgotten."""
        places = self._place.values() if prompt_ids is None else [self._find(name) for name in prompt_ids]
        wanted = set(places)
        for number, (part, rows) in enumerate(self._parts()):
            if chosen := [row for row in rows if (number, row) in wanted]:
                yield from part.graphs(chosen)

    def scan_nodes(self, names: Sequence[str]) -> Iterator[NodeScan]:
        """Columns of all node tables by short name (`kind`, `layer`, `feature`, `influence`, ...), part by part."""
        for part, rows in self._parts():
            columns = part.nodes(names)
            prompt_N = _prompt_of_node(part.receipt)
            shown_N = np.isin(prompt_N, rows)
            yield NodeScan(
                ids=[entry.id for entry in part.receipt.prompts],
                prompt_N=prompt_N[shown_N],
                columns={name: values[shown_N] for name, values in columns.items()},
            )

    def occurrences(self, layer: int, feature: int) -> Table:
        """Every node that is this feature: prompt, position, activation, influence; by prompt, then position."""
        with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
            hits = [pool.submit(_hits, part, rows, layer, feature) for part, rows in self._parts()]
            found = sorted((row for of_part in hits for row in of_part.result()), key=lambda row: row[:2])
        prompt, position, activation, influence = zip(*found, strict=True) if found else ((), (), (), ())
        return Table(
            {
                "prompt": prompt,
                "position": np.array(position, dtype=np.int32),
                "activation": np.array(activation, dtype=np.float32),
                "influence": np.array(influence, dtype=np.float32),
            }
        )

    def digest(self) -> str:
        """Hash of all graphs, the same for every store with the same content; reads the whole store."""
        return store_digest(self.graphs())

    def verify(self) -> int:
        """Read every object of every part and compare it with its commit; how many bytes agreed.

        Raises StoreCorrupt telling what is damaged and which prompts it concerns.
        """
        problems = [problem for part, _ in self._parts() for problem in part.objects.problems()]
        if problems:
            more = f"\n  and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
            listed = "\n  ".join(problems[:_NAMED])
            raise StoreCorrupt(f"{len(problems)} objects of {self.url} are damaged:\n  {listed}{more}")
        for part, _ in self._parts():
            part.head  # noqa: B018  compares pointers and sizes
        return sum(receipt.num_bytes for receipt in self._receipts)

    def _parts(self) -> Iterator[tuple[Part, list[int]]]:
        """Every committed part, in commit order, with the rows of those prompts whose graph is this one."""
        for number, receipt in enumerate(self._receipts):
            rows = [row for row, entry in enumerate(receipt.prompts) if self._place[entry.id] == (number, row)]
            yield Part(self._root, receipt), rows

    def _find(self, prompt_id: str) -> tuple[int, int]:
        try:
            return self._place[prompt_id]
        except KeyError:
            raise PromptNotFound(f"no prompt {prompt_id!r} among the {len(self)} in {self.url}") from None


def _hits(part: Part, rows: list[int], layer: int, feature: int) -> list[tuple[str, int, float, float]]:
    """Prompt, position, activation and influence of every node of a part that is this feature."""
    site = part.nodes(["kind", "layer", "feature"])
    hit_N = (site["kind"] == Kind.FEATURE) & (site["layer"] == layer) & (site["feature"] == feature)
    prompt_N = _prompt_of_node(part.receipt)
    index = np.flatnonzero(hit_N & np.isin(prompt_N, rows))
    values = part.nodes(["position", "activation", "influence"], index)
    ids = [part.receipt.prompts[row].id for row in prompt_N[index]]
    return list(zip(ids, *(column.tolist() for column in values.values()), strict=True))


def _prompt_of_node(receipt: Receipt) -> npt.NDArray[np.intp]:
    return np.repeat(np.arange(len(receipt.prompts)), [entry.num_nodes for entry in receipt.prompts])
