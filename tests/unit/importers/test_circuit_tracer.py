"""The .pt files of circuit-tracer, compared with what it had in memory when it wrote them."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from rounding import nearly, of_roundings

from distributed_tracer.errors import GraphFileError
from distributed_tracer.export.torch_file import Instance, Tensor, write_torch_file
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.importers.circuit_tracer import read_circuit_tracer
from distributed_tracer.importers.torch_file import torch_values

TRUTH = Path(__file__).parents[2] / "graph_files" / "llama_relu_plt.npz"
CONFIG = ("circuit_tracer.utils.tl_nnsight_mapping", "UnifiedConfig")
TARGET = ("circuit_tracer.attribution.targets", "LogitTarget")


@pytest.fixture(scope="module")
def truth() -> dict[str, npt.NDArray[Any]]:
    with np.load(TRUTH) as found:
        return dict(found)


def order_of(truth: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    """The nodes of circuit-tracer's matrix in the order that a Graph has."""
    features = truth["active"][truth["selected"]]
    rest = np.arange(len(features), len(truth["adjacency"]))
    return np.concatenate([np.lexsort(features.T[::-1]), rest])


def test_a_graph_is_that_which_circuit_tracer_wrote(files: Path, truth: dict[str, npt.NDArray[Any]]) -> None:
    found = read_circuit_tracer(files / "llama_relu_plt.pt")
    graph, order = found.graph, order_of(truth)
    assert graph.adjacency().tobytes() == truth["adjacency"][np.ix_(order, order)].tobytes()
    active = np.stack([graph.active.layer_A, graph.active.position_A, graph.active.feature_A], axis=1)
    np.testing.assert_array_equal(active, truth["active"])
    assert graph.active.activation_A.tobytes() == truth["activation"].tobytes()
    np.testing.assert_array_equal(graph.tokens_P, truth["tokens"])
    assert [target.label for target in graph.targets] == truth["labels"].tolist()
    assert [target.token_id for target in graph.targets] == truth["token_ids"].tolist()
    assert [target.weight for target in graph.targets] == truth["probabilities"].astype(float).tolist()
    assert graph.text == "<bos>Fact: the capital of the state of Dallas is"
    assert (found.influence, found.all_active) == ("computed", True)
    assert (found.context.model, found.context.transcoders) == ("llama_relu_plt/model", "local/llama_relu_plt")


def test_influence_and_scores_are_circuit_tracer_s(files: Path, truth: dict[str, npt.NDArray[Any]]) -> None:
    graph = read_circuit_tracer(files / "llama_relu_plt.pt").graph
    # It computes them in float32: sums over a row of the matrix, along at most as many edges as there are layers.
    off = np.finfo(np.float32).eps * graph.num_layers * len(truth["adjacency"]) ** 0.5
    np.testing.assert_allclose(
        graph.influence_N, truth["influence"][order_of(truth)], rtol=off, atol=of_roundings(torch.float32, 2)
    )
    np.testing.assert_allclose([graph.scores.replacement, graph.scores.completeness], truth["scores"], rtol=off)
    assert np.isnan(graph.scores.closing_error)
    assert sum(graph.scores.error_share_L) == nearly(1 - graph.scores.replacement, graph.num_layers, torch.float32, 1.0)
    assert sum(graph.scores.path_length_H) == nearly(1.0, len(graph.scores.path_length_H), torch.float32)


def test_what_a_file_does_not_say_is_unknown(files: Path) -> None:
    graph = read_circuit_tracer(files / "llama_relu_plt.pt").graph
    has_row = (graph.nodes.kind_N == NodeKind.FEATURE) | (graph.nodes.kind_N == NodeKind.TARGET)
    sums = np.bincount(graph.target_E(), np.abs(graph.weight_E), len(graph.nodes)).astype(np.float32)
    np.testing.assert_allclose(graph.row_abs_sum_N[has_row], sums[has_row], rtol=np.finfo(np.float32).eps)
    assert np.isnan(graph.row_abs_sum_N[~has_row]).all()
    assert np.isnan(graph.row_abs_sum_all_N).all(), "24 of 453 active features have columns"
    assert np.isnan(graph.constant_N).all()
    assert all(np.isnan(target.value) for target in graph.targets)
    assert graph.token_strings[:2] == ("<token 1>", "<token 40>")


