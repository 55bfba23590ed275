"""Prompt similarity: one prompt compared with all others of a store, by their graphs and by their texts.

Axes: I prompt, X value of a prompt, Y shared token.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..text import short
from .edge_shares import EdgeShares, read_edge_shares
from .inverted_index import BYTES_PER_VALUE, InvertedIndex
from .prompts import ChosenPrompts
from .scan import find_sites_of_one_model
from .sites import Sites
from .task_arrays import load_arrays, save_arrays
from .weighted_sketch import mixed, weighted_sketch

Floats = npt.NDArray[np.float64]
Columns = list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], Floats, npt.NDArray[np.bool_]]]
_READ_ROWS = 1_000_000
_SHOWN_TOKENS = 5


@dataclass(frozen=True, eq=False)
class Similarities:
    """The similarity of one prompt with every prompt [I]."""

    ruzicka_I: Floats
    cosine_I: Floats
    """NaN if the Ruzicka similarities are estimated by sketches."""
    common_2I: Floats
    """The sum of the smaller shares, in each half of the edges: both add up to 1 for equal graphs."""
    text_I: Floats


@dataclass(frozen=True, eq=False)
class GraphVectors:
    """The graphs of prompts, as vectors over edges or as sketches of these vectors."""

    index: InvertedIndex
    samples: int | None
    unknown: frozenset[int]
    """Ranks of the prompts whose influence is not known."""
    num_unknown_edges: int
    num_values: int
    """Number of edges of all prompts together, each counted once for each prompt."""

    @classmethod
    def read(
        cls,
        prompts: ChosenPrompts,
        edges: Literal["features", "all"],
        samples: int | None,
        memory_gb: float,
        seed: int,
    ) -> GraphVectors:
        """Read all graphs. Raises ConfigError if the index needs more than `memory_gb`."""
        most = int(memory_gb * 1e9) // BYTES_PER_VALUE
        if samples is not None and samples * len(prompts) > most:
            needed = samples * len(prompts) * BYTES_PER_VALUE / 1e9
            raise ConfigError(
                f"{samples} samples of {len(prompts):,} prompts need --memory-gb {needed:.2g}, not {memory_gb}: "
                "allow it, or take fewer samples"
            )
        most_rows = max(1, min(_READ_ROWS, most))
        sites = find_sites_of_one_model(prompts, most_rows)
        half_I = (mixed(sites.code_I.astype(np.uint64), seed % (1 << 64)) & np.uint64(1)).astype(bool)
        columns: Columns = []
        unknown: set[int] = set()
        num_unknown_edges = num_values = num_held = 0
        for shares in read_edge_shares(prompts, sites, most_rows, edges):
            unknown |= {*shares.rank_I[~shares.known_I].tolist()}
            num_unknown_edges += shares.num_unknown
            num_values += len(shares.rank_X)
            if samples is None:
                target_X = shares.key_X // len(sites)
                columns.append((shares.key_X, shares.rank_X, shares.share_X, half_I[target_X]))
            else:
                columns += _sketches(shares, sites, half_I, samples, seed)
            num_held += len(columns[-1][0]) if columns else 0
            if samples is None and num_held > most:
                raise ConfigError(
                    f"the edges of {len(prompts):,} prompts do not fit into --memory-gb {memory_gb} ({num_held:,} of "
                    f"them need {num_held * BYTES_PER_VALUE / 1e9:.2g} GB): allow more memory, choose "
                    "prompts with --where, or estimate the similarities with --samples 256"
                )
        index = InvertedIndex.of(len(prompts), *_joined(columns))
        return cls(index, samples, frozenset(unknown), num_unknown_edges, num_values)

    def save(self, folder: Path) -> None:
        """Write the vectors into a folder."""
        unknown = np.array(sorted(self.unknown), dtype=np.int64)
        counts = np.array([self.samples or 0, self.num_unknown_edges, self.num_values])
        save_arrays(folder, {**self.index.arrays(), "unknown": unknown, "counts": counts})

    @classmethod
    def load(cls, folder: Path) -> GraphVectors:
        """Return the vectors that were written into a folder, whose files are read where they are used."""
        arrays = load_arrays(folder, is_mapped=True)
        samples, num_unknown_edges, num_values = arrays["counts"].tolist()
        index = InvertedIndex.of_arrays(arrays)
        return cls(index, samples or None, frozenset(arrays["unknown"].tolist()), num_unknown_edges, num_values)

    def similarities(self, rank: int) -> tuple[Floats, Floats, Floats]:
        """Return the Ruzicka similarity [I], the cosine [I] and the share in common [2, I] of one prompt with all."""
        smaller_2I, product_I = self.index.overlaps(rank)
        if self.samples is None:
            common_I = smaller_2I[0] + smaller_2I[1]
            return self.index.ruzicka(rank, common_I), self.index.cosine(rank, product_I), smaller_2I
        ruzicka_I = (smaller_2I[0] + smaller_2I[1]) / self.samples
        # of vectors that add up to 1, the sum of the larger values is 2 / (1 + J)
        return ruzicka_I, np.full(len(ruzicka_I), np.nan), smaller_2I / self.samples * (2 / (1 + ruzicka_I))


def _sketches(shares: EdgeShares, sites: Sites, half_I: npt.NDArray[np.bool_], samples: int, seed: int) -> Columns:
    """Return a column for each entry of each sketch: the entry's number and its dart."""
    found: Columns = []
    code_I = sites.code_I.astype(np.uint64)
    ends = [*np.flatnonzero(np.diff(shares.rank_X)) + 1, len(shares.rank_X)]
    for first, end in pairwise([0, *ends]):
        own, rank = slice(first, end), shares.rank_X[first:end][:1]
        number = np.flatnonzero(shares.share_X[own] > 0)
        if not len(number):
            continue
        target_X, source_X = np.divmod(shares.key_X[own][number], len(sites))
        word_X = mixed(code_I[target_X], code_I[source_X])
        dart, drawn = weighted_sketch(word_X, shares.share_X[own][number], samples, seed)
        key = mixed(dart, np.arange(samples, dtype=np.uint64)).view(np.int64)
        ones = np.ones(samples)
        found.append((key, np.repeat(rank, samples), ones, half_I[target_X[drawn]]))
    return found


