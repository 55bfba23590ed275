"""PartRange: some prompts of a part whose node and edge tables fit into memory, and the rows that belong to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from ...errors import StoreCorrupt
from ...graph.norm_scales import NormScales
from ...table_stream import CategoricalColumn
from ..format.added_columns import SCALES
from ..format.part_manifest import PromptSummary
from ..format.schema import COLUMNS
from ..format.zarr_decode import Rows
from ..part import Part

ROWS = 1 << 20
"""Maximum number of rows of a part range, unless a single prompt has more."""

Size = Literal["num_tokens", "num_targets", "num_nodes", "num_edges", "num_active"]
"""A size of a prompt, which is its number of rows in one of the tables."""


@dataclass(frozen=True, eq=False)
class PartRange:
    """Prompts of a part, by number, ascending. All of its properties except `tokens` come from the commit."""

    part: Part
    numbers: Sequence[int]

    @cached_property
    def entries(self) -> list[PromptSummary]:
        """Manifest entries of the prompts."""
        return [self.part.manifest.prompts[number] for number in self.numbers]

    @cached_property
    def num_nodes(self) -> npt.NDArray[np.intp]:
        """Number of nodes of each prompt: int [prompts]."""
        return self.sizes("num_nodes")

    @cached_property
    def prompt_N(self) -> npt.NDArray[np.int32]:
        """For each node of the range, the index of its prompt in `entries`: int32 [nodes]."""
        return self.prompt_of_rows("num_nodes")

    @cached_property
    def first_node(self) -> npt.NDArray[np.intp]:
        """For each prompt, the index of its first node among the nodes of the range: int [prompts]."""
        return np.cumsum(self.num_nodes) - self.num_nodes

    @cached_property
    def node_N(self) -> npt.NDArray[np.int32]:
        """For each node of the range, its number within its graph: int32 [nodes]."""
        return (np.arange(len(self.prompt_N)) - self.first_node[self.prompt_N]).astype(np.int32)

    @cached_property
    def tokens(self) -> CategoricalColumn:
        """The string of each token of the range, by prompt and position. Raises StoreCorrupt."""
        pointers = self.part.pointers(COLUMNS["tokens/string"])
        wanted = {"tokens/string_size": self.rows("num_tokens"), "tokens/string": _ranges(pointers, self.numbers)}
        read = self.part.read(wanted)
        ends, text = np.cumsum(read["tokens/string_size"], dtype=np.int64).tolist(), read["tokens/string"].tobytes()
        if (ends or [0])[-1] != len(text):
            raise StoreCorrupt(f"{self.part.objects.where}: tokens/string are not as long as tokens/string_size say")
        code_of: dict[bytes, int] = {}
        codes = (code_of.setdefault(text[begin:end], len(code_of)) for begin, end in pairwise([0, *ends]))
        codes_T = np.fromiter(codes, np.int32, len(ends))
        with self.part.decoding("what its tokens are called"):
            return CategoricalColumn(codes_T, [name.decode("utf-8", "surrogatepass") for name in code_of])

    @cached_property
    def scales(self) -> NormScales | None:
        """The norm scales at each position of the range, by prompt and position, in float32: `read_PL` and `write_PL`
        [positions, layers], `final_P` [positions].

        They are NaN for a prompt whose scales are not known. None if the part has none. Raises StoreCorrupt.
        """
        if not self.part.has(SCALES[0]):
            return None
        read = self.part.read({name: self.rows("num_tokens") for name in SCALES})
        return NormScales(*(read[name] for name in SCALES))

    def tokens_at(self, prompt: npt.NDArray[np.int32], position: npt.NDArray[np.int32]) -> CategoricalColumn:
        """Return the string of the token at each position of a prompt, given as an index into `entries`."""
        num_tokens = self.sizes("num_tokens")
        if ((position < 0) | (position >= num_tokens[prompt])).any():
            raise StoreCorrupt(f"{self.part.objects.where}: there are positions without a token")
        return self.tokens.take((np.cumsum(num_tokens) - num_tokens)[prompt] + position)

    def sizes(self, of: Size) -> npt.NDArray[np.intp]:
        """Return the number of rows of each prompt in a table: int [prompts]."""
        return np.array([getattr(entry, of) for entry in self.entries], dtype=np.intp)

    def prompt_of_rows(self, of: Size) -> npt.NDArray[np.int32]:
        """Return, for each of the range's rows of a table, the index of its prompt in `entries`: int32 [rows]."""
        return np.repeat(np.arange(len(self.entries), dtype=np.int32), self.sizes(of))

    def rows(self, of: Size, index: npt.NDArray[np.intp] | None = None) -> Rows:
        """Return the range's rows in one of the part's tables, or those of the rows at `index` (ascending)."""
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


def _ranges(pointers: npt.NDArray[np.int64], numbers: Sequence[int]) -> Rows:
    """Return the rows of some prompts of a part, given the first row of each prompt of the part."""
    if numbers[-1] - numbers[0] + 1 == len(numbers):
        return slice(int(pointers[numbers[0]]), int(pointers[numbers[-1] + 1]))
    return np.concatenate([np.arange(pointers[number], pointers[number + 1]) for number in numbers])


def part_ranges(
    parts: Iterable[tuple[Part, list[int]]], *sizes: Size, most_rows: int | None = None
) -> Iterator[PartRange]:
    """Yield all of the given prompts as ranges that have at most `most_rows` rows of each of some tables.

    The default is `ROWS`. A single prompt may have more.
    """
    limit = ROWS if most_rows is None else most_rows
    for part, numbers in parts:
        begin, total = 0, 0
        for place, number in enumerate(numbers):
            own = max(getattr(part.manifest.prompts[number], size) for size in sizes)
            if place > begin and total + own > limit:
                yield PartRange(part, numbers[begin:place])
                begin, total = place, 0
            total += own
        if numbers:
            yield PartRange(part, numbers[begin:])
