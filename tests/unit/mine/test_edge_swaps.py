"""Edge swaps: draws are uniform over all graphs with the same degrees, and keep what they say they keep."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from distributed_tracer.mine.edge_swaps import SwapBlocks, draw_graphs

SMALL = (
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    [[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]],
    [[1, 1, 0], [1, 0, 1], [0, 1, 1]],
    [[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 1, 0]],
    [[1, 1, 1], [1, 0, 0], [1, 0, 0], [0, 0, 0]],  # nothing can move
)
"""Small tables of sources and targets: 1 is an edge."""
LEVEL = 0.001


def edges_of(table: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sources, targets and groups of nodes, sources before targets."""
    source, target = np.nonzero(np.array(table))
    num_sources, num_targets = np.array(table).shape
    return source, target + num_sources, np.repeat([0, 1], [num_sources, num_targets])


def tables_with_the_margins_of(table: list[list[int]]) -> list[np.ndarray]:
    given = np.array(table)
    every = (np.array(bits).reshape(given.shape) for bits in product((0, 1), repeat=given.size))
    return [one for one in every if all((one.sum(axis) == given.sum(axis)).all() for axis in (0, 1))]


@pytest.mark.parametrize("number", range(len(SMALL)))
def test_every_table_with_the_same_margins_is_as_likely(number: int) -> None:
    table = SMALL[number]
    source, target, group = edges_of(table)
    blocks = SwapBlocks.of(source, target, group)
    drawn = draw_graphs(blocks, source, num_draws=6_000, num_steps=200, rng=np.random.default_rng(5))
    wanted = tables_with_the_margins_of(table)
    width = len(table[0])
    cells = drawn.source_BE.astype(np.int64) * width + target - len(table)
    codes, counts = np.unique((1 << cells).sum(axis=1), return_counts=True)
    assert codes.tolist() == sorted(sum(1 << int(cell) for cell in np.flatnonzero(one)) for one in wanted)
    if len(wanted) > 1:
        assert stats.chisquare(counts).pvalue > LEVEL


def test_counting_accepted_swaps_only_would_not_be_uniform() -> None:
    """The test above can fail: with rejected proposals left out, the share of a table follows its number of swaps."""
    table = SMALL[1]
    every = [tuple(one.reshape(-1)) for one in tables_with_the_margins_of(table)]
    moves = np.zeros((len(every), len(every)))
    for one, other in product(range(len(every)), repeat=2):
        moves[one, other] = np.abs(np.subtract(every[one], every[other])).sum() == 4  # one swap apart
    degrees = moves.sum(axis=1)
    assert len(set(degrees.tolist())) > 1
    assert stats.chisquare(6_000 * degrees / degrees.sum()).pvalue < LEVEL


@pytest.mark.parametrize("number", range(len(SMALL)))
def test_edges_that_cannot_move_are_those_of_every_table(number: int) -> None:
    source, target, group = edges_of(SMALL[number])
    in_all = np.all(tables_with_the_margins_of(SMALL[number]), axis=0)
    expected = in_all[source, target - len(SMALL[number])]
    assert SwapBlocks.of(source, target, group).is_fixed_E.tolist() == expected.tolist()


def random_case(seed: int, density: float = 0.2) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sources, targets, groups of nodes, and signs of a random graph in six groups, edges within groups too."""
    rng = np.random.default_rng(seed)
    group = np.sort(rng.integers(0, 6, 60))
    source, target = np.nonzero((rng.random((60, 60)) < density) & (group[:, None] <= group) & ~np.eye(60, dtype=bool))
    return source, target, group, rng.integers(0, 2, len(source))


def degrees(source: np.ndarray, target: np.ndarray, group: np.ndarray, label: np.ndarray) -> list[np.ndarray]:
    """In- and out-degree of every node towards every group, by label."""
    found = []
    for own, other in ((source, target), (target, source)):
        counts = np.zeros((60, 6, 2), dtype=int)
        np.add.at(counts, (own, group[other], label), 1)
        found.append(counts)
    return found


@pytest.mark.parametrize("by_sign", [False, True])
def test_every_draw_keeps_the_degrees_within_blocks(by_sign: bool) -> None:
    source, target, group, sign = random_case(1)
    label = sign if by_sign else np.zeros_like(sign)
    blocks = SwapBlocks.of(source, target, group, label)
    drawn = draw_graphs(blocks, source, num_draws=20, num_steps=30, rng=np.random.default_rng(2))
    expected = degrees(source, target, group, label)
    assert 0 < drawn.acceptance < 1
    for own in drawn.source_BE.astype(np.int64):
        assert (own != source).any()
        assert (own != target).all()
        assert len(np.unique(own * 60 + target)) == len(target), "an edge is there twice"
        for found, wanted in zip(degrees(own, target, group, label), expected, strict=True):
            assert (found == wanted).all()


def test_edges_that_cannot_move_never_move() -> None:
    source, target, group, _ = random_case(3, density=0.04)
    blocks = SwapBlocks.of(source, target, group)
    drawn = draw_graphs(blocks, source, num_draws=50, num_steps=50, rng=np.random.default_rng(0))
    observed = source * 60 + target
    fixed = observed[blocks.is_fixed_E]
    assert 0 < len(fixed) < len(observed)
    seen = np.zeros(len(observed), dtype=bool)
    for own in drawn.source_BE.astype(np.int64):
        cells = own * 60 + target
        assert np.isin(fixed, cells).all()
        seen |= ~np.isin(observed, cells)
    assert (seen == ~blocks.is_fixed_E).all(), "50 draws move every edge that can move"


def test_draws_depend_on_the_seed_alone() -> None:
    source, target, group, _ = random_case(4)
    blocks = SwapBlocks.of(source, target, group)
    one, same, other = (draw_graphs(blocks, source, 5, 10, np.random.default_rng(seed)).source_BE for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_a_graph_without_edges_or_with_single_sources_stays() -> None:
    none = np.zeros(0, dtype=np.int64)
    empty = draw_graphs(SwapBlocks.of(none, none, np.array([0, 1])), none, 3, 5, np.random.default_rng(0))
    assert empty.source_BE.shape == (3, 0)
    assert np.isnan(empty.acceptance)
    source, target = np.array([0, 0, 1]), np.array([2, 3, 3])
    blocks = SwapBlocks.of(source, target, np.array([0, 1, 2, 3]))
    assert blocks.is_fixed_E.all()
    assert (draw_graphs(blocks, source, 3, 5, np.random.default_rng(0)).source_BE == source).all()
