"""The picture of a consensus graph: its edges, names and labels, and what it says that it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from planted_graphs import planted_graph, random_edges
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.mine.consensus import ConsensusGraph, consensus_graph
from distributed_tracer.plot import style
from distributed_tracer.plot.consensus import draw_consensus
from distributed_tracer.store.reader import Store

HOSTILE = "forged\x1b[31m\n$x$ <b>"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    rng = np.random.default_rng(0)
    core, often = random_edges(rng, 12, first=100), random_edges(rng, 12, first=300)
    graphs = [
        planted_graph(
            f"p{n}", [0, n % 3], core | (often if n % 4 else {}) | random_edges(rng, 5), document=f"d{n // 2}"
        )
        for n in range(16)
    ]
    return make_store(str(tmp_path_factory.mktemp("consensus") / "store"), graphs)


@pytest.fixture(scope="module")
def found(store: Store) -> ConsensusGraph:
    return consensus_graph(store, cluster="document", within=1.0)


def lines_of(figure: Any) -> LineCollection:
    (lines,) = [own for own in figure.axes[0].collections if isinstance(own, LineCollection)]
    return lines


def test_every_edge_is_as_wide_as_its_frequency_and_joins_its_ends(found: ConsensusGraph) -> None:
    figure = draw_consensus(found.edges, found.nodes, found.facts, num_labels=1_000)
    is_in = found.edges.where(found.edges["status"] == "in")
    assert 0 < len(is_in) <= 80
    frequencies = sorted({*is_in["frequency"].tolist()})
    assert len(frequencies) > 1
    lines = lines_of(figure)
    widths = sorted({round(float(width), 6) for width in lines.get_linewidths()})
    assert widths == [round(0.3 + 2.2 * share**0.5, 6) for share in frequencies]
    raised = int((is_in["signed_share"] > 0).sum())
    colours = [to_hex(colour) for colour in lines.get_colors()]
    assert colours.count(style.POSITIVE) == raised
    assert colours.count(style.NEGATIVE) == len(is_in) - raised
    said = {text.get_text() for text in figure.axes[0].texts}
    features = {
        f"{row[f'{side}_layer']}:{row[f'{side}_feature']}"
        for row in is_in.rows()
        for side in ("source", "target")
        if row[f"{side}_kind"] == "feature"
    }
    assert features <= said
    for line in lines.get_segments():
        assert np.isfinite(line).all()
        assert line[0][1] < line[1][1], "edges lead upward"


def test_the_most_frequent_edges_are_drawn_and_the_rest_is_said(found: ConsensusGraph) -> None:
    figure = draw_consensus(found.edges, found.nodes, found.facts, max_edges=3)
    is_in = found.edges.where(found.edges["status"] == "in")
    assert len(lines_of(figure).get_segments()) == 3
    assert style.notes(figure)[0] == f"drawn are 3 of {len(is_in)} edges, the most frequent"
    assert "nodes of the graph without such edges are not drawn" in style.notes(figure)[1]
    widest = 0.3 + 2.2 * float(is_in["frequency"].max()) ** 0.5
    assert {round(float(width), 6) for width in lines_of(figure).get_linewidths()} == {round(widest, 6)}


def test_labels_are_shown_without_control_characters(found: ConsensusGraph) -> None:
    row = next(row for row in found.edges.rows() if row["status"] == "in" and row["source_kind"] == "feature")
    labels = Labels.of([(row["source_layer"], row["source_feature"], Label(HOSTILE, "x"))])
    figure = draw_consensus(found.edges, found.nodes, found.facts, labels=labels, num_labels=1_000)
    said = [text.get_text() for text in figure.axes[0].texts if "forged" in text.get_text()]
    assert said
    assert "\x1b" not in said[0]


def test_a_graph_without_edges_is_refused(found: ConsensusGraph) -> None:
    none = np.zeros(len(found.edges), dtype=bool)
    with pytest.raises(ConfigError, match="no edges to draw: a lower --threshold"):
        draw_consensus(found.edges.where(none), found.nodes, found.facts)


def test_the_command_draws_a_new_and_a_finished_result_and_refuses_other_files(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["mine", "consensus", store.url, "--out", str(tmp_path / "r"), "--cluster", "document"]
    assert main([*command, "--draw", str(tmp_path / "picture.txt")]) == 1
    assert not (tmp_path / "r").exists()
    for name in ("new.png", "finished.png"):
        assert main([*command, "--draw", str(tmp_path / name)]) == 0
        assert f"picture: {tmp_path / name}" in capsys.readouterr().out
    assert (tmp_path / "new.png").read_bytes() == (tmp_path / "finished.png").read_bytes()
