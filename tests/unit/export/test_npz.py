from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from random_graphs import AWKWARD, random_graph

from distributed_tracer.errors import ConfigError
from distributed_tracer.export.npz import export_npz
from distributed_tracer.graph.nodes import NodeKind


def test_the_arrays_have_the_promised_shapes_and_dtypes(tmp_path: Path) -> None:
    graph = random_graph(num_active=40, num_selected=12, num_targets=3)
    export_npz(graph, tmp_path / "graph.npz")
    size = 12 + 3 * 5 + 5 + 3
    expected = {
        "tokens": ((5,), np.int64),
        "target_ids": ((3,), np.int64),
        "target_probs": ((3,), np.float32),
        "active_features": ((40, 3), np.int64),
        "activation_values": ((40,), np.float32),
        "selected_features": ((12,), np.int64),
        "adjacency": ((size, size), np.float32),
        "constant": ((size,), np.float32),
        "influence": ((size,), np.float32),
    }
    with np.load(tmp_path / "graph.npz", allow_pickle=False) as archive:
        assert {name: (archive[name].shape, archive[name].dtype) for name in archive} == {
            name: (shape, np.dtype(dtype)) for name, (shape, dtype) in expected.items()
        }


def test_the_matrix_and_the_vectors_hold_every_node_at_its_place(tmp_path: Path) -> None:
    graph = random_graph(num_active=40, num_selected=12, pruned=True)
    export_npz(graph, tmp_path / "g.npz")
    with np.load(tmp_path / "g.npz", allow_pickle=False) as archive:
        adjacency, constant, influence = archive["adjacency"], archive["constant"], archive["influence"]
        active, selected = archive["active_features"], archive["selected_features"]
    features = graph.nodes.where(NodeKind.FEATURE)
    for place, node in enumerate(features):
        assert active[selected[place]].tolist() == [
            graph.nodes.layer_N[node],
            graph.nodes.position_N[node],
            graph.nodes.feature_N[node],
        ]
    edges = 0
    for target, target_place in enumerate(graph.dense_index_N()):
        assert influence[target_place] == graph.influence_N[target]
        assert constant[target_place] == np.nan_to_num(graph.constant_N[target])
        for source, weight in zip(*graph.row(target), strict=True):
            found = adjacency[target_place, graph.dense_index_N()[source]]
            assert found == weight or (np.isnan(found) and np.isnan(weight))
            edges += 1
    assert edges == graph.num_edges > 100
    pruned = np.setdiff1d(np.arange(len(influence)), graph.dense_index_N())
    assert len(pruned) > 0
    assert not influence[pruned].any()
    assert not adjacency[pruned].any()
    assert not adjacency[:, pruned].any()
    assert not np.isnan(constant).any()


@pytest.mark.parametrize("case", sorted(set(AWKWARD) - {"wide"}))
def test_awkward_graphs_can_be_exported(case: str, tmp_path: Path) -> None:
    export_npz(AWKWARD[case], str(tmp_path / "g.npz"))
    with np.load(tmp_path / "g.npz", allow_pickle=False) as archive:
        assert archive["tokens"].tolist() == AWKWARD[case].tokens_P.tolist()
        assert archive["target_ids"].tolist() == [target.token_id for target in AWKWARD[case].targets]


def test_an_export_replaces_the_file_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "g.npz"
    path.write_bytes(b"old")
    export_npz(random_graph(), path)
    assert path.read_bytes()[:2] == b"PK"
    first = path.read_bytes()
    export_npz(random_graph(), path)
    assert path.read_bytes() == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["g.npz"]


@pytest.mark.parametrize("name", ["g.json", "g", "g.npz.gz"])
def test_a_name_that_promises_another_format_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a numpy archive, whose name ends in .npz, unlike "):
        export_npz(random_graph(), tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no directory .*none to write g.npz to"):
        export_npz(random_graph(), tmp_path / "none" / "g.npz")
    (tmp_path / "d.npz").mkdir()
    with pytest.raises(ConfigError, match=r"d.npz is a directory"):
        export_npz(random_graph(), tmp_path / "d.npz")