def test_files_of_the_first_version_are_read(files: Path) -> None:
    graph, early = (read_circuit_tracer(files / name).graph for name in ("llama_relu_plt.pt", "early.pt"))
    assert early.adjacency().tobytes() == graph.adjacency().tobytes()
    assert [target.token_id for target in early.targets] == [target.token_id for target in graph.targets]
    assert [target.label for target in early.targets] == [f"<token {t.token_id}>" for t in graph.targets]
    weights = torch.tensor([target.weight for target in graph.targets]).bfloat16()
    assert [target.weight for target in early.targets] == weights.float().tolist(), "bfloat16 is exact in float32"


def small(**changed: Any) -> dict[str, Any]:
    """A file's content: one feature of layer 1, two tokens, two layers, one target."""
    matrix = np.zeros((8, 8), np.float32)
    matrix[0, 5] = 0.5
    matrix[7, [0, 6]] = (2.0, -1.0)
    return {
        "input_string": "a b",
        "adjacency_matrix": matrix,
        "cfg": Instance(*CONFIG, state={"n_layers": 2, "d_vocab": 50, "model_name": "m"}),
        "active_features": np.array([[1, 1, 7]]),
        "logit_targets": [Instance(*TARGET, args=(" c", 9))],
        "logit_probabilities": np.array([0.25], np.float32),
        "vocab_size": 50,
        "input_tokens": np.array([3, 4]),
        "selected_features": np.array([0]),
        "activation_values": np.array([1.5], np.float32),
        "scan": ["a/b", "c/d"],
        **changed,
    }


def written(path: Path, content: Any) -> Path:
    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return Tensor(value.shape, value.dtype.type, iter([value]))
        return value

    with path.open("wb") as file:
        write_torch_file(file, {key: plain(value) for key, value in content.items()})
    return path


