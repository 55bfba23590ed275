"""What workers need to know of a job, and the tokens and folds that they and the driver read in the same order.

Axes: I prompt by rank, X token of all prompts, by rank and position.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import StoreMismatch
from ..mine.clusters import Clusters, Ints, clusters_of
from ..mine.prompts import ChosenPrompts, choose_prompts
from ..mine.ridge import folds_of
from ..store.reader import open_store

FOLDS = 5
_TOKENS_AT_ONCE = 1 << 22
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class LinearErrorSettings:
    """The prompts, by what they are chosen; `digest` is what `ChosenPrompts.digest` says of them."""

    store: str
    where: tuple[str, ...]
    cluster: str | None
    digest: str
    seed: int
    folder: str
    """Folder for a file of each layer, which all workers must see."""

    def layer_path(self, layer: int) -> Path:
        """Return the file of a layer."""
        return Path(self.folder) / f"layer_{layer:04d}.npz"

    def corpus(self) -> Corpus:
        """Read the tokens of the prompts. Raises StoreMismatch if the store has other prompts now."""
        prompts = choose_prompts(open_store(self.store), self.where, self.cluster)
        if prompts.digest() != self.digest:
            raise StoreMismatch(f"the prompts of {self.store} have changed since the job began: run it again")
        return Corpus.of(prompts, clusters_of(prompts, self.cluster), self.seed)


@dataclass(frozen=True, eq=False)
class Corpus:
    """The tokens of all prompts and the fold of each prompt. Memory is 13 bytes for each token."""

    token_X: npt.NDArray[np.int32]
    first_I: Ints
    """First token of each prompt, and the number of all tokens."""
    fold_I: Ints
    is_new_X: npt.NDArray[np.bool_]
    """Whether no prompt of another fold begins with the same tokens up to here. Where one does, a causal model reads
    and misses the same in both, and the fold is not left out."""

    @classmethod
    def of(cls, prompts: ChosenPrompts, clusters: Clusters, seed: int) -> Corpus:
        """Read the tokens. Raises ConfigError for fewer than 3 clusters."""
        fold_I = folds_of(clusters, seed, FOLDS)
        length_I = np.array([prompts.store.entry(prompt_id).num_tokens for prompt_id in prompts.ids], np.int64)
        first_I = np.append(0, np.cumsum(length_I))
        token_X = np.zeros(first_I[-1], np.int32)
        for part_range, rank_I in prompts.ranges("num_tokens", rows=_TOKENS_AT_ONCE):
            read = part_range.part.read({"tokens/token": part_range.rows("num_tokens")})["tokens/token"]
            sizes = part_range.sizes("num_tokens")
            within = np.arange(len(read)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            token_X[np.repeat(first_I[rank_I], sizes) + within] = read
        return cls(token_X, first_I, fold_I, new_prefixes(token_X, first_I, fold_I))

    def __len__(self) -> int:
        return len(self.fold_I)

    def tokens(self, rank: int) -> tuple[int, ...]:
        """Return the tokens of a prompt."""
        return tuple(self.token_X[self.first_I[rank] : self.first_I[rank + 1]].tolist())

    def is_new(self, rank: int) -> npt.NDArray[np.bool_]:
        """Return `is_new_X` of the positions of a prompt."""
        return self.is_new_X[self.first_I[rank] : self.first_I[rank + 1]]


def new_prefixes(token_X: npt.NDArray[np.int32], first_I: Ints, fold_I: Ints) -> npt.NDArray[np.bool_]:
    """Return for each token whether the text up to it begins prompts of one fold only.

    Texts are compared by hashes of 64 bits.
    """
    length_I = np.diff(first_I)
    hash_X, hash_I = np.zeros(len(token_X), np.uint64), np.zeros(len(length_I), np.uint64)
    for position in range(int(length_I.max(initial=0))):
        own = np.flatnonzero(length_I > position)
        place = first_I[own] + position
        hash_I[own] = _mixed(hash_I[own] + token_X[place].astype(np.uint64) + _ODD)
        hash_X[place] = hash_I[own]
    _, text_X = np.unique(hash_X, return_inverse=True)
    fold_X = np.repeat(fold_I, length_I)
    lowest, highest = np.full(len(token_X), FOLDS), np.full(len(token_X), -1)
    np.minimum.at(lowest, text_X, fold_X)
    np.maximum.at(highest, text_X, fold_X)
    is_new_X: npt.NDArray[np.bool_] = (lowest == highest)[text_X]
    return is_new_X


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return a hash of 64-bit numbers: the finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
