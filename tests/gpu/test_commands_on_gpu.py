"""On a GPU: commands on the demo's model, from the trace to the tests of its edges. Needs Zarr, but not Ray."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from frozen import node_names
from rounding import additions, of_norms

pytest.importorskip("zarr")

from distributed_tracer import open_store
from distributed_tracer.cli.main import main

DEVICE = os.environ.get("GPU_TESTS_DEVICE", "cuda")
"""`cpu` runs these tests without a GPU, to try the tests themselves."""

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="no CUDA device"),
]

DEMO = Path(__file__).parents[2] / "demo"
NUM_PROMPTS = 4
PLACES = ("device", "files") if DEVICE == "cpu" else ("device", "host", "files")
TEXT = "Fact: the capital of the state containing Dallas is"


def with_model(kind: str, device: str) -> list[str]:
    """Return the flags of the demo's model and transcoders."""
    return ["--model", str(DEMO / "model"), "--transcoders", str(DEMO / "transcoders" / kind), "--device-map", device]


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    file.write_text("".join((DEMO / "corpus.jsonl").read_text().splitlines(keepends=True)[:NUM_PROMPTS]))
    return file


def traced(store: Path, prompts: Path, kind: str, device: str, *flags: str) -> str:
    """Trace into a store and return its digest."""
    args = ["trace", *with_model(kind, device), "--prompts", str(prompts), "--store", str(store), "--local"]
    assert main([*args, "--max-feature-nodes", "256", "--no-progress", *flags]) == 0
    return open_store(str(store)).digest()


@pytest.mark.parametrize("kind", ["plt", "clt"])
def test_a_store_is_the_same_each_time_and_wherever_decoders_live(kind: str, prompts: Path, tmp_path: Path) -> None:
    again = traced(tmp_path / "again", prompts, kind, DEVICE)
    digests = [traced(tmp_path / place, prompts, kind, DEVICE, "--decoders", place) for place in PLACES]
    assert digests == [again] * len(PLACES)


@pytest.mark.parametrize("kind", ["plt", "clt"])
def test_graphs_are_the_cpus(kind: str, prompts: Path, tmp_path: Path) -> None:
    for device in ("cpu", DEVICE):
        traced(tmp_path / f"on {device}", prompts, kind, device, "--node-threshold", "1", "--edge-threshold", "1")
    expected, found = (open_store(str(tmp_path / f"on {device}")) for device in ("cpu", DEVICE))
    assert len(found) == NUM_PROMPTS
    bound = of_norms(torch.float32, additions(4, 256))
    for prompt in expected:
        graphs = expected.graph(prompt), found.graph(prompt)
        assert node_names(graphs[0]) == node_names(graphs[1])
        a, b = (graph.adjacency() for graph in graphs)
        assert np.linalg.norm(a - b) <= bound * np.linalg.norm(a)


def test_the_model_confirms_the_edges(prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traced(tmp_path / "store", prompts, "plt", DEVICE)
    for command in ("verify-edges", "faithfulness"):
        assert main([command, str(tmp_path / "store"), "--local", "--device-map", DEVICE]) == 0
    assert "direct effects agree to 0.0001 in all graphs" in capsys.readouterr().out


def test_profiles_and_interventions_say_what_the_cpu_says(
    prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for device in ("cpu", DEVICE):
        out = tmp_path / f"on {device}"
        profile = ["profile", *with_model("plt", device), "--prompts", str(prompts), "--out", str(out), "--local"]
        assert main(profile) == 0
        capsys.readouterr()
        setting = ["--suggest", "--set", "1=x-1", "1:5::195=3.5", "--generate", "5"]
        assert main(["intervene", *with_model("plt", device), "--text", TEXT, *setting]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "after  ' Phoenix" in said[0]
