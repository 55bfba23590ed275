"""Chosen prompts: the prompts that are mined, their ranks and clusters, and the part ranges in which they are read.

Axes: I prompt of the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..documents.json_text import to_json_types
from ..errors import ConfigError
from ..store.backend.open import open_backend
from ..store.commits import read_commit
from ..store.part import Part
from ..store.read.part_range import PartRange, Size, part_ranges
from ..store.read.select import cluster_column
from ..store.read.where import rows_meeting
from ..store.reader import Store
from ..text import counted, short

MOST_PROMPTS = 1 << 28
"""Bound of the number of prompts, so that a rank and a position class fit into 32 bits."""


@dataclass(frozen=True, eq=False)
class ChosenPrompts:
    """Prompts of a store in the order of their ids. A prompt's rank is its place in this order."""

    store: Store
    ids: Sequence[str]
    clusters: npt.NDArray[np.int32] | None
    """Number of the cluster of each prompt by rank, -1 for none; None if no field was named."""
    cluster_names: Sequence[str] = ()
    """Value of each cluster, as text."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def rank_of(self) -> dict[str, int]:
        """Rank of each prompt, by id."""
        return {prompt_id: rank for rank, prompt_id in enumerate(self.ids)}

    def rank(self, prompt_id: str) -> int:
        """Return the rank of a prompt.

        Raises PromptNotFound if the store does not have it, and ConfigError if it was not chosen.
        """
        if prompt_id not in self.rank_of:
            self.store.entry(prompt_id)
            raise ConfigError(f"{short(prompt_id)} is not among the {counted(len(self), 'prompt')} that meet --where")
        return self.rank_of[prompt_id]

    @cached_property
    def num_nodes(self) -> int:
        """Number of nodes of all prompts."""
        return sum(self._sizes("num_nodes"))

    @cached_property
    def num_edges(self) -> int:
        """Number of edges of all prompts."""
        return sum(self._sizes("num_edges"))

    @cached_property
    def _numbers(self) -> npt.NDArray[np.intp]:
        """Number of each prompt in the store's catalogue, by rank."""
        number_of = self.store.catalogue.number_of
        return np.array([number_of[prompt_id] for prompt_id in self.ids], dtype=np.intp)

    def _sizes(self, of: Size) -> list[int]:
        sizes: list[int] = self.store.catalogue.columns[of][self._numbers].tolist()
        return sizes

    @property
    def num_clusters(self) -> int | None:
        """Number of distinct clusters; None if no field was named."""
        return None if self.clusters is None else int(self.clusters.max(initial=-1)) + 1

    @property
    def num_without_cluster(self) -> int | None:
        """Number of prompts that lack the field; None if no field was named."""
        return None if self.clusters is None else int(np.count_nonzero(self.clusters < 0))

    def digest(self) -> str:
        """Return a hash of the prompts' ids, of what was asked, and of the sizes of their graphs."""
        return self._digests[0]

    @property
    def graph_digests(self) -> list[str]:
        """A hash of each prompt's id, of what was asked, and of the sizes of its graph, by rank."""
        return self._digests[1]

    @cached_property
    def _digests(self) -> tuple[str, list[str]]:
        """`digest` and `graph_digests`: what they are of takes longer to make than to hash."""
        digest, own = hashlib.sha256(), []
        for described in self._described():
            digest.update(described)
            own.append(hashlib.sha256(described).hexdigest())
        return f"sha256:{digest.hexdigest()}", own

    @property
    def cluster_texts(self) -> list[str]:
        """Value of each prompt's cluster, as text, by rank; empty if it has none or if no field was named."""
        if self.clusters is None:
            return [""] * len(self)
        return ["" if number < 0 else self.cluster_names[number] for number in self.clusters.tolist()]

    def without(self, graph_digests: Collection[str]) -> ChosenPrompts:
        """Return the prompts whose graphs' digests are not among `graph_digests`."""
        known = frozenset(graph_digests)
        kept = [rank for rank, digest in enumerate(self.graph_digests) if digest not in known]
        clusters = None if self.clusters is None else self.clusters[kept]
        return replace(self, ids=[self.ids[rank] for rank in kept], clusters=clusters)

    def _described(self) -> Iterator[bytes]:
        """Yield what the digest of each prompt is of."""
        asked = list(self.store.catalogue.content_hashes[:])
        of: tuple[Size, ...] = ("num_tokens", "num_targets", "num_nodes", "num_edges")
        sizes = zip(*(self._sizes(one) for one in of), strict=True)
        for prompt_id, number, own in zip(self.ids, self._numbers.tolist(), sizes, strict=True):
            yield repr((prompt_id, asked[number], own)).encode("utf-8", "backslashreplace")

    def pieces(self, most_rows: int) -> Iterator[dict[str, Any]]:
        """Yield all prompts in pieces of one part and of at most `most_rows` nodes and edges, unless a single prompt
        has more: arguments of tasks, which `PromptPiece.open` takes."""
        for name, part, rows in self._parts():
            for own in part_ranges([(part, rows)], "num_edges", "num_nodes", most_rows=most_rows):
                ranks = [self.rank_of[entry.id] for entry in own.entries]
                yield {"commit": name, "rows": list(own.numbers), "ranks": ranks}

    def ranges(self, *sizes: Size, rows: int) -> Iterator[tuple[PartRange, npt.NDArray[np.int32]]]:
        """Yield part ranges of at most `rows` rows of some tables, and the rank of each of their prompts."""
        for _, part, held in self._parts():
            for part_range in part_ranges([(part, held)], *sizes, most_rows=rows):
                ranks = [self.rank_of[entry.id] for entry in part_range.entries]
                yield part_range, np.array(ranks, dtype=np.int32)

    def _parts(self) -> Iterator[tuple[str, Part, list[int]]]:
        """Yield the commit of each part that has some of the prompts, the part, and their rows in it. Others are not
        opened."""
        catalogue = self.store.catalogue
        is_chosen_I = np.zeros(len(catalogue), dtype=bool)
        is_chosen_I[self._numbers] = True
        for commit, about in enumerate(catalogue.commits):
            own = catalogue.numbers(commit)
            if (is_own_I := is_chosen_I[own.start : own.stop]).any():
                rows = np.array(catalogue.rows(commit), dtype=np.intp)[is_own_I]
                yield about.name, self.store.part(commit), rows.tolist()


