"""circuit-tracer's .pt file, read with torch and with classes that stand for circuit-tracer's own."""

from __future__ import annotations

import json
import pickletools
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from random_graphs import AWKWARD, random_graph
from tiny import CASES

from distributed_tracer.errors import ConfigError
from distributed_tracer.export import circuit_tracer
from distributed_tracer.export.formats import export_graph
from distributed_tracer.export.model_config import model_config
from distributed_tracer.export.torch_file import Instance, Tensor, write_torch_file
from distributed_tracer.graph.context import GraphContext
from distributed_tracer.graph.graph import Graph

LogitTarget = namedtuple("LogitTarget", ("token_str", "vocab_idx"))


class UnifiedConfig:
    """Takes any attributes."""


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of circuit-tracer's names, with the two classes that its files name."""
    for name, value in (("attribution.targets", LogitTarget), ("utils.tl_nnsight_mapping", UnifiedConfig)):
        module = ModuleType(f"circuit_tracer.{name}")
        setattr(module, value.__name__, value)
        monkeypatch.setattr(value, "__module__", module.__name__)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        parent = f"circuit_tracer.{name.partition('.')[0]}"
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    monkeypatch.setitem(sys.modules, "circuit_tracer", ModuleType("circuit_tracer"))


def written(graph: Graph, folder: Path, model: str = "") -> tuple[dict[str, Any], list[str]]:
    path = folder / "g.pt"
    context = GraphContext(model=model, transcoders="org/set@main")
    notes = export_graph(graph, path, context=context)
    with torch.serialization.safe_globals([UnifiedConfig, LogitTarget]):
        return torch.load(path, weights_only=True), notes


@pytest.mark.parametrize("case", sorted(set(AWKWARD) - {"wide"}))
@pytest.mark.usefixtures("peer")
def test_torch_reads_every_array_bit_for_bit(case: str, tmp_path: Path) -> None:
    graph = AWKWARD[case]
    if case == "unicode":  # its last target is no token
        graph = random_graph("ид", text=graph.text)
    found, _ = written(graph, tmp_path)
    assert found["adjacency_matrix"].dtype == torch.float32
    assert found["adjacency_matrix"].is_contiguous()
    assert found["adjacency_matrix"].numpy().tobytes() == graph.adjacency().tobytes()
    sites = np.stack([graph.active.layer_A, graph.active.position_A, graph.active.feature_A], 1)
    assert found["active_features"].tolist() == sites.tolist()
    assert found["activation_values"].numpy().tobytes() == graph.active.activation_A.tobytes()
    assert found["selected_features"].tolist() == graph.selected_features().tolist()
    assert found["input_tokens"].tolist() == graph.tokens_P.tolist()
    assert found["logit_targets"] == [(target.label, target.token_id) for target in graph.targets]
    weights = np.array([target.weight for target in graph.targets], np.float32)
    assert found["logit_probabilities"].numpy().tobytes() == weights.tobytes()
    assert found["input_string"] == ("".join(graph.token_strings) if graph.text is None else graph.text)
    assert found["scan"] == "org/set@main"
    assert found["cfg"].n_layers == graph.num_layers


def test_the_matrix_is_written_in_blocks_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph()
    export_graph(graph, tmp_path / "once.pt")
    monkeypatch.setattr(circuit_tracer, "_BLOCK_BYTES", 4 * graph.dense_size() * 7)
    export_graph(graph, tmp_path / "blocks.pt")
    assert len([*circuit_tracer._rows(graph)]) > 5
    monkeypatch.setattr(circuit_tracer, "_LARGE", 1)
    size = f"{4 * graph.dense_size() ** 2:,}"
    assert f"the matrix takes {size} bytes of memory when it is read" in export_graph(graph, tmp_path / "large.pt")
    assert (tmp_path / "blocks.pt").read_bytes() == (tmp_path / "once.pt").read_bytes()


@pytest.mark.usefixtures("peer")
def test_the_size_of_the_model_is_that_of_its_config(tmp_path: Path) -> None:
    found, notes = written(random_graph(num_targets=4), tmp_path, str(CASES / "gemma2_jumprelu_plt" / "model"))
    config = json.loads((CASES / "gemma2_jumprelu_plt" / "model" / "config.json").read_text())
    sizes = vars(found["cfg"])
    assert sizes["d_model"] == config["hidden_size"]
    assert sizes["d_head"] == config["head_dim"]
    assert sizes["d_vocab"] == found["vocab_size"] == config["vocab_size"]
    assert sizes["original_architecture"] == "Gemma2ForCausalLM"
    assert sizes["tokenizer_name"].endswith("gemma2_jumprelu_plt/model")
    assert found["logit_targets"][3].vocab_idx == config["vocab_size"] + 3, "a target that is no token"
    assert notes == []


