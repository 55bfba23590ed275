"""Pictures of graphs: what they leave out is said, and long prompts fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from random_graphs import random_graph

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.plot.graph import draw_graph
from distributed_tracer.plot.style import check_picture, notes, save_figure


def plain(graph: Graph) -> Graph:
    """With weights that are numbers, and labels that every font has."""
    weights = np.nan_to_num(graph.weight_E)
    targets = tuple(replace(target, label="t") for target in graph.targets)
    return replace(graph, weight_E=weights, targets=targets, token_strings=("x",) * len(graph.tokens_P))


def test_what_is_left_out_is_said_below_the_picture() -> None:
    graph = plain(random_graph("p", seed=1, num_active=40))
    figure = draw_graph(graph, max_nodes=5, max_edges=7)
    inner = int((graph.nodes.kind_N < 2).sum())
    assert notes(figure) == [
        f"drawn are 5 of {inner} features and errors, the most influential; "
        f"7 of {graph.num_edges} edges, those that pass on most"
    ]
    assert len(figure.axes[0].collections[0].get_segments()) == 7
    pyplot.close(figure)


def test_nothing_is_said_where_nothing_is_left_out() -> None:
    figure = draw_graph(plain(random_graph("p", density=0.0)), max_nodes=1_000)
    assert notes(figure) == []
    pyplot.close(figure)


def test_a_long_prompt_and_a_deep_model_fit_into_a_picture() -> None:
    graph = plain(random_graph("p", num_positions=3_000, num_layers=120, num_active=50, density=1e-6, num_targets=1))
    figure = draw_graph(graph)
    assert max(figure.get_size_inches()) < 60
    ticks = len(figure.axes[0].get_xticks())
    assert ticks == 64
    assert notes(figure)[0].endswith("; 64 of 3,000 positions")
    assert np.isfinite(figure.axes[0].collections[1].get_offsets()).all()
    pyplot.close(figure)


@pytest.mark.parametrize("name", ["graph.json", "graph", "graph.jpg"])
def test_an_ending_that_is_no_pictures_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a picture's name ends in .png, .pdf or .svg, unlike "):
        save_figure(pyplot.figure(), str(tmp_path / name))
    pyplot.close("all")
    assert not any(tmp_path.iterdir())
    (tmp_path / "a.png").mkdir()
    with pytest.raises(ConfigError, match="is a directory"):
        check_picture(str(tmp_path / "a.png"))
