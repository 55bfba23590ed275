"""Edge swaps: graphs that are drawn at random among those in which every node has the same degrees within blocks.

A block holds the edges from one group of nodes to another one. A swap takes two edges a -> b and c -> d of a block and
makes them c -> b and a -> d, unless the graph would have an edge twice. So every node keeps its in-degree and its
out-degree within every block. An edge keeps its target, and with it its weight, sign and share of the target's row; it
gets another source.

A step pairs the edges of each block by a random rule that does not see the graph, and tosses a coin for each pair. The
chosen pairs are swapped at once, except those that would make an edge that is there, and those that share a possible
edge with another chosen pair. Whether a pair is left out is the same before and after the step, so that the same rule
leads back: the chain is symmetric, and what it refuses counts as a step in which the graph stays. Its stationary law is
therefore uniform over all graphs that swaps can reach, which are all graphs with these degrees (Ryser 1957,
"Combinatorial properties of matrices of zeros and ones"; Carstens and Horadam 2017, "Switching edges to randomize
networks: what goes wrong and how to fix it", J. Complex Networks 5). Counting accepted swaps only would prefer graphs
that allow few swaps.

If edges have labels, such as signs, and are swapped only with others of their label, the degrees by label stay too. The
chain is symmetric as before, but it may not reach all such graphs: it is uniform over those that it reaches.

Axes: B row of a batch (a draw), E edge, N node, X edge that can exchange its source, I block.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

Ints = npt.NDArray[np.int64]
Rng = np.random.Generator
_MOST_CELLS = 1 << 20
"""Possible edges of all chains that are walked at once, unless one has more: what fits into a processor's cache."""


@dataclass(frozen=True, eq=False)
class SwapBlocks:
    """The edges of a graph that can exchange their sources, block by block.

    A possible edge of a block is a cell: the sum of a number for its source and one for its target.
    """

    edge_X: Ints
    """Place of each edge among the edges of the graph."""
    block_X: Ints
    place_X: Ints
    """Place of each edge in its block."""
    size_I: Ints
    """Edges of each block."""
    source_cell_X: Ints
    target_cell_X: Ints
    node_of_cell: Ints
    """Source of each number of a source; -1 for other numbers."""
    never: Ints
    """Cells of edges from a node to itself, which no graph may have."""
    label_X: Ints
    """Edges are swapped with those of the same label only."""
    is_fixed_E: npt.NDArray[np.bool_]
    """For every edge of the graph, whether all graphs with the same degrees in the blocks have it, whatever labels."""

    @classmethod
    def of(cls, source_E: Ints, target_E: Ints, group_N: Ints, label_E: Ints | None = None) -> SwapBlocks:
        """Return the blocks of a graph whose edges are all different; `group_N` has the group of each node."""
        num_groups, num_nodes = int(group_N.max(initial=0)) + 1, len(group_N)
        _, block_E = np.unique(group_N[source_E] * num_groups + group_N[target_E], return_inverse=True)
        source_E_local, num_sources_I = _numbered(block_E, source_E, num_nodes)
        target_E_local, num_targets_I = _numbered(block_E, target_E, num_nodes)
        can_move_I = num_sources_I > 1
        num_cells_I = np.where(can_move_I, num_sources_I * num_targets_I, 0)
        first_I = np.cumsum(num_cells_I) - num_cells_I
        edge_X = np.flatnonzero(can_move_I[block_E])
        edge_X = edge_X[np.argsort(block_E[edge_X], kind="stable")]
        kept_I, block_X = np.unique(block_E[edge_X], return_inverse=True)
        size_I = np.bincount(block_X, minlength=len(kept_I)).astype(np.int64)
        place_X = np.arange(len(edge_X)) - (np.cumsum(size_I) - size_I)[block_X]
        own_X = block_E[edge_X]
        source_cell_X = first_I[own_X] + source_E_local[edge_X] * num_targets_I[own_X]
        target_cell_X = target_E_local[edge_X]
        node_of_cell = np.full(int(num_cells_I.sum()), -1, dtype=np.int64)
        node_of_cell[source_cell_X] = source_E[edge_X]
        found = cls(
            *(edge_X, block_X, place_X, size_I, source_cell_X, target_cell_X, node_of_cell),
            _self_cells(source_E[edge_X], target_E[edge_X], block_X, source_cell_X, target_cell_X, num_nodes),
            np.zeros_like(edge_X) if label_E is None else label_E[edge_X],
            np.ones(len(source_E), dtype=np.bool_),
        )
        return replace(found, is_fixed_E=found._fixed(len(source_E), num_cells_I[kept_I], num_targets_I[kept_I]))

    def _fixed(self, num_edges: int, num_cells_I: Ints, num_targets_I: Ints) -> npt.NDArray[np.bool_]:
        """Return which edges no swap can move: those on no cycle that takes edges forwards and missing ones back."""
        is_fixed_E = np.ones(num_edges, dtype=np.bool_)
        if not len(self.edge_X):
            return is_fixed_E
        num_cells = len(self.node_of_cell)
        has_edge = np.zeros(num_cells, dtype=np.bool_)
        has_edge[self.source_cell_X + self.target_cell_X] = True
        width = np.repeat(num_targets_I, num_cells_I)
        local = np.arange(num_cells) - np.repeat(np.cumsum(num_cells_I) - num_cells_I, num_cells_I)
        row = np.arange(num_cells) - local % width
        first = num_cells + np.cumsum(num_targets_I) - num_targets_I
        column = np.repeat(first, num_cells_I) + local % width
        is_used = np.ones(num_cells, dtype=np.bool_)
        is_used[self.never] = False
        begin, end = (np.where(has_edge, *pair)[is_used] for pair in ((row, column), (column, row)))
        size = num_cells + int(num_targets_I.sum())
        links = sparse.csr_matrix((np.ones(len(begin), dtype=np.int8), (begin, end)), shape=(size, size))
        _, component = connected_components(links, directed=True, connection="strong")
        cell_X = self.source_cell_X + self.target_cell_X
        is_fixed_E[self.edge_X] = component[row[cell_X]] != component[column[cell_X]]
        return is_fixed_E


