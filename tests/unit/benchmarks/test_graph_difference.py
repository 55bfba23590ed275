"""graph_difference: what is compared, and that it notices what differs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rounding import nearly

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

from graph_difference import graph_difference

LAYERS, POSITIONS = 2, 3
MIDDLE = (LAYERS + 1) * POSITIONS


def a_graph(selected: list[int], targets: list[int]) -> dict[str, Any]:
    """Six active features; the edge from node c into node r is a function of what r and c are, not of where."""
    active = np.array([[0, 1, 4], [0, 1, 9], [0, 2, 4], [1, 1, 0], [1, 2, 4], [1, 2, 7]])
    names = np.array([*selected, *range(10, 10 + MIDDLE), *(100 + np.array(targets))])
    rows = np.isin(names, np.r_[0:6, 100:200])[:, None]
    return {
        "active_features": active,
        "selected_features": np.array(selected),
        "target_ids": np.array(targets),
        "adjacency": np.where(rows, np.sin(np.outer(names + 1.0, names + 2.0)), 0.0),
    }


def test_a_graph_equals_itself_in_another_order_of_targets() -> None:
    found = graph_difference(a_graph([0, 2, 5], [7, 8]), a_graph([0, 2, 5], [8, 7]))
    assert (found.features_in_common, found.targets_in_common, found.largest) == (1.0, 1.0, 0.0)


def test_only_common_nodes_are_compared() -> None:
    found = graph_difference(a_graph([0, 2, 3, 5], [7, 8]), a_graph([0, 1, 2, 5], [8, 9]))
    assert (found.features_in_common, found.targets_in_common, found.largest) == (0.75, 0.5, 0.0)


@pytest.mark.parametrize(("row", "column"), [(0, 1), (2, 3), (1, 3 + MIDDLE - 1), (3 + MIDDLE, 0), (4 + MIDDLE, 5)])
def test_one_other_edge_is_noticed(row: int, column: int) -> None:
    graph, other = a_graph([0, 2, 5], [7, 8]), a_graph([0, 2, 5], [7, 8])
    other["adjacency"][row, column] += 0.25
    found = graph_difference(graph, other)
    assert found.largest == nearly(0.25 / np.abs(graph["adjacency"]).max(), 2, magnitude=1.0)


def test_graphs_of_other_prompts_are_refused() -> None:
    other = a_graph([0, 2, 5], [7])
    other["adjacency"] = other["adjacency"][:-1, :-1]
    with pytest.raises(ValueError, match="9 in one graph, 8 in the other"):
        graph_difference(a_graph([0, 2, 5], [7]), other)


def test_what_runs_in_the_peers_environment_needs_none_of_ours() -> None:
    block = "import sys; sys.modules['distributed_tracer'] = None; import graph_difference, peer_run"
    subprocess.run([sys.executable, "-c", block], check=True, cwd=Path(__file__).parents[3] / "benchmarks", timeout=120)