@dataclass(frozen=True, eq=False)
class PromptPiece:
    """Some of the chosen prompts, all of one part, which is read without opening the store."""

    part: Part
    numbers: Sequence[int]
    """Rows of the prompts in the part, ascending."""
    ranks: Sequence[int]

    @classmethod
    def open(cls, url: str, piece: Mapping[str, Any]) -> PromptPiece:
        """Return a piece that `ChosenPrompts.pieces` yielded. Raises StoreError if its part is not there any more."""
        return cls(_part(url, piece["commit"]), piece["rows"], piece["ranks"])

    def ranges(self, *sizes: Size, rows: int) -> Iterator[tuple[PartRange, npt.NDArray[np.int32]]]:
        """Yield part ranges of at most `rows` rows of some tables, and the rank of each of their prompts."""
        begin = 0
        for part_range in part_ranges([(self.part, list(self.numbers))], *sizes, most_rows=rows):
            end = begin + len(part_range.numbers)
            yield part_range, np.array(self.ranks[begin:end], dtype=np.int32)
            begin = end


@lru_cache(2)
def _part(url: str, commit: str) -> Part:
    root = open_backend(url)
    return Part(root, read_commit(root, commit))


def choose_prompts(store: Store, where: str | Sequence[str], cluster: str | None) -> ChosenPrompts:
    """Return the prompts that meet all conditions, or all prompts.

    `cluster` is metadata, or `id` for a cluster of each prompt. Raises ConfigError if there are none, if the models of
    the graphs have different numbers of layers, and for a condition or a cluster field that names nothing.
    """
    if not len(store):
        raise ConfigError(f"{store.url} has no graphs to mine")
    ids = list(store)
    clusters: npt.NDArray[np.int32] | None = None
    names: Sequence[str] = ()
    if where or cluster is not None:
        table = store.prompts
        if where:
            table = table.where(rows_meeting(table, where))
        ids = table["id"].tolist()
        if not ids:
            conditions = [where] if isinstance(where, str) else where
            raise ConfigError(f"no prompt of {store.url} meets {' '.join(conditions)}")
        if cluster is not None:
            clusters, names = _clusters(table[cluster_column(table, cluster)].tolist())
    if len(ids) > MOST_PROMPTS:
        raise ConfigError(f"{len(ids):,} prompts: at most {MOST_PROMPTS:,} can be mined at once; choose with --where")
    return ChosenPrompts(store, ids, clusters, names)


def _clusters(values: Sequence[object]) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Return a number for each value, equal for equal values and -1 for a missing one, and the text of each number."""
    texts = [None if value is None else repr(to_json_types(value)) for value in values]
    names = sorted({text for text in texts if text is not None})
    numbers = {text: number for number, text in enumerate(names)}
    return np.array([-1 if text is None else numbers[text] for text in texts], dtype=np.int32), names
