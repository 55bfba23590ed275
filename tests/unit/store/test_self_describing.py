"""A part alone says what its axes are and where it is from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from random_graphs import AWKWARD, assert_same, random_graph
from random_stores import RUN_INFO, make_store, write_part

from distributed_tracer.errors import StoreError
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store

GRAPHS = [graph for name, graph in AWKWARD.items() if name != "wide"]


def test_axes_of_one_name_are_of_one_length(tmp_path: Path) -> None:
    make_store(str(tmp_path), GRAPHS)
    (part,) = (tmp_path / "parts").iterdir()
    lengths: dict[str, int] = {}
    for path in part.glob("*/*/zarr.json"):
        document = json.loads(path.read_text())
        assert len(document["dimension_names"]) == len(document["shape"]), path
        for name, length in zip(document["dimension_names"], document["shape"], strict=True):
            assert lengths.setdefault(name, length) == length, path
    assert lengths["prompt"] == len(GRAPHS) == lengths["pointer"] - 1
    assert lengths["edge"] == sum(graph.num_edges for graph in GRAPHS)


def test_xarray_opens_every_group_of_a_part(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    make_store(str(tmp_path), GRAPHS)
    (part,) = (tmp_path / "parts").iterdir()
    groups = {name: xarray.open_zarr(part, group=name, consolidated=False) for name in zarr.open_group(str(part))}
    assert groups.keys() == {"prompts", "targets", "tokens", "nodes", "edges", "active"}
    nodes, pointers = groups["nodes"], groups["prompts"]["pointers"]
    assert nodes["influence"].dims == ("node",)
    first, end = pointers.isel(pointer=slice(1, 3), axis=pointers.attrs["columns"].index("node")).values
    own = nodes.isel(node=slice(first, end))
    assert own["influence"].values.tobytes() == GRAPHS[1].influence_N.tobytes()
    assert np.array_equal(own["kind"], GRAPHS[1].nodes.kind_N)
    assert groups["prompts"]["scores"].dims == ("prompt", "score")
    assert int(nodes["feature"].where(nodes["kind"] == 0).count()) == sum(np.sum(g.nodes.kind_N == 0) for g in GRAPHS)


def test_parts_copy_provenance_from_the_run(store_url: str) -> None:
    content = {"model": "files:1", "transcoders": "files:2"}
    ledger = Ledger(store_url)
    ledger.create_or_check({**RUN_INFO, "content": content, "command": "trace", "created": "2026"})
    manifest = write_part(store_url, GRAPHS)
    ledger.commit(manifest)
    root = open_store(store_url).root
    attributes = json.loads(root.read(f"parts/{manifest.part}/zarr.json") or b"")["attributes"]
    assert attributes == {
        **RUN_INFO,
        "content": content,
        "created": "2026",
        "format": "distributed_tracer part",
        "format_version": 1,
    }


def test_a_part_written_before_the_run_is_known_is_whole(tmp_path: Path) -> None:
    manifest = write_part(str(tmp_path), GRAPHS)
    attributes = json.loads((tmp_path / "parts" / manifest.part / "zarr.json").read_text())["attributes"]
    assert attributes == {"format": "distributed_tracer part", "format_version": 1}
    ledger = Ledger(str(tmp_path))
    ledger.create_or_check(RUN_INFO)
    ledger.commit(manifest)
    assert_same(open_store(str(tmp_path)).graph(GRAPHS[0].prompt_id), GRAPHS[0])


def test_a_run_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"cannot read .*run\.json"):
        write_part(str(tmp_path), [random_graph("a")])
