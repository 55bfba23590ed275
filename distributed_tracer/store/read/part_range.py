"""PartRange: some prompts of a part whose node and edge tables fit into memory, and the rows that belong to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..format.part_manifest import PromptSummary
from ..format.zarr_decode import Rows
from ..part import Part

ROWS = 1 << 20
"""Maximum number of rows of a part range, unless a single prompt has more."""


@dataclass(frozen=True, eq=False)
class PartRange:
    """Prompts of a part, by number, ascending. All of its properties come from the commit: nothing is read."""

    part: Part
    numbers: Sequence[int]

    @cached_property
    def entries(self) -> list[PromptSummary]:
        """Manifest entries of the prompts."""
        return [self.part.manifest.prompts[number] for number in self.numbers]

    @cached_property
    def num_nodes(self) -> npt.NDArray[np.intp]:
        """Number of nodes of each prompt: int [prompts]."""
        return np.array([entry.num_nodes for entry in self.entries], dtype=np.intp)

    @cached_property
    def prompt_N(self) -> npt.NDArray[np.int32]:
        """For each node of the range, the index of its prompt in `entries`: int32 [nodes]."""
        return np.repeat(np.arange(len(self.entries), dtype=np.int32), self.num_nodes)

    @cached_property
    def first_node(self) -> npt.NDArray[np.intp]:
        """For each prompt, the index of its first node among the nodes of the range: int [prompts]."""
        return np.cumsum(self.num_nodes) - self.num_nodes

    @cached_property
    def node_N(self) -> npt.NDArray[np.int32]:
        """For each node of the range, its number within its graph: int32 [nodes]."""
        return (np.arange(len(self.prompt_N)) - self.first_node[self.prompt_N]).astype(np.int32)

    def rows(self, of: Literal["num_nodes", "num_edges"], index: npt.NDArray[np.intp] | None = None) -> Rows:
        """Return the range's rows in the part's node or edge table, or those of the rows at `index` (ascending)."""
        sizes = np.array([getattr(entry, of) for entry in self.part.manifest.prompts], dtype=np.intp)
        first = np.cumsum(sizes) - sizes
        own, own_first = sizes[self.numbers], first[self.numbers]
        if index is None and self.numbers[-1] - self.numbers[0] + 1 == len(self.numbers):
            return slice(int(own_first[0]), int(own_first[-1] + own[-1]))
        shift = np.repeat(own_first - (np.cumsum(own) - own), own)
        if index is None:
            index = np.arange(int(own.sum()))
        rows: npt.NDArray[np.intp] = index + shift[index]
        return rows


def part_ranges(
    parts: Iterable[tuple[Part, list[int]]], size: Literal["num_nodes", "num_edges"]
) -> Iterator[PartRange]:
    """Yield all of the given prompts as ranges of at most `ROWS` nodes or edges each."""
    for part, numbers in parts:
        begin, total = 0, 0
        for place, number in enumerate(numbers):
            own = getattr(part.manifest.prompts[number], size)
            if place > begin and total + own > ROWS:
                yield PartRange(part, numbers[begin:place])
                begin, total = place, 0
            total += own
        if numbers:
            yield PartRange(part, numbers[begin:])
