"""A reader written from FORMAT.md alone: bare zarr, json and numpy, nothing of this package."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from random_graphs import AWKWARD, random_graph, with_added_columns
from random_stores import make_store

import distributed_tracer
from distributed_tracer.store.format.schema import COLUMNS, POINTER_COLUMN
from distributed_tracer.store.maintenance.compact import compact


def read_prompt(store: Path, prompt_id: str) -> dict[str, Any]:
    """Section by section: the first commit that names the prompt, its part, the prompt's rows of each array."""
    assert json.loads((store / "run.json").read_text())["format_version"] == 1
    for commit_path in sorted((store / "commits").glob("*.json")):  # 1.4: the order of names
        commit = json.loads(commit_path.read_text())
        if prompt_id in commit["prompts"]["id"]:
            break
    i = commit["prompts"]["id"].index(prompt_id)
    part = zarr.open_group(str(store / "parts" / commit["part"]), mode="r")
    axes = part["prompts/pointers"].attrs["columns"]
    pointers = part["prompts/pointers"][:]

    def rows(array: str, axis: str) -> np.ndarray:
        first, end = (i, i + 1) if axis == "prompt" else pointers[i : i + 2, axes.index(axis)]
        return part[array][first:end]

    def text(array: str, axis: str) -> str:
        return rows(array, axis).tobytes().decode("utf-8", "surrogatepass")

    in_degree = rows("nodes/in_degree", "node")
    labels, label_bytes = [], rows("targets/label", "label_byte").tobytes()
    for size in rows("targets/label_size", "target"):
        labels.append(label_bytes[:size].decode())
        label_bytes = label_bytes[size:]
    nodes = {name: rows(f"nodes/{name}", "node") for name in ("kind", "layer", "position", "feature", "influence")}
    return {
        "id": text("prompts/id", "id_byte"),
        "text": text("prompts/text", "text_byte") if rows("prompts/has_text", "prompt")[0] else None,
        "metadata": json.loads(text("prompts/metadata", "metadata_byte")),
        "labels": labels,
        "tokens": rows("tokens/token", "token"),
        "scores": dict(zip(part["prompts/scores"].attrs["columns"], rows("prompts/scores", "prompt")[0], strict=True)),
        "nodes": nodes,
        "target_of_edge": np.repeat(np.arange(len(in_degree)), in_degree),
        "source": rows("edges/source", "edge"),
        "weight": rows("edges/weight", "edge"),
        "active": rows("active/feature", "active"),
    }


def test_a_stranger_reads_what_we_wrote(tmp_path: Path) -> None:
    make_store(str(tmp_path), [AWKWARD["plain"]], AWKWARD.values())
    for graph in AWKWARD.values():
        read = read_prompt(tmp_path, graph.prompt_id)
        assert (read["id"], read["text"], read["metadata"]) == (graph.prompt_id, graph.text, graph.metadata)
        assert read["labels"] == [target.label for target in graph.targets]
        assert np.array_equal(read["tokens"], graph.tokens_P)
        assert read["scores"]["constant_share"] == graph.scores.constant_share
        assert np.array_equal(read["nodes"]["feature"], graph.nodes.feature_N)
        assert read["nodes"]["influence"].tobytes() == graph.influence_N.tobytes()
        assert np.array_equal(read["target_of_edge"], graph.target_E())
        assert np.array_equal(read["source"], graph.source_E)
        assert read["weight"].tobytes() == graph.weight_E.tobytes()
        assert np.array_equal(read["active"], graph.active.feature_A)


def test_sources_are_narrow_unless_a_graph_is_wide(tmp_path: Path) -> None:
    make_store(str(tmp_path), [random_graph("narrow")], [AWKWARD["plain"], AWKWARD["wide"]])
    kinds = {str(zarr.open_array(str(path)).dtype) for path in (tmp_path / "parts").glob("*/edges/source")}
    assert kinds == {"uint16", "uint32"}


def test_arrays_open_without_consolidated_metadata_and_all_chunks_are_there(tmp_path: Path) -> None:
    make_store(str(tmp_path), [*AWKWARD.values(), with_added_columns(random_graph("with scales", num_layers=4))])
    (part,) = (tmp_path / "parts").iterdir()
    metadata = json.loads((part / "zarr.json").read_text())["consolidated_metadata"]["metadata"]
    arrays = {name for name, document in metadata.items() if document["node_type"] == "array"}
    assert arrays == {*COLUMNS, POINTER_COLUMN.name}
    for name in arrays:
        array = zarr.open_array(str(part / name), mode="r")
        assert array.nchunks_initialized == array.nchunks == -(-array.shape[0] // array.chunks[0])
        assert array.chunks[0] in (max(1, array.shape[0]), 1 << 15, 1 << 17)
        assert array.chunks[1:] == array.shape[1:]


def test_every_array_written_is_in_the_description_and_no_other(tmp_path: Path) -> None:
    make_store(str(tmp_path), [with_added_columns(random_graph("a"))])
    compact(str(tmp_path))
    description = (Path(distributed_tracer.__file__).parent / "store" / "FORMAT.md").read_text()
    groups = [*(tmp_path / "parts").iterdir(), *(tmp_path / "index").glob("*/")]
    assert len(groups) == 2
    written = {str(path.parent.relative_to(group)) for group in groups for path in group.glob("*/*/zarr.json")}
    kinds = {name.split("/")[0] for name in written}
    assert written == set(re.findall(rf"`((?:{'|'.join(kinds)})/[a-z_]+)`", description))
