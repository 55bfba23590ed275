"""The drawing as SVG and PNG: texts from outside are no markup, and what is left out is said."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from random_graphs import random_graph

from distributed_tracer.errors import ConfigError
from distributed_tracer.export.formats import export_graph
from distributed_tracer.graph.context import GraphContext
from distributed_tracer.graph.labels import Label, Labels

EVIL = "--></text><script>alert(1)</script>]]>&<!--"


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_hostile_texts_are_no_markup_and_what_is_left_out_is_said(ending: str, tmp_path: Path) -> None:
    graph = random_graph(EVIL, text=EVIL)
    graph = replace(graph, token_strings=(EVIL,) * 5, targets=tuple(replace(t, label=EVIL) for t in graph.targets))
    rows = [(layer, feature, Label(EVIL, EVIL)) for layer in range(3) for feature in range(1000)]
    path = tmp_path / f"g.{ending}"
    notes = export_graph(graph, path, context=GraphContext(labels=Labels.of(rows)))
    assert notes == [f"drawn are 160 of {graph.num_edges} edges, those that pass on most"]
    if ending == "png":
        assert path.read_bytes().startswith(b"\x89PNG")
        return
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
    assert {"svg", "path"} <= tags
    assert not tags & {"script", "foreignObject", "text", "image", "a"}


def test_pictures_without_matplotlib_are_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match="pictures need matplotlib"):
        export_graph(random_graph("p"), tmp_path / "g.svg")
    assert not any(tmp_path.iterdir())
