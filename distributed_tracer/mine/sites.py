"""Sites: what nodes of different prompts have in common, a key without positions, and a dense number for each.

A site is (layer, kind, feature): features by their index, errors by layer alone, tokens by token id, targets by token
id. Targets that are not the logit of one token share the token id -1, and so do tokens whose id is not known.

Axes: N node, I site, X entry of several lists of sites.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..graph.code_lookup import CodeLookup
from ..graph.nodes import NodeKind
from .ordering import Ordered

_KIND_BITS, _FEATURE_BITS = 2, 32
_SAVED = ("code_I", "num_nodes_I", "num_edges_I")
_NONE = tuple(np.empty(0, dtype=np.int64) for _ in _SAVED)
_FEATURE_MASK = (1 << _FEATURE_BITS) - 1
_SETTLE = 1 << 20
"""Number of sites that are collected before equal ones are joined."""


def site_codes(
    layer_N: npt.NDArray[np.integer], kind_N: npt.NDArray[np.integer], feature_N: npt.NDArray[np.integer]
) -> npt.NDArray[np.int64]:
    """Return one integer for each (layer, kind, feature), in their order. Layers and features begin at -1."""
    code_N = (layer_N.astype(np.int64) + 1) << _KIND_BITS | kind_N
    return code_N << _FEATURE_BITS | (feature_N.astype(np.int64) + 1)


@dataclass(frozen=True, eq=False)
class Sites:
    """All sites of some graphs, in the order of their codes; a site's number is its place."""

    code_I: npt.NDArray[np.int64]
    num_nodes_I: npt.NDArray[np.int64]
    """Number of nodes at each site, over all prompts and positions."""
    num_edges_I: npt.NDArray[np.int64]
    """Number of edges into these nodes."""

    @classmethod
    def of_codes(cls, codes: Sequence[npt.NDArray[np.int64]]) -> Sites:
        """Return the sites that have any of these codes; their numbers of nodes and edges are not known."""
        code_I = codes[0]
        if len(codes) > 1:
            ordered = np.sort(np.concatenate(codes), kind="stable")  # runs; numpy's `unique` hashes, which takes longer
            code_I = ordered[np.diff(ordered, prepend=-1) > 0]
        return cls(code_I, np.full(len(code_I), -1), np.full(len(code_I), -1))

    def without(self, code_I: npt.NDArray[np.int64]) -> Sites:
        """Return the sites whose codes are not among `code_I`, which ascend."""
        place_I = np.searchsorted(code_I, self.code_I).clip(max=max(0, len(code_I) - 1))
        is_new_I = code_I[place_I] != self.code_I if len(code_I) else np.ones(len(self), dtype=bool)
        return Sites(*(values[is_new_I] for values in (self.code_I, self.num_nodes_I, self.num_edges_I)))

    def __len__(self) -> int:
        return len(self.code_I)

    @property
    def num_features(self) -> int:
        """Number of sites that are features."""
        return int(np.count_nonzero(self.is_kind(NodeKind.FEATURE)))

    @cached_property
    def layer_I(self) -> npt.NDArray[np.int16]:
        """Layer of each site: -1 for tokens, the number of layers for targets."""
        return ((self.code_I >> (_FEATURE_BITS + _KIND_BITS)) - 1).astype(np.int16)

    @cached_property
    def kind_I(self) -> npt.NDArray[np.int8]:
        """NodeKind of each site."""
        return ((self.code_I >> _FEATURE_BITS) & ((1 << _KIND_BITS) - 1)).astype(np.int8)

    @cached_property
    def feature_I(self) -> npt.NDArray[np.int32]:
        """Feature index or token id of each site; -1 for errors."""
        return ((self.code_I & _FEATURE_MASK) - 1).astype(np.int32)

    def save(self, folder: Path) -> None:
        """Write the sites into a folder."""
        for name in _SAVED:
            (folder / name).write_bytes(getattr(self, name).tobytes())  # numpy would hide that the disk is full

    @classmethod
    def load(cls, folder: Path) -> Sites:
        """Return the sites that were written into a folder."""
        return cls(*(np.fromfile(folder / name, dtype=np.int64) for name in _SAVED))

    @classmethod
    def joined(cls, several: Iterable[Sites]) -> Sites:
        """Return the sites of all of these, with the sums of their counts.

        Those of about the same number are joined first, so that each is copied a few times only.
        """
        found = [_NONE]
        for one in several:
            found.append(tuple(getattr(one, name) for name in _SAVED))
            while len(found) > 1 and len(found[-2][0]) <= 2 * len(found[-1][0]):
                found[-2:] = [_joined(found[-2:])]
        return cls(*_joined(found))

    def codes(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the code of each of these sites."""
        return self.code_I[numbers]

    def numbers(self, code_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Return the number of each node's site, given codes that all exist."""
        return self._lookup.numbers(code_N)

    @cached_property
    def _lookup(self) -> CodeLookup:
        return CodeLookup(self.code_I)

    def ranges(self, num_ranges: int) -> npt.NDArray[np.int64]:
        """Return the first site of each of at most `num_ranges` ranges with about the same numbers of nodes and edges,
        followed by the number of sites."""
        before_I = np.concatenate([[0], np.cumsum(self.num_edges_I + self.num_nodes_I)])
        wanted = before_I[-1] * np.arange(1, num_ranges) // max(1, num_ranges)
        return np.unique(np.concatenate([[0], np.searchsorted(before_I, wanted), [len(self)]]))

    def is_kind(self, kind: NodeKind) -> npt.NDArray[np.bool_]:
        """Return a mask of the sites of one kind."""
        return np.asarray(self.kind_I == kind)


def collect_sites(nodes: Iterable[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]]) -> Sites:
    """Return the sites of all nodes, which are given as batches of site codes and in-degrees."""
    found = [_NONE]
    waiting = 0
    for code_N, in_degree_N in nodes:
        found.append(_counted(code_N, in_degree_N))
        waiting += len(found[-1][0])
        if waiting > max(_SETTLE, len(found[0][0])):
            found, waiting = [_joined(found)], 0
    return Sites(*_joined(found))


def _counted(code_N: npt.NDArray[np.int64], in_degree_N: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int64], ...]:
    """Return the distinct codes of nodes, ascending, and of each the number of nodes and of edges into them."""
    order = Ordered(code_N.copy(), int(code_N.max(initial=0)).bit_length())
    first_I = np.flatnonzero(order.is_first())
    code_N, node_N = order.take(slice(None))
    edges_N = in_degree_N.take(node_N).astype(np.int64)
    num_edges_I = np.add.reduceat(edges_N, first_I) if len(first_I) else edges_N
    return code_N[first_I], np.diff(first_I, append=len(code_N)), num_edges_I


def _joined(found: list[tuple[npt.NDArray[np.int64], ...]]) -> tuple[npt.NDArray[np.int64], ...]:
    """Return distinct codes, ascending, and the sums of the two counts of each.

    The codes of each list are ascending: numpy's stable order merges such runs.
    """
    if len(found) == 1:
        return found[0]
    code_X, *counts = (np.concatenate([one[place] for one in found]) for place in range(3))
    order_X = np.argsort(code_X, kind="stable")
    code_X = code_X[order_X]
    is_new_X = np.ones(len(code_X), dtype=bool)
    is_new_X[1:] = code_X[1:] != code_X[:-1]
    first_I = np.flatnonzero(is_new_X)
    sums = (np.add.reduceat(count_X[order_X], first_I) if len(first_I) else count_X for count_X in counts)
    return code_X[first_I], *sums