def test_every_model_of_the_cases_has_all_sizes() -> None:
    for path in CASES.glob("*/model"):
        found = model_config(str(path))
        assert [name for name, value in found.items() if value is None] in (["dtype"], ["n_key_value_heads", "dtype"])


@pytest.mark.usefixtures("peer")
def test_what_is_not_known_of_the_model_is_none_and_is_said(tmp_path: Path) -> None:
    found, notes = written(random_graph(), tmp_path, "/no/such/model")
    assert found["vocab_size"] is None
    assert found["cfg"].d_model is None
    assert notes == ["the size of the model is not in the file: there is no config.json of '/no/such/model' here"]
    with pytest.raises(ConfigError, match=r"target '🧪 - a' is not a token.*size of the vocabulary"):
        export_graph(random_graph(num_targets=4), tmp_path / "h.pt")
    assert not (tmp_path / "h.pt").exists()


def test_a_matrix_for_which_the_disk_has_no_room_is_refused_with_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 2**24 + 100})
    monkeypatch.setattr(circuit_tracer.shutil, "disk_usage", lambda _: usage)
    graph = random_graph()
    size = f"{4 * graph.dense_size() ** 2:,}"
    with pytest.raises(ConfigError, match=rf"takes {size} bytes, and .* has {2**24 + 100:,} free: .*parquet"):
        export_graph(graph, tmp_path / "g.pt")
    assert not any(tmp_path.iterdir())


def test_the_file_is_written_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from random_graphs import random_graph\n"
        "from distributed_tracer.export.formats import export_graph\n"
        f"export_graph(random_graph(), {str(tmp_path / 'g.pt')!r})"
    )
    root = Path(__file__).parents[3]
    env = {"PYTHONPATH": f"{root}:{root / 'tests'}", "PATH": ""}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    assert (tmp_path / "g.pt").stat().st_size > 1000


def test_tensors_are_aligned_so_that_a_file_can_be_mapped(tmp_path: Path) -> None:
    export_graph(random_graph(), tmp_path / "g.pt")
    with ZipFile(tmp_path / "g.pt") as archive, (tmp_path / "g.pt").open("rb") as file:
        for info in archive.infolist():
            if "/data/" in info.filename:
                file.seek(info.header_offset + 26)
                lengths = np.frombuffer(file.read(4), "<u2")
                assert (info.header_offset + 30 + int(lengths.sum())) % 64 == 0


VALUES = {
    "none": None,
    "bools": [True, False],
    "integers": [0, -1, 127, 128, -128, -129, 2**31, -(2**63), 2**80],
    "floats": [0.0, -0.0, 1e300, float("inf")],
    "texts": ["", "é首🧑‍🚀", "\ud800", "a\nb\x00"],
    "nested": {"a": ((), (1,), [[]], {})},
    "empty": np.zeros((0, 3), np.int64),
    "cube": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
}


def test_torch_reads_every_kind_of_value(tmp_path: Path) -> None:
    with (tmp_path / "v.pt").open("wb") as file:
        write_torch_file(file, VALUES)
    found = torch.load(tmp_path / "v.pt", weights_only=True)
    for name, value in VALUES.items():
        there = found[name]
        assert (there.numpy().tolist() if isinstance(there, torch.Tensor) else there) == (
            value.tolist() if isinstance(value, np.ndarray) else value
        )
    assert found["empty"].shape == (0, 3)
    assert str(found["floats"][1]) == "-0.0"
    mapped = torch.load(tmp_path / "v.pt", weights_only=True, mmap=True)
    assert torch.equal(mapped["cube"], torch.from_numpy(VALUES["cube"]))  # type: ignore[arg-type]


def test_the_file_names_circuit_tracers_classes_and_no_others_of_it(tmp_path: Path) -> None:
    export_graph(random_graph(), tmp_path / "g.pt")
    with ZipFile(tmp_path / "g.pt") as archive:
        names = {str(arg) for op, arg, _ in pickletools.genops(archive.read("archive/data.pkl")) if op.name == "GLOBAL"}
    assert names == {
        "circuit_tracer.utils.tl_nnsight_mapping UnifiedConfig",
        "circuit_tracer.attribution.targets LogitTarget",
        "torch._utils _rebuild_tensor_v2",
        "torch FloatStorage",
        "torch LongStorage",
        "collections OrderedDict",
    }


def test_other_values_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "v.pt").open("wb") as file, pytest.raises(TypeError, match="no value of set can be written"):
        write_torch_file(file, {"a": Instance("m", "n", ({1},)), "t": Tensor((1,), np.float32, ())})
