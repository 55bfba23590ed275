"""Stability over pruning thresholds: every setting keeps exactly what `prune` keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import random_stores
from random_graphs import random_graph, with_edges_upwards
from random_stores import make_store
from rounding import nearly

from distributed_tracer.cli import mine_stability
from distributed_tracer.errors import ConfigError, PromptNotFound
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.graph.prune import prune
from distributed_tracer.mine.pruning_grid import Grid
from distributed_tracer.mine.stability import EDGE_THRESHOLDS, NODE_THRESHOLDS, PruningStability, pruning_stability
from distributed_tracer.store.reader import Store

GRID: dict[str, Any] = {"node_thresholds": (0.9, 0.3, 0.6, 1.0), "edge_thresholds": (0.5, 0.8, 1.0)}


def causal_graph(number: int) -> Graph:
    found = with_edges_upwards(random_graph(f"p{number}", seed=number, num_active=30, metadata={"n": number}))
    weight_E = np.nan_to_num(found.weight_E, nan=0.5)
    row_N = np.bincount(found.target_E(), np.abs(weight_E), len(found.nodes)).astype(np.float32)
    return replace(found, weight_E=weight_E, row_abs_sum_N=np.where(row_N > 0, row_N, np.nan).astype(np.float32))


GRAPHS = [causal_graph(number) for number in range(4)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(str(tmp_path_factory.mktemp("stability")), [GRAPHS[2], GRAPHS[0]], [GRAPHS[3], GRAPHS[1]])


@pytest.fixture(scope="module")
def found(store: Store) -> PruningStability:
    return pruning_stability(store, **GRID)


def labels(graph: Graph) -> tuple[set[str], set[tuple[str, str]]]:
    names = [graph.node_label(node) for node in range(len(graph.nodes))]
    return {*names}, {(names[source], names[target]) for source, target, _ in graph.edges()}


def test_every_setting_keeps_what_pruning_keeps(found: PruningStability) -> None:
    grid = list(Grid.of(**GRID))
    assert grid == sorted(grid)
    for graph in GRAPHS:
        nodes, edges = (
            [row for row in table.rows() if row["prompt"] == graph.prompt_id] for table in (found.nodes, found.edges)
        )
        settings = [row for row in found.settings.rows() if row["prompt"] == graph.prompt_id]
        for number, (thresholds, setting) in enumerate(zip(grid, settings, strict=True)):
            pruned = prune(graph, *thresholds)
            names, pairs = labels(pruned)
            assert {row["node"] for row in nodes if row["is_in"][number] == "1"} == names
            assert {(row["source"], row["target"]) for row in edges if row["is_in"][number] == "1"} == pairs
            assert (setting["node_threshold"], setting["edge_threshold"]) == thresholds
            assert (setting["nodes"], setting["edges"]) == (len(pruned.nodes), pruned.num_edges)
            for kind in NodeKind:
                assert setting[f"{kind.name.lower()}s"] == len(pruned.nodes.where(kind))
            whole = float(graph.influence_N.astype(float).sum())
            assert setting["influence"] == nearly(float(pruned.influence_N.astype(float).sum()) / whole, len(names))
        for row in [*nodes, *edges]:
            kept = [pair for pair, is_in in zip(grid, row["is_in"], strict=True) if is_in == "1"]
            assert row["settings"] == len(kept) > 0
            for place, name in enumerate(("node", "edge")):
                assert row[f"{name}_threshold_low"] == min(pair[place] for pair in kept)
                assert row[f"{name}_threshold_high"] == max(pair[place] for pair in kept)
            grows = all(
                larger in kept for pair in kept for larger in grid if larger[0] >= pair[0] and larger[1] >= pair[1]
            )
            assert row["returns"] == ("no" if grows else "yes")


def test_neighbouring_settings_share_what_their_graphs_share(found: PruningStability) -> None:
    graph, seen = GRAPHS[1], 0
    for row in found.steps.rows():
        if row["prompt"] != graph.prompt_id:
            continue
        one: tuple[set[Any], ...] = labels(prune(graph, row["node_threshold"], row["edge_threshold"]))
        other: tuple[set[Any], ...] = labels(prune(graph, row["next_node_threshold"], row["next_edge_threshold"]))
        for name, a, b in zip(("nodes", "edges"), one, other, strict=True):
            assert row[f"{name}_jaccard"] == (len(a & b) / len(a | b) if a | b else 1.0)
        grown = row[f"next_{row['grows']}"] > row[row["grows"]]
        assert grown
        seen += 1
    assert seen == 4 * 2 + 3 * 3


def test_scores_of_a_setting_are_those_of_the_pruned_graph_by_itself(found: PruningStability) -> None:
    """The replacement score by enumeration of all walks: what ends in tokens, and in errors."""
    for graph in GRAPHS:
        pruned = prune(graph, 0.6, 0.8)
        rows: dict[int, list[tuple[int, float]]] = {}
        for source, target, weight in pruned.edges():
            rows.setdefault(target, []).append((source, abs(weight)))
        ends = dict.fromkeys(NodeKind, 0.0)
        passing, from_errors = 0.0, 0.0

        def walk(node: int, mass: float, pruned: Graph = pruned, rows: Any = rows, ends: Any = ends) -> None:
            nonlocal passing, from_errors
            passing += mass
            kind = NodeKind(pruned.nodes.kind_N[node])
            if node not in rows:
                ends[kind] += mass
                return
            total = sum(size for _, size in rows[node])
            total += abs(float(np.nan_to_num(pruned.constant_N[node]))) if pruned.constant_node else 0.0
            for source, size in rows[node]:
                if pruned.nodes.kind_N[source] == NodeKind.ERROR:
                    from_errors += mass * size / total
                walk(source, mass * size / total)

        for node in pruned.nodes.where(NodeKind.TARGET).tolist():
            walk(node, float(pruned.target_weights_N()[node]))
        row = next(
            row
            for row in found.settings.rows()
            if (row["prompt"], row["node_threshold"], row["edge_threshold"]) == (graph.prompt_id, 0.6, 0.8)
        )
        tokens, errors = ends[NodeKind.TOKEN], ends[NodeKind.ERROR]
        assert row["replacement"] == nearly(tokens / (tokens + errors), 1_000)
        assert row["completeness"] == nearly(1 - from_errors / passing, 1_000)


def test_facts_count_what_is_stable_and_what_one_setting_alone_keeps(found: PruningStability) -> None:
    facts = found.facts
    assert (facts["prompts"], facts["settings"]) == (4, 12)
    assert facts["edges_stable"] == int((found.edges["settings"] == 12).sum())
    assert facts["edges_at_one_setting"] == int((found.edges["settings"] == 1).sum()) > 0
    assert facts["nodes_stable"] >= sum(len(graph.tokens_P) + len(graph.targets) for graph in GRAPHS)
    assert facts["features_any"] == int((found.nodes["kind"] == "feature").sum())
    assert "thresholds are shares of what the stored graphs have" in found.warnings[0]


def test_one_prompt_gives_its_rows_and_one_bad_graph_stops_no_other(store: Store, tmp_path: Path) -> None:
    alone = pruning_stability(store, "p3", **GRID)
    everything = pruning_stability(store, where="n>=3", **GRID)
    for name in ("settings", "steps", "nodes", "edges"):
        rows = [*getattr(alone, name).rows()]
        assert repr(rows) == repr([*getattr(everything, name).rows()])
        assert {row["prompt"] for row in rows} == {"p3"}
    unknown = replace(GRAPHS[0], prompt_id="unknown", influence_N=np.full_like(GRAPHS[0].influence_N, np.nan))
    mixed = make_store(str(tmp_path / "mixed"), [unknown, *GRAPHS[:2]])
    found = pruning_stability(mixed, **GRID)
    assert (found.facts["prompts"], found.facts["prompts_left_out"]) == (2, 1)
    assert "'unknown'" in found.warnings[-1]
    with pytest.raises(ConfigError, match="the graph of 'unknown' cannot be pruned"):
        pruning_stability(mixed, "unknown", **GRID)
    with pytest.raises(ConfigError, match="no graph can be pruned"):
        pruning_stability(mixed, where="id=unknown", **GRID)


def test_only_graphs_that_are_not_complete_come_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identity: dict[str, Any] = {"trace": {"keep_all": True}}
    monkeypatch.setattr(random_stores, "RUN_INFO", {"identity": identity, "versions": {}})
    assert pruning_stability(make_store(str(tmp_path / "complete"), GRAPHS[:1]), **GRID).warnings == ()
    identity["trace"] = {"keep_all": False, "node_threshold": 0.8, "edge_threshold": 0.98}
    pruned = pruning_stability(make_store(str(tmp_path / "pruned"), GRAPHS[:1]), **GRID)
    assert pruned.warnings[0].startswith("these are pruned graphs (node threshold 0.8, edge threshold 0.98)")


def test_wrong_settings_are_refused(store: Store) -> None:
    for thresholds in ((0.0,), (1.5,), ()):
        with pytest.raises(ConfigError, match="node"):
            pruning_stability(store, node_thresholds=thresholds)
        with pytest.raises(ConfigError, match="edge"):
            pruning_stability(store, edge_thresholds=thresholds)
    with pytest.raises(ConfigError, match=r"nodes and edges need about --memory-gb 0\.\d+, not 1e-05"):
        pruning_stability(store, memory_gb=1 / 100_000)
    with pytest.raises(PromptNotFound):
        pruning_stability(store, "p9")
    with pytest.raises(ConfigError, match="'p1' is not among the 1 prompt that meet"):
        pruning_stability(store, "p1", where="id=p3")


def test_the_command_has_the_default_thresholds_of_the_function() -> None:
    for text, thresholds in (
        (mine_stability.NODE_THRESHOLDS, NODE_THRESHOLDS),
        (mine_stability.EDGE_THRESHOLDS, EDGE_THRESHOLDS),
    ):
        assert tuple(map(float, text.split(","))) == thresholds
