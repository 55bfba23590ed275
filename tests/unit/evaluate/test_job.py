"""Jobs over stores, in this process: what is measured, left out, written down."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from checks_of_cases import check_job, rewritten, traced, with_wrong_edges
from jobs_of_cases import CASES

from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError, FilesChanged, StoreMismatch
from distributed_tracer.evaluate.edge_effects import EdgeEffectMetric, tolerance_of
from distributed_tracer.evaluate.job import EvaluationSummary, choose, run_evaluation
from distributed_tracer.graph.graph import Graph
from distributed_tracer.plan.work import Outcome
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.evaluations import EvaluationResults, read_checks
from distributed_tracer.store.format.digest import graph_digest
from distributed_tracer.store.maintenance.copy import copy_store
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.table import Table


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return traced(tmp_path_factory.mktemp("made"))


@pytest.fixture
def store(made: Store, tmp_path: Path) -> Store:
    shutil.copytree(made.url, tmp_path / "store")
    return open_store(str(tmp_path / "store"))


def verify_edges(store: Store, *flags: str) -> int:
    return main(["verify-edges", store.url, "--local", "--no-progress", "--sources", "4", *flags])


def test_every_graph_is_measured_once(made: Store, store_url: str) -> None:
    copy_store(made.url, store_url)
    store = open_store(store_url)
    first = run_evaluation(check_job(store, part_prompts=3))
    assert (first.num_done, first.num_skipped, first.exit_code) == (4, 0, 0)
    checks = read_checks(store.root)
    assert sorted(len(check.prompts) for check in checks) == [1, 3]
    for check in checks:
        assert check.settings == {"sources": 4, "seed": 0}
        assert set(check.made_by) == {"command", "versions", "platform", "worker"}
        for prompt in check.prompts:
            assert prompt.graph == graph_digest(store.graph(prompt.id)).hex()
    again = run_evaluation(check_job(store))
    assert (again.num_done, again.num_skipped) == (0, 4)
    other = run_evaluation(check_job(store, metric=EdgeEffectMetric(sources=4, seed=1)))
    assert other.num_done == 4, "other settings are other figures"


def test_a_sample_is_of_so_many_prompts_and_the_rest_comes_later(store: Store) -> None:
    first = run_evaluation(check_job(store, sample=2))
    assert first.num_done == len(set(first.table["prompt"])) == 2
    assert choose(store, 2, 0) == list(first.wanted)
    assert {tuple(choose(store, 2, seed)) for seed in range(20)} > {first.wanted}
    assert run_evaluation(check_job(store)).num_skipped == 2


def test_wrong_edges_end_with_exit_code_1(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graphs = [with_wrong_edges(graph) if graph.prompt_id == "p2" else graph for graph in store.graphs()]
    wrong = rewritten(store, str(tmp_path / "wrong"), graphs)
    assert verify_edges(store) == 0
    assert "direct effects agree to 0.0001 in all graphs" in capsys.readouterr().out
    assert verify_edges(wrong, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["disagreeing"] == ["p2"]
    assert found["worst"][0]["prompt"] == "p2"
    assert verify_edges(wrong) == 1, "also where all is known already"
    assert "DISAGREE" in capsys.readouterr().out
    assert verify_edges(wrong, "--tolerance", "0.1") == 0


def test_a_graph_that_cannot_be_measured_is_recorded_and_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (part,) = (Path(store.url) / "parts").iterdir()
    (chunk,) = [path for path in (part / "edges" / "weight").rglob("0") if path.is_file()]
    data = chunk.read_bytes()
    chunk.chmod(0o644)
    chunk.write_bytes(b"damaged")
    assert verify_edges(store) == 3
    assert "failed in read" in capsys.readouterr().out
    failed = run_evaluation(check_job(store))
    assert len(failed.failed) == 4
    assert all("StoreCorrupt" in reason for reason in failed.results.failed.values())
    chunk.write_bytes(data)
    after_repair = run_evaluation(check_job(store))
    assert (after_repair.num_done, after_repair.results.failed) == (4, {})


def test_too_little_memory_is_tried_once_more_with_fewer_cases(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: dict[str, list[int]] = {}
    evaluate = EdgeEffectMetric.evaluate_graph

    def greedy(self: EdgeEffectMetric, graph: Graph, model: object, transcoders: object, cases: int) -> object:
        tried.setdefault(graph.prompt_id, []).append(cases)
        if graph.prompt_id == "p3" or (graph.prompt_id == "p1" and cases > 4):
            raise MemoryError("too many cases")
        return evaluate(self, graph, model, transcoders, cases)  # type: ignore[arg-type]

    monkeypatch.setattr(EdgeEffectMetric, "evaluate_graph", greedy)
    found = run_evaluation(check_job(store))
    assert tried == {"p0": [32], "p1": [32, 4], "p2": [32], "p3": [32, 4]}
    assert [(one.prompt_id, one.reason) for one in found.failed] == [("p3", "MemoryError: too many cases")]


def test_other_files_than_the_store_was_made_with_are_refused(store: Store) -> None:
    other = CASES / "gpt2_relu_plt"
    with pytest.raises(StoreMismatch, match="made with other files"):
        run_evaluation(check_job(store, model=str(other / "model"), transcoders=str(other / "transcoders")))


def test_files_may_be_elsewhere(store: Store, tmp_path: Path) -> None:
    moved = {
        name: shutil.copytree(CASES / "llama_relu_plt" / name, tmp_path / name) for name in ("model", "transcoders")
    }
    assert run_evaluation(check_job(store, **{name: str(path) for name, path in moved.items()})).num_done == 4


def test_figures_of_a_model_that_changed_are_not_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, evaluate = (
        shutil.copytree(CASES / "llama_relu_plt" / "model", tmp_path / "model"),
        EdgeEffectMetric.evaluate_graph,
    )

    def late(self: EdgeEffectMetric, graph: Graph, *others: object) -> object:
        if graph.prompt_id == "p2":
            os.truncate(moved / "model.safetensors", os.path.getsize(moved / "model.safetensors") + 1)
        return evaluate(self, graph, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(EdgeEffectMetric, "evaluate_graph", late)
    with pytest.raises(FilesChanged, match=r"model\.safetensors"):
        run_evaluation(check_job(store, model=str(moved)))
    assert read_checks(open_backend(store.url)) == []


def test_the_summary_names_the_first_failures_without_secrets_and_what_is_left() -> None:
    failed = tuple(Outcome(f"p{n}", "failed", "read", "no s3://me:hush@host/x") for n in range(7))
    results = EvaluationResults({}, Table({"prompt": []}), frozenset(), {})
    summary = EvaluationSummary((), results, 2, 1, failed, 3, 4.0)
    first, *lines = summary.describe().splitlines()
    assert first == "2 measured, 1 skipped (done before), 7 failed in 4.0 seconds (0.50 prompts/s)"
    assert lines[0] == "failed in read: 'p0': 'no s3://...@host/x'"
    assert lines[5:] == ["... and 2 more", "stopped with 3 prompts left: run the same command again to go on"]
    assert "hush" not in f"{summary.describe()} {summary.as_dict()}"
    with pytest.warns(DeprecationWarning, match="figures of EvaluationSummary is now results"):
        assert summary.figures is results  # type: ignore[attr-defined]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ConfigError, match="sources"):
        EdgeEffectMetric(sources=0)
    assert main(["verify-edges", "nowhere", "--tolerance", "-1"]) == 1


def test_tolerance_goes_by_what_a_store_was_made_with() -> None:
    trace = {"sweep_dtype": "float32"}
    exact = {"forward_dtype": "float32", "weight_bits": 23, "trace": trace}
    assert tolerance_of(exact) == 1e-4
    assert tolerance_of({**exact, "weight_bits": 10}) == 1e-4 + 2**-11
    assert tolerance_of({**exact, "trace": {"sweep_dtype": "bfloat16"}}) == 2e-2
    assert tolerance_of({**exact, "forward_dtype": "bfloat16"}) == 5e-2
