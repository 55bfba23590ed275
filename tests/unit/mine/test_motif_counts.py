"""Counts of motifs by sparse algebra, against counts by enumeration."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from rounding import nearly

from distributed_tracer.mine import motif_counts
from distributed_tracer.mine.motif_counts import COHERENT, MOTIFS, PATTERNS, MotifGraph, count_motifs, loop_edges


def random_graph(seed: int, size: int = 14, density: float = 0.4) -> MotifGraph:
    rng = np.random.default_rng(seed)
    source, target = np.nonzero(np.triu(rng.random((size, size)) < density, 1))
    order = rng.permutation(len(source))
    number = np.arange(size)
    return MotifGraph(
        *(source[order], target[order], rng.random(len(source)) < 0.6, rng.random(len(source))),
        *(number < 4, number >= size - 3),
    )


def enumerated(graph: MotifGraph) -> dict[str, float]:
    """The motifs of a graph, counted one by one."""
    signs = np.where(graph.is_positive_E, "p", "n").tolist()
    edges = {
        pair: (sign, share)
        for *pair_of, sign, share in zip(
            graph.source_E.tolist(), graph.target_E.tolist(), signs, graph.share_E.tolist(), strict=True
        )
        for pair in [tuple(pair_of)]
    }
    nodes = range(graph.num_nodes)
    found = dict.fromkeys(MOTIFS, 0.0)
    for i, k, j in product(nodes, repeat=3):
        if (i, k) in edges and (k, j) in edges:
            found[f"two_path_{edges[i, k][0]}{edges[k, j][0]}"] += 1
            if (i, j) in edges:
                three = [edges[pair] for pair in ((i, k), (k, j), (i, j))]
                pattern, share = "".join(sign for sign, _ in three), float(np.prod([own for _, own in three]))
                kind = "ffl_coherent" if pattern in COHERENT else "ffl_incoherent"
                for name in ("ffl", kind, f"ffl_{pattern}"):
                    found[name] += 1
                    found[f"{name}_share"] += share
    for one, other in combinations(edges, 2):
        for side, name in ((1, "fan_in"), (0, "fan_out")):
            if one[side] == other[side]:
                pair = "".join(sorted((edges[one][0], edges[other][0]), reverse=True))
                found[f"{name}_{pair}"] += 1
    for i, j in combinations(nodes, 2):
        for k, m in combinations(nodes, 2):
            found["bi_fan"] += all(pair in edges for pair in ((i, k), (i, m), (j, k), (j, m)))

    def ways(node: int) -> int:
        return int(graph.is_target_N[node]) + sum(ways(j) for i, j in edges if i == node)

    found["chains"] = sum(ways(node) - int(graph.is_target_N[node]) for node in np.flatnonzero(graph.is_token_N))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_enumeration(seed: int) -> None:
    graph = random_graph(seed, density=(0.2, 0.4, 0.6, 0.9)[seed])
    expected = enumerated(graph)
    found = dict(zip(MOTIFS, count_motifs(graph, graph.source_E[None])[0].tolist(), strict=True))
    assert found["ffl"] > 0
    for name in MOTIFS:
        if name.endswith("_share"):
            assert found[name] == nearly(expected[name], 1_000), name
        else:
            assert found[name] == expected[name], name


def test_patterns_are_coherent_if_both_ways_have_one_sign() -> None:
    sign = {"p": 1, "n": -1}
    assert {one for one in PATTERNS if sign[one[0]] * sign[one[1]] == sign[one[2]]} == COHERENT
    assert len(PATTERNS) == 8


def test_graphs_that_are_counted_at_once_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, rng = random_graph(5), np.random.default_rng(0)
    sources = np.stack([np.where(rng.random(len(graph.source_E)) < 0.2, 0, graph.source_E) for _ in range(7)])
    kept = np.stack([np.unique(own * 100 + graph.target_E).size == len(own) for own in sources])
    sources[~kept] = graph.source_E
    sources[0] = graph.source_E
    together = count_motifs(graph, sources)
    monkeypatch.setattr(motif_counts, "_MOST_WEDGES", 1)
    assert np.array_equal(count_motifs(graph, sources), together)


def test_loops_are_listed_once_each_however_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph(6, density=0.7)
    (whole,) = loop_edges(graph)
    assert whole.shape == (3, count_motifs(graph, graph.source_E[None])[0, MOTIFS.index("ffl")])
    one, other, direct = whole
    assert (graph.target_E[one] == graph.source_E[other]).all()
    assert (graph.source_E[one] == graph.source_E[direct]).all()
    assert (graph.target_E[other] == graph.target_E[direct]).all()
    assert len(np.unique(whole, axis=1).T) == whole.shape[1]
    monkeypatch.setattr(motif_counts, "_MOST_WEDGES", 10)
    parts = list(loop_edges(graph))
    assert len(parts) > 3
    assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_what_is_not_known_is_not_a_number() -> None:
    graph = random_graph(7)
    (loops,) = loop_edges(graph)
    graph.share_E[loops[0, 0]] = np.nan
    found = dict(zip(MOTIFS, count_motifs(graph, graph.source_E[None])[0].tolist(), strict=True))
    assert np.isnan(found["ffl_share"])
    assert found["ffl"] == enumerated(graph)["ffl"]
    flags = np.array([True, False, False]), np.array([False, False, True])
    circle = MotifGraph(np.array([0, 1, 0]), np.array([1, 0, 2]), np.ones(3, bool), np.ones(3), *flags)
    assert np.isnan(count_motifs(circle, circle.source_E[None])[0, MOTIFS.index("chains")])


def test_a_graph_without_edges_has_no_motifs() -> None:
    none = np.zeros(0, dtype=np.int64)
    graph = MotifGraph(none, none, np.zeros(0, bool), np.zeros(0), np.ones(3, bool), np.ones(3, bool))
    assert (count_motifs(graph, none[None]) == 0).all()
    assert sum(own.shape[1] for own in loop_edges(graph)) == 0
