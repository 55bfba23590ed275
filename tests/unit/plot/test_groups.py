"""Pictures whose features have the colours of their groups."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colours import contrast, least_difference
from community_results import HOSTILE, Chosen, write_communities
from matplotlib.colors import to_hex
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.graph.context import Group
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.node_keys import node_keys
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.plot.graph import draw_graph
from distributed_tracer.plot.groups import COLOURS, NONE, NUM_LOOKS, looks_of
from distributed_tracer.plot.style import notes


def graph_of(num_active: int) -> Graph:
    graph = random_graph("p", seed=3, num_active=num_active)
    return replace(graph, influence_N=np.arange(len(graph.nodes), 0, -1, dtype=np.float32))


def groups_of_one(graph: Graph, count: int) -> list[Group]:
    keys = node_keys(graph)
    return [Group(f"g{place}", (keys[place],)) for place in range(count)]


def legend(figure: Any) -> dict[str, tuple[str, str]]:
    """Names in the legend, with their colours and markers."""
    (box,) = figure.legends
    texts = [text.get_text() for text in box.get_texts()]
    return {
        name: (to_hex(line.get_color()), str(line.get_marker()))
        for name, line in zip(texts, box.legend_handles, strict=True)
    }


def test_colours_are_seen_on_paper_and_by_colour_blind_readers() -> None:
    assert min(contrast(colour, "#ffffff") for colour in (*COLOURS, NONE)) >= 3
    distance, which = least_difference((*COLOURS, NONE))
    assert distance > 20, which


def test_features_have_the_colours_of_their_groups() -> None:
    graph = graph_of(12)
    first, second, *_ = node_keys(graph)
    weak = [key for key in node_keys(graph) if key.kind == "feature"][2:4]
    figure = draw_graph(graph, groups=[Group("weak", tuple(weak)), Group("strong", (first, second))], max_nodes=99)
    found = legend(figure)
    assert found["strong"] == (COLOURS[0], "o")
    assert found["weak"] == (COLOURS[1], "o")
    assert found["features without a group"] == (NONE, "o")
    assert "features" not in found
    features = figure.axes[0].collections[1]
    wanted = [COLOURS[0]] * 2 + [COLOURS[1]] * 2 + [NONE] * (len(features.get_offsets()) - 4)
    assert [to_hex(colour) for colour in features.get_facecolors()] == wanted
    assert notes(figure) == notes(draw_graph(graph, max_nodes=99))


def test_more_groups_than_colours_have_other_markers_and_then_repeat() -> None:
    graph = graph_of(40)
    features = graph.nodes.where(NodeKind.FEATURE)
    assert len(features) > NUM_LOOKS
    looks = looks_of(graph, groups_of_one(graph, NUM_LOOKS + 1), features)
    kinds = [look for _, look in looks.entries[:-1]]
    assert [name for name, _ in looks.entries] == [f"g{n}" for n in range(NUM_LOOKS + 1)] + ["features without a group"]
    assert len(set(kinds)) == NUM_LOOKS
    assert [look.colour for look in kinds] == [*COLOURS, *COLOURS, *COLOURS, COLOURS[0]]
    assert kinds[-1] == kinds[0]
    assert looks.notes == ["colours and markers repeat after the 18 most influential of 19 groups"]
    figure = draw_graph(graph, groups=groups_of_one(graph, NUM_LOOKS), max_nodes=99)
    assert [line for line in notes(figure) if "repeat" in line] == []
    assert len({marker for _, marker in legend(figure).values()} & {"o", "^", "v"}) == 3


def test_a_picture_without_any_member_says_so() -> None:
    graph = graph_of(5)
    absent = node_keys(graph)[0]._replace(feature=9_999)
    figure = draw_graph(graph, groups=[Group("elsewhere", (absent,))])
    assert "no feature that is drawn has a group" in notes(figure)
    assert "elsewhere" not in legend(figure)


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_command_colours_communities_of_a_result(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow")
    graph = graph_of(12)
    store = make_store(str(tmp_path / "store"), [graph])
    sites = [(key.layer, key.feature) for key in node_keys(graph) if key.kind == "feature"]
    chosen = [Chosen(0, HOSTILE, sites[:4]), Chosen(1, "weak", sites[:2], "unstable")]
    write_communities(store, tmp_path / "roles", chosen)
    draw = ["draw", str(tmp_path / "store"), "--prompt", "p", "--out"]
    plain, coloured, fine = (tmp_path / f"{name}.{ending}" for name in ("plain", "coloured", "fine"))
    assert main([*draw, str(plain)]) == 0
    communities = ["--communities", str(tmp_path / "roles")]
    assert main([*draw, str(coloured), *communities]) == 0
    assert "\x1b" not in capsys.readouterr().out
    assert main([*draw, str(fine), *communities, "--level", "1", "--every-community"]) == 0
    assert len({path.read_bytes() for path in (plain, coloured, fine)}) == 3
    if ending == "svg":
        assert COLOURS[0] in coloured.read_text("utf-8")
        assert "<img" not in coloured.read_text("utf-8")
    for flags, says in (
        ([*communities, "--level", "1"], "none of them is significant, and every one counts only"),
        (["--level", "1"], "name it with --communities"),
        (["--communities", str(tmp_path)], "there is no result of mining"),
    ):
        assert main([*draw, str(tmp_path / f"x.{ending}"), *flags]) == 1
        assert says in capsys.readouterr().err


def test_exported_pages_and_drawings_have_the_same_colours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    graph = graph_of(12)
    store = make_store(str(tmp_path / "store"), [graph])
    sites = [(key.layer, key.feature) for key in node_keys(graph) if key.kind == "feature"]
    result = str(write_communities(store, tmp_path / "roles", [Chosen(0, "a", sites[:4])]).path)
    export = ["export", store.url, "--prompt", "p", "--communities", result, "--out"]
    assert main([*export, str(tmp_path / "g.svg")]) == 0
    draw = ["draw", store.url, "--prompt", "p", "--communities", result, "--out", str(tmp_path / "d.svg")]
    assert main(draw) == 0
    assert (tmp_path / "g.svg").read_bytes() == (tmp_path / "d.svg").read_bytes()
    assert main([*export, str(tmp_path / "g.html")]) == 0
    assert '"communities": [{"name": "role 0: a", "members": [0, 1, 2, 3]}]' in (tmp_path / "g.html").read_text("utf-8")
    capsys.readouterr()
    assert main([*export, str(tmp_path / "g.npz")]) == 1
    assert "colours one graph as html, svg, png" in capsys.readouterr().err
