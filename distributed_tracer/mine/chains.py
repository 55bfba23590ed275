"""Chains: the strongest ways from tokens to targets in the average graph of an atlas, by dynamic programming.

The average graph has a node for each site (a feature, token, error or target without position) and for each edge the
mean share of the target's row. The strength of a chain is the product of the absolute mean shares of its edges, times
the share of all prompts whose graph has the target: how much of an average prompt's influence would flow along it, if
its edges were independent.

Axes: I site, E edge, X number of edges of a chain that ends in a site (from 0; the last stands for as many or more), Y
rank among the chains of this number that end in the site.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, ResultError
from ..graph.columns import KINDS
from ..graph.nodes import NodeKind
from ..names import unknown
from ..table import Table
from ..text import counted
from .atlas_edges import ENDS, SHARE, check_atlas, with_share
from .result import Result
from .sites import Sites, site_codes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_BYTES = 8 + 8 + 8 + 4 + 4
"""Bytes of a chain that is kept for a site: strength, share and prompts of its last edge, and what comes before it."""


@dataclass(frozen=True)
class Chain:
    """A chain of sites, from its beginning to a target."""

    sites: tuple[int, ...]
    """Codes of the sites, as `site_codes` makes them."""
    shares: tuple[float, ...]
    """Mean share of each edge, with its sign."""
    prompts: tuple[int, ...]
    """Prompts that have each edge."""
    product: float
    """Product of the absolute shares, multiplied from the beginning to the target."""
    strength: float
    """This product times the share of prompts that have the target."""

    @classmethod
    def of_json(cls, fields: Mapping[str, Any]) -> Chain:
        """Return the chain with these fields, whose tuples may be lists."""
        own: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        return cls(**own)


def best_chains(
    atlas: Result,
    k: int,
    begin: Collection[str] = ("token",),
    target: int | None = None,
    min_edges: int = 2,
    min_prompts: int = 2,
    memory_gb: float = 2.0,
) -> list[Chain]:
    """Return the `k` strongest chains from sites of the kinds `begin` to a target, the strongest first.

    A chain has at least `min_edges` edges, and every edge is one that at least `min_prompts` prompts have. `target` is
    the token id of a target; default all. The answer is exact: no chain that is left out is stronger. Of equal ones
    those come first whose last edge comes from the earlier site in the order of layer, kind and number. Raises
    ConfigError for an argument out of range, an unknown kind, a result that is no atlas, edges that do not go
    up, and if the chains do not fit into the memory.
    """
    for kind in begin:
        if kind not in KINDS[:-1]:
            raise ConfigError(unknown("kind of node that a chain may begin with", kind, KINDS[:-1]))
    for name, value in (("number of chains", k), ("number of edges", min_edges), ("number of prompts", min_prompts)):
        if isinstance(value, bool) or value < 1:
            raise ConfigError(f"the {name} must be at least 1, not {value}")
    check_atlas(atlas)
    code_I = _site_codes(atlas, min_prompts)
    need = _bytes(len(code_I), k, min_edges) / 1e9
    if need > memory_gb:
        raise ConfigError(
            f"{counted(k, 'chain')} for each of {len(code_I):,} nodes need {need:.2f} GB, more than --memory-gb "
            f"{memory_gb:g}: ask for fewer chains or allow more memory"
        )
    table = _ChainTable(code_I, k, min_edges, begin)
    for edges in _by_target(atlas, min_prompts):
        table.end_in(edges)
    return table.best(target, atlas.info["num_prompts"])


def chain_bytes(atlas: Result, k: int, min_edges: int, min_prompts: int) -> tuple[int, int]:
    """Return the number of nodes that edges in enough prompts have, and the bytes that `best_chains` takes for them."""
    check_atlas(atlas)
    num_sites = len(_site_codes(atlas, min_prompts))
    return num_sites, _bytes(num_sites, k, min_edges)


def _bytes(num_sites: int, k: int, min_edges: int) -> int:
    return _BYTES * k * (min_edges + 1) * num_sites


@dataclass(frozen=True, eq=False)
class _Edges:
    """Edges into one site."""

    target: int
    """Code of the site."""
    num_prompts: int
    """Prompts in whose graph it is a node."""
    source_E: Ints
    share_E: Floats
    prompts_E: Ints


class _ChainTable:
    """The strongest chains that end in each site, filled from the tokens up."""

    def __init__(self, code_I: Ints, k: int, min_edges: int, begin: Collection[str]) -> None:
        self._sites = Sites(code_I, np.zeros_like(code_I), np.zeros_like(code_I))
        self._k, self._last = k, min_edges
        shape = len(code_I), min_edges + 1, k
        self._product_IXY, self._share_IXY = np.zeros(shape), np.zeros(shape)
        self._prompts_IXY = np.zeros(shape, dtype=np.int64)
        self._source_IXY, self._before_IXY = np.full(shape, -1, np.int32), np.full(shape, -1, np.int32)
        begins_I = np.isin(self._sites.kind_I, [KINDS.index(kind) for kind in begin])
        self._product_IXY[begins_I, 0, 0] = 1.0  # the chain that is only its beginning
        self._num_prompts_I = np.zeros(len(code_I), dtype=np.int64)

    def end_in(self, edges: _Edges) -> None:
        """Find the strongest chains that end in a site, given all edges into it; those into their sources are known."""
        site, source_E = int(self._sites.numbers(np.array([edges.target]))[0]), self._sites.numbers(edges.source_E)
        self._num_prompts_I[site] = edges.num_prompts
        product_EXY = self._product_IXY[source_E] * np.abs(edges.share_E)[:, None, None]
        for length in range(1, self._last + 1):
            stop = length + 1 if length == self._last else length  # the last number of edges stands for more, too
            own = product_EXY[:, length - 1 : stop]
            found = own.ravel()
            best = _largest(found, self._k)
            edge, before = np.divmod(best, own.shape[1] * self._k)
            taken = site, length, slice(len(best))
            self._product_IXY[taken] = found[best]
            self._source_IXY[taken] = source_E[edge]
            self._before_IXY[taken] = before + (length - 1) * self._k
            self._share_IXY[taken] = edges.share_E[edge]
            self._prompts_IXY[taken] = edges.prompts_E[edge]

    def best(self, target: int | None, num_prompts: int) -> list[Chain]:
        """Return the strongest chains that end in a target."""
        is_wanted_I = self._sites.is_kind(NodeKind.TARGET)
        if target is not None:
            is_wanted_I &= self._sites.feature_I == target
        ends = np.flatnonzero(is_wanted_I)
        strength = self._product_IXY[ends, self._last] * (self._num_prompts_I[ends] / num_prompts)[:, None]
        places = (divmod(int(place), self._k) for place in _largest(strength.ravel(), self._k))
        return [self._walk(int(ends[row]), rank, float(strength[row, rank])) for row, rank in places]

    def _walk(self, site: int, rank: int, strength: float) -> Chain:
        place = site, self._last, rank
        product, sites, shares, prompts = float(self._product_IXY[place]), [site], [], []
        while (source := int(self._source_IXY[place])) >= 0:
            shares.append(float(self._share_IXY[place]))
            prompts.append(int(self._prompts_IXY[place]))
            place = source, *divmod(int(self._before_IXY[place]), self._k)
            sites.append(source)
        codes = self._sites.code_I[sites[::-1]].tolist()
        return Chain(tuple(codes), tuple(shares[::-1]), tuple(prompts[::-1]), product, strength)


def _largest(values: Floats, k: int) -> npt.NDArray[np.intp]:
    """Return the places of the `k` largest values above zero, the largest first, equal ones in their order."""
    places = np.flatnonzero(values > 0)
    if len(places) > k:
        least = np.partition(values[places], len(places) - k)[len(places) - k]
        places = places[values[places] >= least]
    return places[np.argsort(-values[places], kind="stable")[:k]]


def codes_of(edges: Table, side: str) -> Ints:
    """Return the code of the site at one side of each edge of an atlas."""
    number_of = {kind: number for number, kind in enumerate(KINDS)}
    kinds = np.fromiter((number_of[kind] for kind in edges[f"{side}_kind"]), np.int64, len(edges))
    return site_codes(edges[f"{side}_layer"], kinds, edges[f"{side}_feature"])


def _site_codes(atlas: Result, min_prompts: int) -> Ints:
    """Return the codes of all sites that have an edge which is in at least `min_prompts` prompts, ascending."""
    found = np.zeros(0, dtype=np.int64)
    for batch in atlas.stream("edges", [*ENDS, "prompts"]):
        edges = batch.where(batch["prompts"] >= min_prompts)
        found = np.unique(np.concatenate([found, codes_of(edges, "source"), codes_of(edges, "target")]))
    return found


def _by_target(atlas: Result, min_prompts: int) -> Iterator[_Edges]:
    """Yield the edges into each site, in the order of these sites.

    Raises ConfigError for edges that do not go up, ResultError if edges are not in the order of their targets.
    """
    columns = [*ENDS, "prompts", "prompts_row", "prompts_share", "prompts_target", "sum_share"]
    waiting: list[_Edges] = []
    for batch in atlas.stream("edges", columns):
        if (batch["source_layer"] >= batch["target_layer"]).any():
            raise ConfigError(f"the atlas at {atlas.path} has edges that do not go to a later layer: it has no chains")
        edges = with_share(batch.where(batch["prompts"] >= min_prompts))
        target_E, source_E = codes_of(edges, "target"), codes_of(edges, "source")
        share_E, prompts_E, num_E = np.nan_to_num(edges[SHARE]), edges["prompts"], edges["prompts_target"]
        if (np.diff(target_E, prepend=waiting[-1].target if waiting else -1) < 0).any():
            raise ResultError(f"the edges of the atlas at {atlas.path} are not in the order of their targets")
        borders = [*np.flatnonzero(np.diff(target_E, prepend=-1)).tolist(), len(target_E)]
        for own in (slice(*ends) for ends in pairwise(borders)):
            target = int(target_E[own.start])
            if waiting and waiting[-1].target != target:
                yield _joined(waiting)
                waiting = []
            waiting.append(_Edges(target, int(num_E[own.start]), source_E[own], share_E[own], prompts_E[own]))
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[_Edges]) -> _Edges:
    """Return the edges into one site, which several batches may have."""
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("source_E", "share_E", "prompts_E"))
    return _Edges(parts[0].target, parts[0].num_prompts, *columns)
