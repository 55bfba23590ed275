"""Every format that keeps a graph, read back with the tools that it is for."""

from __future__ import annotations

import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import networkx
import numpy as np
import pytest
from pyarrow import parquet
from random_graphs import AWKWARD, finite, random_graph
from random_stores import make_store

from distributed_tracer.cli.exchange import ExportFormat
from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError
from distributed_tracer.export.formats import FORMATS, check_export, export_graph
from distributed_tracer.graph.context import GraphContext
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.graph.nodes import NodeKind

GRAPHS = {name: graph for name, graph in AWKWARD.items() if name != "wide"}
HOSTILE = (
    "\"quoted\" & 'single' <b>",
    "]]> <!-- -- > <![CDATA[x]]>",
    "\x00\x01\x1b[2J\x7f\x85",
    "halves \udc00\ud83d \ufffe\uffff",
    " a\r\nb\tc\r ",
)
SIZES = np.finfo(np.float32)
HARD_WEIGHTS = np.array([0.1, 1 / 3, SIZES.smallest_subnormal, SIZES.min, np.inf, -np.inf, -0.0], dtype=np.float32)


@pytest.fixture(scope="module")
def hostile() -> Graph:
    """A graph with texts that break formats, and weights that are hard to write."""
    graph = random_graph("]]>\"'&<\x00\ud800", text="".join(HOSTILE), metadata={HOSTILE[3]: [HOSTILE[2], float("nan")]})
    targets = tuple(replace(target, label=label) for target, label in zip(graph.targets, HOSTILE, strict=False))
    weight_E = np.resize(HARD_WEIGHTS, graph.num_edges)
    return replace(graph, token_strings=HOSTILE, targets=targets, weight_E=weight_E)


XML_CHARACTERS = (range(9, 11), range(13, 14), range(0x20, 0xD800), range(0xE000, 0xFFFE), range(0x10000, 0x110000))
"""Production 2 of XML 1.0."""


def for_xml(text: str) -> str:
    """The text as XML can hold it."""
    return "".join(c if any(ord(c) in allowed for allowed in XML_CHARACTERS) else "\ufffd" for c in text)


def bits(weights: list[float]) -> bytes:
    return np.array(weights, dtype=np.float32).tobytes()


def read_graphml(path: Path) -> networkx.DiGraph:
    return networkx.read_graphml(path, node_type=int)


def assert_same_numbers(found: networkx.DiGraph, graph: Graph) -> None:
    """Nodes, edges and their numbers, in order and bit for bit."""
    true = graph.to_networkx()
    assert type(found) is networkx.DiGraph
    assert list(found) == list(true)
    assert found.number_of_edges() == true.number_of_edges()
    for edge in true.edges:
        assert repr(found.edges[edge]["weight"]) == repr(true.edges[edge]["weight"])
    for name in ("layer", "position", "feature", "activation", "influence", "kind"):
        assert repr(dict(found.nodes(data=name))) == repr(dict(true.nodes(data=name))), name


@pytest.mark.parametrize("case", [*GRAPHS, "hostile"])
def test_graphml_holds_all_that_networkx_holds(case: str, hostile: Graph, tmp_path: Path) -> None:
    graph = GRAPHS.get(case, hostile)
    notes = export_graph(graph, tmp_path / "g.graphml")
    found = read_graphml(tmp_path / "g.graphml")
    assert_same_numbers(found, graph)
    for node, values in enumerate(graph.node_attributes()):
        assert found.nodes[node]["token"] == for_xml(values["token"])
        assert found.nodes[node]["label"] == for_xml(values["label"])
    assert found.graph["prompt"] == for_xml(graph.prompt_id)
    assert ("text" in found.graph) == (graph.text is not None)
    assert found.graph.get("text", "") == for_xml(graph.text or "")
    assert json.loads(found.graph["tokens"]) == graph.tokens_P.tolist()
    assert json.loads(found.graph["token_strings"]) == list(graph.token_strings)
    assert repr(json.loads(found.graph["targets"])) == repr([asdict(target) for target in graph.targets])
    assert json.loads(found.graph["scores"]) == json.loads(json.dumps(asdict(graph.scores)))
    texts = [graph.prompt_id, graph.text or "", *(v for row in graph.node_attributes() for v in row.values())]
    replaced = sum(a != b for text in texts if isinstance(text, str) for a, b in zip(text, for_xml(text), strict=True))
    assert notes == ([f"{replaced} characters that XML forbids replaced by U+FFFD"] if replaced else [])


