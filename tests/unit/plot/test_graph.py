"""Pictures of graphs: what they leave out is said, and long prompts fit."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from random_graphs import AWKWARD, random_graph
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.plot import panel
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


def test_nothing_is_said_where_nothing_is_left_out() -> None:
    figure = draw_graph(plain(random_graph("p", density=0.0)), max_nodes=1_000)
    assert notes(figure) == []


def test_a_long_prompt_and_a_deep_model_fit_into_a_picture() -> None:
    graph = plain(random_graph("p", num_positions=3_000, num_layers=120, num_active=50, density=1e-6, num_targets=1))
    figure = draw_graph(graph)
    assert max(figure.get_size_inches()) < 60
    ticks = len(figure.axes[0].get_xticks())
    assert ticks == 64
    assert notes(figure)[0].endswith("; 64 of 3,000 positions")
    assert notes(figure)[1].startswith("folded are layers without drawn nodes: ")
    places = np.concatenate([nodes.get_offsets() for nodes in figure.axes[0].collections[1:]])
    assert len(places) > 60
    assert np.isfinite(places).all()


@pytest.mark.parametrize("name", ["graph.json", "graph", "graph.jpg"])
def test_an_ending_that_is_no_pictures_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a picture's name ends in .png, .pdf or .svg, unlike "):
        save_figure(pyplot.figure(), str(tmp_path / name))
    pyplot.close("all")
    assert not any(tmp_path.iterdir())
    (tmp_path / "a.png").mkdir()
    with pytest.raises(ConfigError, match="is a directory"):
        check_picture(str(tmp_path / "a.png"))


def texts_of(figure: Any) -> dict[str, Any]:
    """Every text that is visible in a picture, with its place in pixels."""
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    ticks = [*axes.get_xticklabels(), *axes.get_yticklabels()]
    found = [*axes.texts, *figure.texts, *figure.legends[0].get_texts(), *ticks]
    return {f"{number} {text.get_text()}": text for number, text in enumerate(found) if text.get_text().strip()}


LABELLED = Labels.of([(layer, f, Label("says a thing of some length", "x")) for layer in range(3) for f in range(1000)])


@pytest.mark.parametrize("size", ["column", "page", "screen"])
@pytest.mark.parametrize("case", ["plain", "unicode", "without edges", "many", "long"])
def test_no_text_overlaps_another_or_is_cut_off_and_none_is_too_small_to_print(case: str, size: str) -> None:
    many = random_graph("p", num_active=200, num_positions=9, num_targets=4)
    long = random_graph("p", num_active=60, num_positions=40)
    graph = plain({**AWKWARD, "many": many, "long": long}[case])
    graph = replace(
        graph, token_strings=tuple(f" token{n}" for n in range(len(graph.tokens_P))), text="A $x$ of text " * 9
    )
    figure = draw_graph(graph, size=size, labels=LABELLED)
    texts = texts_of(figure)
    assert min(text.get_fontsize() for text in texts.values()) >= 6
    width, height = figure.get_size_inches() * figure.dpi
    if size != "screen":
        assert round(figure.get_size_inches()[0], 3) == {"column": 3.3, "page": 7.0}[size]
    boxes = {}
    for name, text in texts.items():
        box = text.get_window_extent()
        assert box.x0 >= -1, name
        assert box.y0 >= -1, name
        assert box.x1 <= width + 1, name
        assert box.y1 <= height + 1, name
        if text.get_rotation() != 45:  # the box of a slanted text is larger than the text
            boxes[name] = box.padded(-1)
    for (one, box), (other, its) in itertools.combinations(boxes.items(), 2):
        assert not box.overlaps(its), f"{one} and {other}"


@pytest.mark.parametrize("size", ["column", "page"])
def test_wide_names_of_the_first_tokens_do_not_widen_the_picture(size: str) -> None:
    graph = replace(plain(random_graph("p", num_positions=12)), token_strings=("W" * 30,) * 12)
    figure = draw_graph(graph, size=size)
    assert round(figure.get_size_inches()[0], 3) == {"column": 3.3, "page": 7.0}[size]
    assert min(text.get_window_extent().x0 for text in texts_of(figure).values()) >= -1


def test_layers_without_drawn_nodes_are_folded_and_said() -> None:
    graph = plain(random_graph("p", num_layers=12, num_active=8, density=0.5))
    figure = draw_graph(graph, max_nodes=2)
    shown = {
        int(graph.nodes.layer_N[n]) for n in np.argsort(-np.where(graph.nodes.kind_N < 2, graph.influence_N, -1))[:2]
    }
    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert {name for name in names if name.startswith("layer")} == {f"layer {layer}" for layer in shown}
    folded = ", ".join(name.removeprefix("⋮ ") for name in names if name.startswith("⋮"))
    assert notes(figure)[1] == f"folded are layers without drawn nodes: {folded}"
    assert len(names) < 8


def test_a_graph_whose_influence_is_not_known_is_drawn_and_says_so() -> None:
    graph = plain(random_graph("p", num_active=40))
    unknown = np.full(len(graph.nodes), np.nan, dtype=np.float32)
    scores = replace(graph.scores, replacement=float("nan"), completeness=float("nan"))
    targets = tuple(replace(target, weight=float("nan")) for target in graph.targets)
    graph = replace(graph, influence_N=unknown, row_abs_sum_N=unknown, scores=scores, targets=targets)
    figure = draw_graph(graph, max_nodes=9, max_edges=7)
    assert "9 of" in notes(figure)[0]
    assert "features and errors, whose influence is not known; 7 of" in notes(figure)[0]
    assert not any("nan" in text.get_text() for text in texts_of(figure).values())
    areas = np.concatenate([nodes.get_sizes() for nodes in figure.axes[0].collections[1:]])
    assert len(set(areas.tolist())) == 1, "all nodes count the same"


def test_chosen_layers_alone_are_drawn() -> None:
    graph = plain(random_graph("p", num_layers=6, num_active=60))
    for layers in (range(2, 4), slice(2, 4), [3, 2]):
        figure = draw_graph(graph, layers=layers, max_nodes=1_000, max_edges=100_000)
        names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        assert names == ["tokens", "layer 2", "layer 3", "targets"]
        assert "2 of 6 layers, from 2" in notes(figure)[0]
    for wrong in (range(4, 9), [1, 3], [], range(0, 4, 2), ["a"]):
        with pytest.raises(ConfigError, match="layer"):
            draw_graph(graph, layers=wrong)  # type: ignore[arg-type]


def test_labels_that_were_asked_for_and_do_not_fit_are_counted() -> None:
    graph = plain(random_graph("p", num_active=40, num_positions=12))
    figure = draw_graph(graph, size="column", max_nodes=60, num_labels=40, labels=LABELLED)
    named = [text for text in figure.axes[0].texts if "says a thing" in text.get_text()]
    assert len(named) < 40
    assert notes(figure)[-1] == f"only {len(named)} of the 40 most influential features have room for a label"


def test_what_a_picture_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = plain(random_graph("p"))
    with pytest.raises(ConfigError, match=r"a size or a width: give 'page' or 3\.0, not both"):
        draw_graph(graph, size="page", width=3.0)
    with pytest.raises(ConfigError, match="no size of a picture 'pag'; there are column, page, screen"):
        draw_graph(graph, size="pag")
    with pytest.raises(ConfigError, match=r"is 2\.5 to 60 inches wide, not 0\.5"):
        draw_graph(graph, width=0.5)
    with pytest.raises(ConfigError, match="max_edges must not be negative, not -1"):
        draw_graph(graph, max_edges=-1)
    monkeypatch.setattr(panel, "_TALLEST", 5.0)
    with pytest.raises(
        ConfigError, match=r"would be \d+ inches tall, and at most 5 can be printed: draw fewer nodes than 400"
    ):
        draw_graph(plain(random_graph("p", num_active=400)), max_nodes=400, width=2.5)


def test_drawing_changes_no_setting_of_matplotlib() -> None:
    before = dict(matplotlib.rcParams)
    figure = draw_graph(plain(random_graph("p")))
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_the_same_graph_gives_the_same_bytes(tmp_path: Path) -> None:
    for ending in ("svg", "pdf", "png"):
        for name in ("a", "b"):
            save_figure(draw_graph(plain(random_graph("p"))), str(tmp_path / f"{name}.{ending}"))
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


def test_the_command_draws_with_these_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_store(str(tmp_path / "s"), [plain(random_graph("p", num_layers=4))])
    command = ["draw", str(tmp_path / "s"), "--prompt", "p", "--out", str(tmp_path / "a.png")]
    options = ["--layers", "1:3", "--top", "4", "--edges", "5", "--labels", "2", "--size", "column"]
    assert main([*command, *options]) == 0
    assert "drawn are 4 of" in capsys.readouterr().out
    for wrong, said in (
        (["--layers", "3:1"], "layers 3:1 are not a part of the 4 layers"),
        (["--layers", "a"], "--layers is FIRST:END"),
        (["--layers", ":"], "--layers is FIRST:END"),
        (["--top", "-1"], "--top must not be negative"),
        (["--size", "page", "--width", "3"], "not both"),
        (["--width", "nan"], "the width of a picture"),
    ):
        assert main([*command, *wrong]) == 1
        assert said in capsys.readouterr().err
    assert main(["draw", str(tmp_path / "s"), "--out", str(tmp_path / "a.png"), "--top", "3"]) == 1
    assert "--top say how one graph is drawn: name it with --prompt" in capsys.readouterr().err