def _numbered(block_E: Ints, node_E: Ints, num_nodes: int) -> tuple[Ints, Ints]:
    """Return the number of each edge's node among those of its block, and how many nodes each block has."""
    num_blocks = int(block_E.max(initial=-1)) + 1
    pairs, place_E = np.unique(block_E * num_nodes + node_E, return_inverse=True)
    count_I = np.bincount(pairs // max(1, num_nodes), minlength=num_blocks).astype(np.int64)
    return place_E - (np.cumsum(count_I) - count_I)[block_E], count_I


def _self_cells(
    source_X: Ints, target_X: Ints, block_X: Ints, source_cell_X: Ints, target_cell_X: Ints, num_nodes: int
) -> Ints:
    """Return the cells of edges from a node to itself, in blocks within one group."""
    sources, source_place = np.unique(block_X * num_nodes + source_X, return_index=True)
    targets, target_place = np.unique(block_X * num_nodes + target_X, return_index=True)
    _, one, other = np.intersect1d(sources, targets, assume_unique=True, return_indices=True)
    cells: Ints = source_cell_X[source_place[one]] + target_cell_X[target_place[other]]
    return cells


@dataclass(frozen=True, eq=False)
class Draws:
    """Graphs that were drawn."""

    source_BE: npt.NDArray[np.int32]
    """Source of each edge in each graph; targets, weights and signs are those of the observed graph."""
    acceptance: float
    """Share of the proposed swaps that changed the graph; NaN if there was nothing to propose."""


def draw_graphs(blocks: SwapBlocks, source_E: Ints, num_draws: int, num_steps: int, rng: Rng) -> Draws:
    """Return graphs that are exchangeable with the observed one, if that is a random graph with its degrees.

    A chain goes `num_steps` steps from the observed graph; from where it ends, each draw goes as many steps on its own.
    As the chain is symmetric, the observed graph is in the same relation to that point as each draw, so that the rank
    of the observed graph is uniform for any number of steps (Besag and Clifford 1989, "Generalized Monte Carlo
    significance tests", Biometrika 76). Too few steps cost power, but make no false findings. Each step proposes a swap
    to half of the pairs into which the edges of a block are divided.
    """
    source_BE = np.tile(source_E.astype(np.int32), (num_draws, 1))
    if not len(blocks.edge_X):
        return Draws(source_BE, float("nan"))
    common, *counts = _walk(blocks, blocks.source_cell_X[None], num_steps, rng)
    at_once = max(1, _MOST_CELLS // (len(blocks.node_of_cell) + len(blocks.edge_X)))
    for first in range(0, num_draws, at_once):
        own = min(at_once, num_draws - first)
        found, *more = _walk(blocks, np.repeat(common, own, axis=0), num_steps, rng)
        counts = [one + other for one, other in zip(counts, more, strict=True)]
        source_BE[first : first + own, blocks.edge_X] = blocks.node_of_cell[found]
    num_proposed, num_accepted = counts
    return Draws(source_BE, num_accepted / num_proposed if num_proposed else float("nan"))


def _walk(blocks: SwapBlocks, source_cell_BX: Ints, num_steps: int, rng: Rng) -> tuple[Ints, int, int]:
    """Walk `num_steps` steps from given graphs; return where they end, and how many swaps were proposed and made."""
    num_chains, num_cells, size = len(source_cell_BX), len(blocks.node_of_cell), len(blocks.edge_X)
    source_cell = source_cell_BX.reshape(-1).copy()
    chain = np.repeat(np.arange(num_chains) * num_cells, size)
    has_edge = np.zeros(num_chains * num_cells, dtype=np.bool_)
    has_edge[chain + source_cell + np.tile(blocks.target_cell_X, num_chains)] = True
    has_edge[(np.arange(num_chains)[:, None] * num_cells + blocks.never).reshape(-1)] = True
    mark = np.zeros(num_chains * num_cells, dtype=np.int32)
    place_X, size_X = blocks.place_X.astype(np.int32), blocks.size_I[blocks.block_X].astype(np.int32)
    before_X = np.arange(size) - blocks.place_X
    num_proposed = num_accepted = 0
    for _ in range(num_steps):
        turn = (rng.random((num_chains, len(blocks.size_I))) * blocks.size_I).astype(np.int32)
        partner_BX = np.take(turn, blocks.block_X, axis=1)
        partner_BX -= place_X
        partner_BX += size_X * (partner_BX < 0)
        chosen = np.flatnonzero(partner_BX > place_X)
        chosen = chosen[rng.random(len(chosen), np.float32) < 0.5]
        own = chosen % size
        one, other = chosen, chosen - own + before_X[own] + partner_BX.reshape(-1)[chosen]
        num_proposed += len(one)
        num_accepted += _swap(blocks, one, other, source_cell, chain, has_edge, mark)
    return source_cell.reshape(num_chains, size), num_proposed, num_accepted


def _swap(
    blocks: SwapBlocks,
    one: npt.NDArray[np.integer],
    other: npt.NDArray[np.integer],
    source_cell: Ints,
    chain: Ints,
    has_edge: npt.NDArray[np.bool_],
    mark: npt.NDArray[np.int32],
) -> int:
    """Swap the sources of the pairs of edges that may be swapped together; return how many."""
    size = len(blocks.edge_X)
    is_possible = source_cell[one] != source_cell[other]
    is_possible &= blocks.label_X[one % size] == blocks.label_X[other % size]
    one, other = one[is_possible], other[is_possible]
    row, other_row = source_cell[one], source_cell[other]
    column, other_column = blocks.target_cell_X[one % size], blocks.target_cell_X[other % size]
    begin = chain[one]
    cells = np.stack([row + column, other_row + other_column, other_row + column, row + other_column])
    cells += begin
    number = np.arange(len(one), dtype=np.int32)
    is_free = (column == other_column) | ~(has_edge[cells[2]] | has_edge[cells[3]])
    for order in (slice(None), slice(None, None, -1)):  # the last pair to write wins, then the first one
        mark[cells.reshape(-1)[order]] = np.tile(number, 4)[order]
        is_free &= (mark[cells] == number).all(axis=0)
    one, other, cells = one[is_free], other[is_free], cells[:, is_free]
    has_edge[cells[:2].reshape(-1)] = False
    has_edge[cells[2:].reshape(-1)] = True
    source_cell[one], source_cell[other] = source_cell[other], source_cell[one]
    return len(one)
