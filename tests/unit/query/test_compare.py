"""Two graphs compared: planted differences are found, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from random_graphs import AWKWARD, random_graph
from random_stores import make_store
from rounding import round_off

from distributed_tracer.cli.main import main
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.graph.nodes import NodeKind, NodeTable
from distributed_tracer.plot.compare import draw_comparison
from distributed_tracer.plot.style import notes
from distributed_tracer.query.compare import GraphComparison, aligned_positions, compare_graphs
from distributed_tracer.report.compare import comparison_summary, comparison_text


@pytest.fixture(scope="module")
def a() -> Graph:
    graph = random_graph("a", seed=5, num_active=30, num_positions=6)
    weight_E = np.nan_to_num(graph.weight_E)
    targets = tuple(replace(target, label=f"t{n}") for n, target in enumerate(graph.targets))
    return replace(graph, weight_E=weight_E, targets=targets, tokens_P=np.arange(100, 106, dtype=np.int32))


def with_nodes(graph: Graph, **columns: Any) -> Graph:
    names = ("kind_N", "layer_N", "position_N", "feature_N", "activation_N")
    return replace(graph, nodes=NodeTable(*(columns.get(name, getattr(graph.nodes, name)) for name in names)))


def later(graph: Graph, count: int) -> Graph:
    """The graph of the same prompt with `count` other tokens before it."""
    tokens_P = np.concatenate([np.arange(count, dtype=np.int32), graph.tokens_P])
    strings = (*("new",) * count, *graph.token_strings)
    moved = with_nodes(graph, position_N=(graph.nodes.position_N + count).astype(np.int32))
    return replace(moved, tokens_P=tokens_P, token_strings=strings, prompt_id="b")


def sides(found: GraphComparison, what: str) -> dict[str, int]:
    values, counts = np.unique(getattr(found, what)["in"].tolist(), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize(
    ("one", "other", "pairs"),
    [
        ([1, 2, 3, 4], [1, 9, 3, 4], [(0, 0), (1, 1), (2, 2), (3, 3)]),
        ([1, 10, 11, 2], [1, 12, 2], [(0, 0), (2, 1), (3, 2)]),
        ([1, 2], [7, 8, 9], [(0, 1), (1, 2)]),
        ([5, 1, 2], [1, 2, 6], [(1, 0), (2, 1)]),
        ([], [1], []),
    ],
)
def test_positions_are_aligned_by_equal_tokens_and_between_them_from_the_end(
    one: list[int], other: list[int], pairs: list[tuple[int, int]]
) -> None:
    assert aligned_positions(np.array(one), np.array(other)) == pairs


@pytest.mark.parametrize("case", sorted(AWKWARD.keys() - {"wide"}))
def test_a_graph_shares_everything_with_itself(case: str) -> None:
    graph = AWKWARD[case]
    found = compare_graphs(graph, graph)
    assert set(found.features["in"]) <= {"both"}
    assert len(found.edges) == graph.num_edges
    assert (found.feature_jaccard, found.feature_overlap, found.edge_jaccard, found.edge_overlap) == (1, 1, 1, 1)
    assert found.shared_a.tolist() == found.shared_b.tolist()
    assert sorted(found.shared_a.tolist()) == list(range(len(graph.nodes)))


def test_other_tokens_before_the_prompt_change_nothing_that_is_shared(a: Graph) -> None:
    found = compare_graphs(a, later(a, 3))
    assert found.positions == tuple((p, p + 3) for p in range(6))
    assert set(found.features["in"]) == set(found.edges["in"]) == {"both"}
    assert (found.features["position_b"] - found.features["position_a"] == 3).all()
    assert found.edges["weight_a"].tolist() == found.edges["weight_b"].tolist()


def test_planted_differences_are_found_and_nothing_else(a: Graph) -> None:
    b = later(a, 1)
    target_E = a.target_E()
    changed = int(a.nodes.where(NodeKind.FEATURE)[4])
    feature_N, weight_E, influence_N = b.nodes.feature_N.copy(), b.weight_E.copy(), b.influence_N.copy()
    feature_N[changed] = 5_000
    touched_E = (target_E == changed) | (a.source_E == changed)
    flipped = int(np.flatnonzero(~touched_E & (a.weight_E != 0))[2])
    weight_E[flipped] *= -1
    influence_N[7] = 0.0
    targets = (replace(b.targets[0], token_id=b.targets[0].token_id + 1), *b.targets[1:])
    b = replace(with_nodes(b, feature_N=feature_N), weight_E=weight_E, influence_N=influence_N, targets=targets)
    answer = int(a.nodes.where(NodeKind.TARGET)[0])
    own_E = touched_E | (target_E == answer) | (a.source_E == answer)
    found = compare_graphs(a, b)
    num_features = len(a.nodes.where(NodeKind.FEATURE))
    assert sides(found, "features") == {"a": 1, "b": 1, "both": num_features - 1}
    assert sides(found, "edges") == {side: int(own_E.sum()) for side in "ab"} | {"both": int((~own_E).sum())}
    assert found.feature_jaccard == (num_features - 1) / (num_features + 1)
    (own,) = (row for row in found.features.rows() if row["in"] == "b")
    assert own["feature"] == 5_000
    assert (own["position_a"], own["influence_a"], own["activation_a"]) == (-1, 0, 0)
    assert not own["elsewhere"]
    other = [row for row in found.edges.rows() if row["in"] == "both" and row["weight_a"] != row["weight_b"]]
    assert [(row["source"], row["target"]) for row in other] == [
        (a.node_label(int(a.source_E[flipped])), a.node_label(int(target_E[flipped])))
    ]
    assert other[0]["weight_b"] == -other[0]["weight_a"]
    assert set(found.shared_a.tolist()) == set(range(len(a.nodes))) - {changed, answer}
    assert_overlaps_by_slow_counting(found)


def assert_overlaps_by_slow_counting(found: GraphComparison) -> None:
    pairs = [(row["influence_a"], row["influence_b"]) for row in found.features.rows()]
    true = sum(map(min, pairs)) / sum(map(max, pairs))
    assert found.feature_overlap == pytest.approx(true, abs=round_off(torch.float64, 2 * len(pairs)))
    smaller = larger = 0.0
    for row in found.edges.rows():
        if row["weight_a"] * row["weight_b"] < 0:
            larger += row["passed_a"] + row["passed_b"]
        else:
            smaller += min(row["passed_a"], row["passed_b"])
            larger += max(row["passed_a"], row["passed_b"])
    tolerance = round_off(torch.float64, 2 * len(found.edges))
    assert found.edge_overlap == pytest.approx(smaller / larger, abs=tolerance)


def test_what_is_not_known_of_an_imported_graph_is_unknown_and_no_number(a: Graph) -> None:
    unknown = np.full(len(a.nodes), np.nan, dtype=np.float32)
    scores = replace(a.scores, replacement=float("nan"), completeness=float("nan"))
    targets = tuple(replace(target, weight=float("nan")) for target in a.targets)
    b = replace(a, influence_N=unknown, row_abs_sum_N=unknown, scores=scores, targets=targets)
    found = compare_graphs(a, b)
    assert (found.feature_jaccard, found.edge_jaccard) == (1, 1)
    assert np.isnan([found.feature_overlap, found.edge_overlap, *found.features["influence_b"]]).all()
    text = comparison_text(comparison_summary(found, 2))
    assert "overlap of influence unknown" in text
    assert "replacement unknown, completeness unknown" in text
    assert "'t0' unknown" in text


def test_a_feature_at_another_position_is_not_shared_but_said_to_be_elsewhere(a: Graph) -> None:
    position_N = a.nodes.position_N.copy()
    place = int(np.flatnonzero(position_N[: len(a.nodes.where(NodeKind.FEATURE))] < 5)[-1])
    site = (a.nodes.layer_N[place], a.nodes.feature_N[place])
    position_N[place] += 1
    found = compare_graphs(a, with_nodes(a, position_N=position_N))
    moved = [row for row in found.features.rows() if row["elsewhere"]]
    assert {(row["in"], row["layer"], row["feature"]) for row in moved} >= {("a", *site), ("b", *site)}


def test_the_report_is_json_and_text_with_labels_and_without_control_characters(a: Graph) -> None:
    evil = replace(a, prompt_id="b\x1b[2J", text="\x1b]0;x\x07", token_strings=("\x1b",) * 6)
    first = next(iter(compare_graphs(a, evil).features.rows()))
    labels = Labels.of([(first["layer"], first["feature"], Label("says \x1b things", "me"))])
    summary = comparison_summary(compare_graphs(a, evil), 3, labels)
    assert json.loads(json.dumps(summary))["num_features"]["both"] == len(a.nodes.where(NodeKind.FEATURE))
    assert summary["features"]["both"][0]["label"] == r"'says \x1b things'"
    text = comparison_text(summary)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "says" in text
    assert "Jaccard 1.000" in text
    assert "positions: 6 of 6 in a and of 6 in b are aligned" in text


def test_the_picture_has_a_colour_for_what_is_shared_and_for_what_each_has_alone(a: Graph) -> None:
    b = later(a, 1)
    feature_N = b.nodes.feature_N.copy()
    features = a.nodes.where(NodeKind.FEATURE)
    feature_N[features[:10]] += 2_000
    figure = draw_comparison(replace(a, text="x"), replace(with_nodes(b, feature_N=feature_N), text="y"), max_nodes=99)
    for axes, own in zip(figure.axes, ("#b7791f", "#be185d"), strict=True):
        colours = [to_hex(colour) for colour in axes.collections[1].get_facecolors()]
        assert (colours.count(own), colours.count("#1f4e79")) == (10, len(features) - 10)
    assert notes(figure)[0].startswith("features: ")


def test_the_command_prints_the_comparison_and_draws_it(
    a: Graph, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_store(str(tmp_path / "s"), [a, later(a, 2)])
    command = ["compare", str(tmp_path / "s"), "a", "b"]
    assert main([*command, "--top", "2", "--out", str(tmp_path / "c.svg")]) == 0
    out = capsys.readouterr().out
    assert "features shared by both" in out
    assert str(tmp_path / "c.svg") in out
    assert (tmp_path / "c.svg").stat().st_size > 1_000
    assert main([*command, "--json", "--top", "1", "--out", str(tmp_path / "d.png")]) == 0
    assert len(json.loads(capsys.readouterr().out)["edges"]["both"]) == 1
    assert main(["compare", str(tmp_path / "s"), "a", "c"]) == 1
    assert "no prompt 'c'" in capsys.readouterr().err
    assert main([*command, "--out", "c.jpg"]) == 1