@dataclass(frozen=True, eq=False)
class TextVectors:
    """The texts of prompts, as counts of their tokens."""

    index: InvertedIndex
    num_prompts_of: dict[int, int]
    """In how many prompts each token occurs, by token id."""
    num_unknown: int
    """Number of tokens whose id is not known; they count as equal to no token."""

    @classmethod
    def read(cls, prompts: ChosenPrompts) -> TextVectors:
        """Read the tokens of all prompts."""
        columns: Columns = []
        num_unknown = 0
        for own, rank_I in prompts.ranges("num_tokens", rows=_READ_ROWS):
            token = own.part.read({"tokens/token": own.rows("num_tokens")})["tokens/token"].astype(np.int64)
            rank = rank_I[own.prompt_of_rows("num_tokens")].astype(np.int64)
            num_unknown += int(np.count_nonzero(token < 0))
            rank, token = rank[token >= 0], token[token >= 0]
            both, count = np.unique(np.stack([rank, token]), axis=1, return_counts=True)
            falses = np.zeros(len(count), dtype=bool)
            columns.append((both[1], both[0].astype(np.int32), count.astype(np.float64), falses))
        key, rank_X, count_X, half_X = _joined(columns)
        tokens, num_prompts = np.unique(key, return_counts=True)
        index = InvertedIndex.of(len(prompts), key, rank_X, count_X, half_X)
        return cls(index, dict(zip(tokens.tolist(), num_prompts.tolist(), strict=True)), num_unknown)

    def save(self, folder: Path) -> None:
        """Write the texts into a folder."""
        tokens = np.array(list(self.num_prompts_of.items()), dtype=np.int64).reshape(-1, 2)
        counts = {"prompts_of_tokens": tokens, "num_unknown": np.array(self.num_unknown)}
        save_arrays(folder, {**self.index.arrays(), **counts})

    @classmethod
    def load(cls, folder: Path) -> TextVectors:
        """Return the texts that were written into a folder."""
        arrays = load_arrays(folder)
        counts = dict(arrays["prompts_of_tokens"].tolist())
        return cls(InvertedIndex.of_arrays(arrays), counts, int(arrays["num_unknown"]))

    def overlap(self, rank: int) -> Floats:
        """Return the overlap of one prompt's tokens with those of every prompt [I]: Σ min / Σ max of their counts."""
        return self.index.ruzicka(rank, self.index.overlaps(rank)[0][0])

    def shared(self, prompts: ChosenPrompts, pairs: list[tuple[int, int]]) -> Iterator[str]:
        """Yield the tokens that both prompts of each pair have, the rarest ones, as text."""
        ids = sorted({prompts.ids[rank] for pair in pairs for rank in pair})
        table = prompts.store.prompt_table(ids, ["id", "tokens", "token_strings"]) if ids else None
        names: dict[str, dict[int, str]] = {}
        for row in table.rows() if table is not None else ():
            names[row["id"]] = dict(zip(row["tokens"], row["token_strings"], strict=True))
        for one, other in pairs:
            mine, its = names[prompts.ids[one]], names[prompts.ids[other]]
            both = sorted({*mine} & {*its} - {-1}, key=lambda token: (self.num_prompts_of[token], token))
            more = [f"{len(both) - _SHOWN_TOKENS} more"] if len(both) > _SHOWN_TOKENS else []
            yield ", ".join([*(short(mine[token]) for token in both[:_SHOWN_TOKENS]), *more])


def _joined(
    columns: Columns,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], Floats, npt.NDArray[np.bool_]]:
    kinds = (np.int64, np.int32, np.float64, np.bool_)
    key, rank, value, half = (
        np.concatenate([np.empty(0, dtype=kind), *(column[place] for column in columns)])
        for place, kind in enumerate(kinds)
    )
    columns.clear()
    return key, rank, value, half


@dataclass(frozen=True, eq=False)
class PromptComparison:
    """Graphs and texts of the same prompts."""

    graphs: GraphVectors
    texts: TextVectors

    def with_all(self, rank: int) -> Similarities:
        """Compare one prompt with every prompt, itself included."""
        ruzicka_I, cosine_I, common_2I = self.graphs.similarities(rank)
        return Similarities(ruzicka_I, cosine_I, common_2I, self.texts.overlap(rank))
