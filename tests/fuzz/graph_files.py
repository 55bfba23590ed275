"""Readers of graphs that other tools wrote: whole files, and what is inside their archives."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from distributed_tracer.errors import ConfigError
from distributed_tracer.export.formats import export_graph
from distributed_tracer.graph.context import GraphContext, Group, NodeKey
from distributed_tracer.graph.graph import Graph, Target
from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.graph.nodes import ActiveTable, NodeTable
from distributed_tracer.graph.prune import prune
from distributed_tracer.importers.complete_scores import with_complete_scores
from distributed_tracer.importers.formats import ImportOptions, read_graph_file
from distributed_tracer.importers.imported_graph import assemble
from distributed_tracer.report.graph import graph_summary, graph_text
from distributed_tracer.store.format.annotation import PromptGroups, group_content, label_content
from distributed_tracer.store.format.graph_columns import columns_of

DROP = ImportOptions(drop_unknown=True)


def read_file(name: str, data: bytes, folder: Path, options: ImportOptions = ImportOptions()) -> None:  # noqa: B008
    (folder / name).write_bytes(data)
    use(folder / name, options)


def use(path: Path, options: ImportOptions) -> None:
    """Read a graph, and do what an import and the first questions do with it."""
    found = read_graph_file(path, options)
    graph, context = found.graph, found.context
    columns_of(graph)
    group_content([PromptGroups(graph.prompt_id, "", context.groups, context.pins)])
    label_content([(*site, label) for site, labels in context.labels for label in labels], ())
    assert graph_text(graph_summary(graph, 3))
    assert (np.diff(graph.indptr) >= 0).all()
    assert graph.indptr[-1] == graph.num_edges
    with suppress(ConfigError):  # influence or weights are not known
        prune(graph)


def read_inside(archive: bytes, name: str, rename: str, data: bytes, folder: Path) -> None:
    """One record of an archive as given, the others as they are."""
    with zipfile.ZipFile(io.BytesIO(archive)) as good, zipfile.ZipFile(folder / rename, "w") as damaged:
        for entry in good.infolist():
            found = data if entry.filename == name else good.read(entry.filename)
            damaged.writestr(zipfile.ZipInfo(entry.filename), found)
    use(folder / rename, DROP)


def read_table(tables: dict[str, bytes], name: str, data: bytes, folder: Path) -> None:
    """One table of a Parquet folder as given, the other as it is."""
    for table, good in tables.items():
        (folder / table).write_bytes(data if table == name else good)
    use(folder, DROP)


def _graph() -> Graph:
    active = ActiveTable(
        np.array([0, 0, 1], "i2"), np.array([1, 2, 2], "i4"), np.array([2, 9, 30], "i4"), np.array([0.5, 1, 2], "f4")
    )
    tokens = [1, 40, 7]
    targets = [Target(' "Aus" (p=1)', 5, 0.5, 2, 1.5), Target("a - b", -1, 0.25, 2, -0.5)]
    nodes = NodeTable.build(active, 2, np.array(tokens, "i4"), np.array([2, 2], "i4"))
    edges = [(9, 0), (10, 1), (0, 2), (5, 2), (2, 12), (8, 12), (11, 12), (1, 13), (2, 13)]
    ends = np.array(edges)
    graph = assemble(
        text="a b",
        tokens=tokens,
        token_strings=["<bos>", "a", " b"],
        num_layers=2,
        targets=targets,
        nodes=nodes,
        source_E=ends[:, 0],
        target_E=ends[:, 1],
        weight_E=np.linspace(-1, 1.5, len(edges), dtype="f4"),
        metadata={"topic": "x"},
    )
    return replace(with_complete_scores(graph), prompt_id="p")


GRAPH = _graph()
SITES = (NodeKey("feature", 0, 1, 2), NodeKey("error", 1, 1, -1), NodeKey("target", 2, 2, 0))
CONTEXT = GraphContext(
    Labels.of([(0, 2, Label('says, "a"', "me")), (1, 30, Label("b", "you"))]),
    (Group('x, "y"', SITES[:2]), Group("", SITES[2:]), Group("", ())),
    SITES,
    "m",
    "t",
    node_threshold=0.8,
)


def exported(name: str, format: str | None = None, graph: Graph = GRAPH) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        export_graph(graph, Path(folder) / name, format, CONTEXT)
        return (Path(folder) / name).read_bytes()


def tables() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        export_graph(GRAPH, Path(folder) / "g.parquet")
        return {path.name: path.read_bytes() for path in sorted((Path(folder) / "g.parquet").iterdir())}


def _with(document: bytes, change: Callable[[dict], None]) -> bytes:
    found = json.loads(document)
    change(found)
    return json.dumps(found).encode()


def _as_neuronpedia(found: dict) -> None:
    """Index and layer in one number, no schema version, saved groups as text, nodes of other kinds."""
    del found["metadata"]["schema_version"], found["metadata"]["distributed_tracer"]
    for node in found["nodes"]:
        if node["feature_type"] == "cross layer transcoder":
            layer, index, _ = map(int, node["node_id"].split("_"))
            node["feature"] = layer * 100_000 + index
    found["nodes"].append({**found["nodes"][0], "node_id": "1_lor_5_1", "feature_type": "lorsa"})
    found["links"].append({"source": "1_lor_5_1", "target": found["nodes"][-2]["node_id"], "weight": 1.0})
    state = found["qParams"]
    state |= {"supernodes": json.dumps(state["supernodes"]), "pinnedIds": ",".join(state["pinnedIds"])}
    state["clerps"] = json.dumps([["0_2_1", "x"], ["2", "y"]])


def _as_anthropic(found: dict) -> None:
    """Ids that say nothing, no influence, no thresholds."""
    names = {node["node_id"]: f"n{place}" for place, node in enumerate(found["nodes"])}
    for node in found["nodes"]:
        node |= {"node_id": names[node["node_id"]], "influence": None, "jsNodeId": node["node_id"] + "-0"}
    for link in found["links"]:
        link |= {"source": names[link["source"]], "target": names[link["target"]]}
    found["qParams"] = {"supernodes": [["s", "0_2_1-0"]], "pinnedIds": "0_2_1-0"}
    found["metadata"] = {key: found["metadata"][key] for key in ("slug", "prompt_tokens", "prompt")}
    for node in found["nodes"]:
        if node["feature_type"] == "cross layer transcoder":
            node["feature"] = 2_000_000_000 + int(node["layer"])


VIEWER = exported("g.json", "viewer")
VIEWERS = (VIEWER, _with(VIEWER, _as_neuronpedia), _with(VIEWER, _as_anthropic))
PT = exported("g.pt", graph=replace(GRAPH, targets=tuple(replace(target, token_id=5) for target in GRAPH.targets)))
NPZ, TABLES, NODE_LINK = exported("g.npz"), tables(), exported("g.json", "json")


def record(archive: bytes, ending: str) -> tuple[str, bytes]:
    """Name and content of the record of an archive whose name ends so."""
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        name = next(name for name in found.namelist() if name.endswith(ending))
        return name, found.read(name)