def test_a_target_that_is_no_token_has_no_id_and_features_are_put_in_order(tmp_path: Path) -> None:
    targets = [Instance(*TARGET, args=("a - b", 50)), Instance(*TARGET, args=(" c", 49))]
    matrix = np.zeros((10, 10), np.float32)
    matrix[8, 0], matrix[0, 1], matrix[9, 6] = 1.0, 3.0, 4.0
    content = small(
        logit_targets=targets,
        logit_probabilities=np.array([0.25, 0.5], np.float32),
        active_features=np.array([[1, 1, 7], [0, 1, 3]]),
        selected_features=np.array([0, 1]),
        activation_values=np.array([1.5, 2.5], np.float32),
        adjacency_matrix=matrix,
    )
    found = read_circuit_tracer(written(tmp_path / "g.pt", content))
    graph = found.graph
    assert [(target.label, target.token_id) for target in graph.targets] == [("a - b", -1), (" c", 49)]
    assert graph.nodes.layer_N[:2].tolist() == [0, 1]
    assert graph.active.feature_A.tolist() == [3, 7]
    assert graph.nodes.activation_N[:2].tolist() == [2.5, 1.5]
    edges = {(graph.node_label(s), graph.node_label(t)): w for s, t, w in graph.edges()}
    assert edges == {
        ("feature 0:3 at 1", "feature 1:7 at 1"): 3.0,
        ("feature 1:7 at 1", "target 'a - b'"): 1.0,
        ("token '<token 3>' at 0", "target ' c'"): 4.0,
    }
    assert found.context.transcoders == "a/b, c/d"
    np.testing.assert_array_equal(graph.row_abs_sum_all_N, graph.row_abs_sum_N), "every active feature has a column"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"adjacency_matrix": np.zeros((7, 7), np.float32)},
            r"is \[7, 7\]; 1 features, 2 tokens, 2 layers and 1 targets",
        ),
        ({"adjacency_matrix": np.eye(8, dtype=np.float32)}, "an edge leads from feature 1:7 at 1 to feature 1:7 at 1"),
        ({"adjacency_matrix": np.full((8, 8), np.nan, np.float32)}, "not finite"),
        ({"active_features": np.array([[2, 1, 7]])}, "an active feature of layer 2, and the model 2 layers"),
        ({"active_features": np.array([[1, 5, 7]])}, "feature 1:7 at 5 is at position 5"),
        ({"active_features": np.array([[1, 1]])}, "expected layer, position and index"),
        ({"selected_features": np.array([1])}, "it selects feature number 1 of 1"),
        ({"logit_targets": []}, "no targets, one for each"),
        ({"logit_targets": [("c", 9)]}, "no targets, one for each"),
        ({"input_tokens": np.array([-3, 4])}, "its input_tokens are no whole numbers"),
        ({"cfg": {"n_layers": 2}}, "no configuration of a model"),
        ({"cfg": Instance(*CONFIG, state={"n_layers": 10**9})}, "1,000,000,000 layers"),
        ({"more": 1}, "the entry 'more'"),
    ],
)
def test_a_malformed_graph_is_refused(changed: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(GraphFileError, match=says):
        read_circuit_tracer(written(tmp_path / "g.pt", small(**changed)))


def archive(path: Path, pickled: bytes, compression: int = zipfile.ZIP_STORED, **records: bytes) -> Path:
    with zipfile.ZipFile(path, "w", compression) as found:
        for name, data in {"data.pkl": pickled, **records}.items():
            found.writestr(f"g/{name.replace('__', '/')}", data)
    return path


class Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("echo executed",)


def test_nothing_in_a_file_is_executed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(GraphFileError, match=r"asks for '(posix|nt)\.system', which is no part of a graph"):
        torch_values(archive(tmp_path / "g.pt", pickle.dumps(Command(), protocol=2)), ())
    with pytest.raises(GraphFileError, match="the instruction STRING"):
        torch_values(archive(tmp_path / "g.pt", b"S'\\o'\n."), ())
    assert capfd.readouterr().out == ""


def tensor(numel: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """A pickle of one tensor of float32, as torch makes it."""

    def whole(value: int) -> bytes:
        return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)

    def several(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(whole, values)) + b"t"

    storage = (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + whole(numel) + b"tQ"
    )
    arguments = storage + whole(0) + several(shape) + several(strides) + b"\x89ccollections\nOrderedDict\n)R"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR."


@pytest.mark.parametrize(
    ("numel", "shape", "strides", "says"),
    [
        (2**40, (2**20, 2**20), (2**20, 1), "should have 1099511627776 numbers; it has 4"),
        (4, (2**20, 2**20), (0, 0), r"a tensor of shape \[1048576, 1048576\] in a storage of 4"),
        (4, (2, 3), (3, 1), r"a tensor of shape \[2, 3\] in a storage of 4"),
    ],
)
def test_a_tensor_larger_than_its_storage_is_refused(
    numel: int, shape: tuple[int, ...], strides: tuple[int, ...], says: str, tmp_path: Path
) -> None:
    four = np.arange(4, dtype=np.float32).tobytes()
    good = torch_values(archive(tmp_path / "good.pt", tensor(4, (2, 2), (1, 2)), data__0=four), ())
    assert good.tolist() == [[0, 2], [1, 3]]
    with pytest.raises(GraphFileError, match=says):
        torch_values(archive(tmp_path / "bad.pt", tensor(numel, shape, strides), data__0=four), ())


def test_compressed_records_are_refused_before_they_are_read(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "g.pt", tensor(2**20, (2**20,), (1,)), zipfile.ZIP_DEFLATED, data__0=bytes(2**22))
    assert bomb.stat().st_size < 2**16
    with pytest.raises(GraphFileError, match="is compressed, which torch never does"):
        torch_values(bomb, ())


def test_what_is_no_file_of_torch_is_refused(tmp_path: Path) -> None:
    (tmp_path / "g.pt").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(GraphFileError, match="cannot be read as a file of torch: BadZipFile"):
        read_circuit_tracer(tmp_path / "g.pt")
    with pytest.raises(GraphFileError, match="without a graph: it has no adjacency_matrix"):
        read_circuit_tracer(archive(tmp_path / "g.pt", pickle.dumps({"W": 1}, protocol=2)))
    with pytest.raises(GraphFileError, match="the instruction "):
        read_circuit_tracer(archive(tmp_path / "g.pt", pickle.dumps({"W": {1, 2}}, protocol=4)))