def test_graphml_declares_every_key_once_and_uses_no_other(hostile: Graph, tmp_path: Path) -> None:
    export_graph(hostile, tmp_path / "g.graphml")
    space = "{http://graphml.graphdrawing.org/xmlns}"
    root = ElementTree.parse(tmp_path / "g.graphml").getroot()
    keys = [key.attrib["id"] for key in root.findall(f"{space}key")]
    used = {data.attrib["key"] for data in root.iter(f"{space}data")}
    assert len(keys) == len(set(keys))
    assert set(keys) == used
    assert {element.tag.removeprefix(space) for element in root.iter()} == {
        "graphml",
        "key",
        "graph",
        "data",
        "node",
        "edge",
    }


@pytest.mark.parametrize("case", [*GRAPHS, "hostile"])
def test_node_link_json_is_what_networkx_writes_and_reads(case: str, hostile: Graph, tmp_path: Path) -> None:
    graph = GRAPHS.get(case, hostile)
    assert export_graph(graph, tmp_path / "g.json", "json") == []

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    data = json.loads((tmp_path / "g.json").read_bytes(), parse_constant=refuse)
    true = networkx.node_link_data(graph.to_networkx(), edges="edges")
    true["edges"].sort(key=lambda edge: (edge["target"], edge["source"]))
    assert data == without_nonfinite(true)
    found = networkx.node_link_graph(data, edges="edges")
    weights = [found.edges[source, target]["weight"] for source, target, _ in graph.edges()]
    finite = np.isfinite(graph.weight_E)
    assert [weight is not None for weight in weights] == finite.tolist()
    assert bits([weight for weight in weights if weight is not None]) == graph.weight_E[finite].tobytes()


def without_nonfinite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nonfinite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nonfinite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


@pytest.mark.parametrize("case", [*GRAPHS, "hostile"])
def test_parquet_holds_the_tables_bit_for_bit_and_the_rest_as_json(case: str, hostile: Graph, tmp_path: Path) -> None:
    graph = GRAPHS.get(case, hostile)
    assert export_graph(graph, tmp_path / "g.parquet") == []
    assert sorted(entry.name for entry in (tmp_path / "g.parquet").iterdir()) == ["edges.parquet", "nodes.parquet"]
    for name, true in graph.to_arrow()._asdict().items():
        found = parquet.read_table(tmp_path / "g.parquet" / f"{name}.parquet")
        assert found.schema.equals(true.schema)
        for column in true.column_names:
            if "dictionary" in str(true.schema.field(column).type):
                assert found[column].to_pylist() == true[column].to_pylist()
            else:
                assert found[column].to_numpy().tobytes() == true[column].to_numpy().tobytes()
        attributes = json.loads(found.schema.metadata[b"distributed_tracer"])
        assert attributes == without_nonfinite(graph.attributes())


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_is_whole_or_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, graph = tmp_path / f"g{FORMATS[name].ending}", finite(GRAPHS["plain"])

    def full(_: Any) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="the disk is full"):
            export_graph(graph, path, name)
    assert not any(tmp_path.iterdir())
    export_graph(graph, path, name)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"parquet"}))
def test_a_file_that_is_there_is_replaced(name: str, tmp_path: Path) -> None:
    path, graph = tmp_path / f"g{FORMATS[name].ending}", finite(GRAPHS["plain"])
    export_graph(graph, path, name)
    first = path.read_bytes()
    path.write_bytes(b"old")
    export_graph(graph, path, name)
    assert path.read_bytes() == first


@pytest.mark.parametrize("name", FORMATS)
def test_an_ending_of_another_format_is_refused_with_the_list_of_formats(name: str, tmp_path: Path) -> None:
    ending = FORMATS[name].ending
    for other in {format.ending for format in FORMATS.values()} - {ending}:
        with pytest.raises(ConfigError, match=rf"in the format {name} ends in {re.escape(ending)}, unlike ") as refused:
            export_graph(GRAPHS["plain"], tmp_path / f"g{other}", name)
        assert all(f"{known.name} ({known.ending})" in str(refused.value) for known in FORMATS.values())
    assert check_export(tmp_path / f"g{ending}".upper(), name) is check_export(tmp_path / f"g{ending}", name)
    assert check_export(tmp_path / f"g{ending}").ending == ending
    assert not any(tmp_path.iterdir())


def test_of_formats_with_one_ending_the_first_is_written_and_the_others_are_named(tmp_path: Path) -> None:
    graph = finite(GRAPHS["plain"])
    assert export_graph(graph, tmp_path / "g.json") == [".json is json here: --format viewer is another"]
    assert json.loads((tmp_path / "g.json").read_bytes())["directed"]
    assert export_graph(graph, tmp_path / "g.npz") == []


