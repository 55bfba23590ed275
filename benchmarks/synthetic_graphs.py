"""Random attribution graphs of realistic sizes and sparsity, a few milliseconds each, for measuring stores.

A pruned graph has 655 nodes and 13,700 edges on average, with a heavy tail, as default pruning leaves of prompts of 20
to 80 tokens. Features are Zipf-distributed within each layer: a few are in nearly half of all graphs, most in hardly
any. Sources lie in lower layers than what they explain and not at later positions, and some are sources of nearly
everything. Weights, activations and influences have random mantissas, as measured ones do. Axis letters are those of
`shapes.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from distributed_tracer.graph.graph import Graph, Scores, Target
from distributed_tracer.graph.nodes import ActiveTable, NodeKind, NodeTable

Rng = np.random.Generator
_WORDS = (" the", " of", " and", " capital", " state", " river", " number", " seven", "ed", "ing", " é", "北京")


@dataclass(frozen=True)
class Corpus:
    """Graphs 0, 1, 2, ... of a seed: each can be made again by its number."""

    seed: int = 0
    num_layers: int = 26
    num_features: int = 16_384
    """Number of features of each layer's transcoder."""
    active_per_site: int = 16
    """Mean number of features that fire at a layer and position; slightly fewer, as features drawn twice count once."""
    nodes: float = 655.0
    edges: float = 13_700.0
    spread: float = 0.6
    """Standard deviation of the logarithm of the number of nodes."""

    def graph(self, number: int) -> Graph:
        rng = np.random.default_rng((self.seed, number))
        num_positions = int(rng.integers(20, 81))
        active = self._active(rng, num_positions)
        tokens_P = rng.zipf(1.3, num_positions).clip(max=50_000).astype(np.int32)
        targets = _targets(rng, num_positions)
        nodes = self._nodes(rng, active, tokens_P, targets)
        indptr, source_E = _edges(rng, nodes, int(self.edges * (len(nodes) / self.nodes) ** 1.4 * 0.95))
        degree_N = np.diff(indptr)
        size, has_row_N = len(nodes), degree_N > 0
        row_N = np.where(has_row_N, rng.lognormal(0, 1, size), np.nan).astype(np.float32)
        strength_E = rng.standard_normal(len(source_E), np.float32) * np.exp(
            rng.standard_normal(len(source_E), np.float32)
        )
        strength_E[strength_E == 0] = 1.0  # happens once in some millions, and would be no edge in a dense file
        return Graph(
            prompt_id=name_of(number),
            text="".join(rng.choice(_WORDS, num_positions)),
            tokens_P=tokens_P,
            token_strings=tuple(_WORDS[token % len(_WORDS)] for token in tokens_P.tolist()),
            num_layers=self.num_layers,
            targets=targets,
            nodes=nodes,
            indptr=indptr,
            source_E=source_E,
            weight_E=0.01 * strength_E,
            row_abs_sum_N=row_N,
            row_abs_sum_all_N=(row_N * rng.uniform(1.0, 1.5, size)).astype(np.float32),
            row_abs_dropped_N=np.where(has_row_N, 0.0, np.nan).astype(np.float32),
            constant_N=(row_N * rng.normal(0, 0.1, size)).astype(np.float32),
            influence_N=(0.003 * rng.lognormal(0, 1.5, size)).astype(np.float32),
            active=active,
            scores=_scores(rng, self.num_layers),
            constant_node=True,
            metadata={"family": f"family-{number % 20}", "number": number},
        )

    def batches(self, count: int, size: int) -> Iterator[list[Graph]]:
        """Yield the first `count` graphs, `size` at a time."""
        for first in range(0, count, size):
            yield [self.graph(number) for number in range(first, min(first + size, count))]

    @cached_property
    def _by_rank_LS(self) -> npt.NDArray[np.int32]:
        """Return the feature of each rank, for each layer."""
        rng = np.random.default_rng(self.seed)
        return np.stack([rng.permutation(self.num_features) for _ in range(self.num_layers)]).astype(np.int32)

    def _active(self, rng: Rng, num_positions: int) -> ActiveTable:
        sites = self.num_layers * num_positions
        count_S = rng.poisson(self.active_per_site, sites)
        site_A = np.repeat(np.arange(sites), count_S)
        rank_A = (2 * (self.num_features / 2 + 1) ** rng.random(len(site_A))).astype(np.int64) - 2
        feature_A = self._by_rank_LS[site_A // num_positions, rank_A]  # probability of rank r: ~ 1 / (r + 2)
        site_A, feature_A = np.divmod(_distinct(site_A * self.num_features + feature_A), self.num_features)
        layer_A, position_A = np.divmod(site_A, num_positions)
        activation_A = rng.lognormal(0, 1, len(site_A)).astype(np.float32)
        return ActiveTable(
            layer_A.astype(np.int16), position_A.astype(np.int32), feature_A.astype(np.int32), activation_A
        )

    def _nodes(
        self, rng: Rng, active: ActiveTable, tokens_P: npt.NDArray[np.int32], targets: tuple[Target, ...]
    ) -> NodeTable:
        """Return all tokens and targets; the other nodes are seven features to three errors."""
        wanted = self.nodes * rng.lognormal(-(self.spread**2) / 2, self.spread) - len(tokens_P) - len(targets)
        num_features = min(len(active), max(1, int(0.7 * wanted)))
        chosen = np.sort(rng.choice(len(active), num_features, replace=False, shuffle=False))
        positions_K = np.array([target.position for target in targets], dtype=np.int32)
        whole = NodeTable.build(active.take(chosen), self.num_layers, tokens_P, positions_K)
        share = max(0.0, 0.3 * wanted) / (self.num_layers * len(tokens_P))
        return whole.take((whole.kind_N != NodeKind.ERROR) | (rng.random(len(whole)) < share))


def name_of(number: int) -> str:
    """Return the id of a graph's prompt."""
    return f"synthetic-{number:06d}"


def unpruned(seed: int = 0) -> Corpus:
    """Return graphs that are not pruned: about 6,000 nodes and 2 million edges."""
    return Corpus(seed=seed, nodes=6_000.0, edges=2_000_000.0, spread=0.2)


def _edges(rng: Rng, nodes: NodeTable, wanted: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return rows and sources: a source is of a lower layer than its target, at its position or before it."""
    size = len(nodes)
    explained = np.flatnonzero((nodes.kind_N == NodeKind.FEATURE) | (nodes.kind_N == NodeKind.TARGET))
    sources = np.flatnonzero(nodes.kind_N != NodeKind.TARGET)
    sources = sources[np.argsort(nodes.layer_N[sources], kind="stable")]  # those below a layer come first
    mass_S = np.cumsum(rng.lognormal(0, 1.2, len(sources)))
    below_N = np.searchsorted(nodes.layer_N[sources], nodes.layer_N[explained])
    reach_N = np.where(below_N > 0, mass_S[below_N - 1], 0.0)
    chance_N = reach_N * rng.lognormal(0, 0.8, len(explained))
    chance_N /= chance_N.sum()
    pairs = np.empty(0, dtype=np.int64)
    for _ in range(4):  # about half are at a later position, and some are drawn twice
        draws = int(2.4 * (wanted - len(pairs))) + 8
        row = np.repeat(np.arange(len(explained)), rng.multinomial(draws, chance_N))
        column = np.searchsorted(mass_S, rng.random(draws, np.float32) * reach_N[row]).clip(max=len(sources) - 1)
        target, source = explained[row], sources[column]
        fits = (nodes.position_N[source] <= nodes.position_N[target]) & (column < below_N[row])
        pairs = _distinct(np.concatenate([pairs, target[fits] * size + source[fits]]))
        if len(pairs) >= 0.9 * wanted:
            break
    target, source = np.divmod(pairs, size)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=size))])
    return indptr.astype(np.int64), source.astype(np.int32)


def _distinct(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return distinct values in ascending order. numpy's `unique` hashes, which takes three times as long here."""
    ordered = np.sort(values)
    return ordered[np.diff(ordered, prepend=-1) > 0]


def _targets(rng: Rng, num_positions: int) -> tuple[Target, ...]:
    weights = np.sort(rng.dirichlet(np.ones(int(rng.integers(1, 11)))))[::-1].tolist()
    ids = rng.integers(0, 50_000, len(weights)).tolist()
    return tuple(
        Target(_WORDS[token % len(_WORDS)], token, weight, num_positions - 1, 20 * weight)
        for token, weight in zip(ids, weights, strict=True)
    )


def _scores(rng: Rng, num_layers: int) -> Scores:
    replacement, completeness, constant, closing, *_ = rng.random(4).tolist()
    lengths: list[Any] = rng.dirichlet(np.ones(num_layers)).tolist()
    errors = (0.5 * rng.dirichlet(np.ones(num_layers))).tolist()
    return Scores(replacement, completeness, 0.1 * constant, tuple(errors), tuple(lengths), 1e-6 * closing)
