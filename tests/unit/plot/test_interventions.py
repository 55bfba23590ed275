from __future__ import annotations

import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.plot.interventions import draw_interventions
from distributed_tracer.plot.style import notes, save_figure
from distributed_tracer.report.interventions import with_labels


def supernode(name: str, layer: int | None, position: int | str = 9, **changed: Any) -> dict[str, Any]:
    features = [] if layer is None else [[layer, position, 5]]
    found = {"name": name, "features": features, "children": [], "set": None, "replaces": None}
    return {**found, "before": 1.0, "after": 0.9, **changed}


SUMMARY = {
    "prompt": "Fact: the capital of Dallas$ is\n",
    "supernodes": [
        supernode("say a capital", 2, after=0.1),
        supernode("answer", None, before=None, after=None),
        supernode("Texas", 1, children=["say a capital", "answer"], set="×0", after=0.0),
        supernode("capital", 1, "4:", children=["say a capital"]),
        supernode("California", 1, set="×2", replaces="Texas", children=["elsewhere"], after=2.0),
    ],
    "next_tokens": [
        {"token": " Sacra\x1bmento", "before": 0.0, "after": 0.97},
        {"token": "été", "before": 0.1, "after": 0.0},
    ],
}


def texts(figure: Any) -> dict[str, tuple[float, float]]:
    """All that stands in the circuit, with its place."""
    return {text.get_text(): text.get_position() for text in figure.axes[0].texts if text.get_text()}


def test_layers_go_up_positions_to_the_right_and_labels_are_on_top() -> None:
    figure = draw_interventions(SUMMARY)
    at = texts(figure)
    assert at["Texas"][1] == at["capital"][1] == at["California"][1] < at["say a capital"][1] < at["answer"][1]
    assert at["capital"][0] < at["Texas"][0] < at["California"][0]
    assert {"0%", "10%", "90%", "200%", "×0", "×2"} <= at.keys()
    assert all(c.isprintable() for label in figure.axes[1].get_yticklabels() for c in label.get_text())


def test_labels_of_features_are_in_the_boxes() -> None:
    hostile = "\x1b[2Jstate $x$\u202e"
    labels = Labels.of([(1, 5, Label("a state", "me")), (2, 5, Label(hostile, "me"))])
    figure = draw_interventions(with_labels(SUMMARY, labels))
    at = texts(figure)
    assert at["'a state'"][0] == at["California"][0]
    (said,) = [text for text in at if "state $x$" in text or "x1b" in text]
    assert said.isprintable()
    assert "'a state'" not in texts(draw_interventions(SUMMARY))


def test_what_is_swapped_in_takes_over_the_lines() -> None:
    figure = draw_interventions(SUMMARY)
    at = texts(figure)
    arrows = [note for note in figure.axes[0].texts if not note.get_text()]
    starts = sorted(round(note.xyann[0], 3) for note in arrows)
    assert starts == sorted(round(at[name][0], 3) for name in ("capital", "California", "California"))


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_pictures_are_written(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture.{ending}"
    for summary in (SUMMARY, {**SUMMARY, "supernodes": []}):
        save_figure(draw_interventions(summary), str(path))
        if ending == "svg":
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
        else:
            width, height = struct.unpack(">II", path.read_bytes()[16:24])
            assert min(width, height) > 300


def test_of_hundreds_of_supernodes_those_that_were_set_and_the_first_are_drawn() -> None:
    many = [supernode(f"s{i}", 3, children=[f"s{(i + 1) % 352}"]) for i in range(352)]
    many[300]["set"] = "×0"
    figure = draw_interventions({**SUMMARY, "supernodes": many})
    at = texts(figure)
    assert [f"s{i}" in at for i in (0, 22, 23, 300, 351)] == [True, True, False, True, False]
    assert len({at[f"s{i}"][1] for i in range(23)}) == 4, "six in a row"
    assert notes(figure)[0] == "drawn are 24 of 352 supernodes"
    assert max(figure.get_size_inches()) * figure.dpi < 4_000