def test_unknown_formats_and_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no format 'graphm'; there are npz, .*Did you mean 'graphml'"):
        check_export(tmp_path / "g.graphml", "graphm")
    for name in ("g", "g.xml", "g.npz.gz", ".json"):
        with pytest.raises(ConfigError, match=r"ends in \.npz or \.graphml or .* or \.pt or \.html or .*, unlike "):
            check_export(tmp_path / name)


@pytest.mark.parametrize("name", FORMATS)
def test_a_directory_in_the_way_and_a_missing_parent_are_refused(name: str, tmp_path: Path) -> None:
    ending = FORMATS[name].ending
    (tmp_path / f"d{ending}").mkdir()
    with pytest.raises(ConfigError, match=rf"d\{ending} (is a directory|exists, and a folder replaces nothing)"):
        check_export(tmp_path / f"d{ending}", name)
    with pytest.raises(ConfigError, match=rf"there is no directory .*none to write g\{ending} to"):
        check_export(tmp_path / "none" / f"g{ending}", name)


def test_a_folder_replaces_neither_a_file_nor_a_link(tmp_path: Path) -> None:
    (tmp_path / "f.parquet").write_bytes(b"precious")
    (tmp_path / "l.parquet").symlink_to(tmp_path / "nowhere")
    for name in ("f", "l"):
        with pytest.raises(ConfigError, match="exists, and a folder replaces nothing"):
            export_graph(GRAPHS["plain"], tmp_path / f"{name}.parquet")
    assert (tmp_path / "f.parquet").read_bytes() == b"precious"


def test_parquet_without_its_package_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet")
    with pytest.raises(ConfigError, match=r"pyarrow: pip install 'distributed-tracer\[parquet\]'"):
        check_export(tmp_path / "g.parquet")


def test_the_command_says_what_the_format_could_not_keep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph, out = GRAPHS["unicode"], tmp_path / "g.graphml"
    store = make_store(str(tmp_path / "store"), [graph])
    assert main(["export", store.url, "--prompt", graph.prompt_id, "--out", str(out)]) == 0
    wrote, note = capsys.readouterr().out.splitlines()
    assert wrote == f"wrote {out}"
    assert note.endswith(" characters that XML forbids replaced by U+FFFD")
    assert read_graphml(out).number_of_edges() == graph.num_edges


def test_the_command_line_lists_every_format() -> None:
    assert get_args(ExportFormat)[1].metavar.split("|") == list(FORMATS)


def labelled(graph: Graph) -> tuple[int, GraphContext]:
    """A feature node, and a context in which its feature has two labels, one of them hostile."""
    node = int(graph.nodes.where(NodeKind.FEATURE)[0])
    site = int(graph.nodes.layer_N[node]), int(graph.nodes.feature_N[node])
    rows = [(*site, Label(HOSTILE[2] + HOSTILE[1], "me")), (*site, Label("half \ud800", "it's"))]
    return node, GraphContext(labels=Labels.of(rows))


def test_labels_of_features_are_with_their_nodes_in_every_format(tmp_path: Path) -> None:
    graph = random_graph("a")
    node, context = labelled(graph)
    expected = [{"text": HOSTILE[2] + HOSTILE[1], "source": "me"}, {"text": "half \ud800", "source": "it's"}]
    export_graph(graph, tmp_path / "g.graphml", context=context)
    of_nodes = dict(read_graphml(tmp_path / "g.graphml").nodes(data="labels"))
    assert of_nodes[node] == for_xml(context.labels.text(graph.nodes.layer_N[node], graph.nodes.feature_N[node]))
    assert "\\x1b" in of_nodes[node]
    assert sum(map(bool, of_nodes.values())) == 1
    export_graph(graph, tmp_path / "g.json", context=context)
    nodes = json.loads((tmp_path / "g.json").read_text())["nodes"]
    assert [one["labels"] for one in nodes if one["labels"]] == [nodes[node]["labels"]] == [expected]
    export_graph(graph, tmp_path / "g.parquet", context=context)
    column = parquet.read_table(tmp_path / "g.parquet" / "nodes.parquet")["labels"].to_pylist()
    assert column[node] == [expected[0], {"text": "half ?", "source": "it's"}]
    assert sum(map(bool, column)) == 1


@pytest.mark.parametrize("name", ["g.graphml", "g.json"])
def test_a_graph_without_labels_is_written_as_before(name: str, tmp_path: Path) -> None:
    export_graph(random_graph("a"), tmp_path / name, context=GraphContext(model="m"))
    assert b"labels" not in (tmp_path / name).read_bytes()
