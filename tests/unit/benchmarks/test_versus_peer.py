"""versus_peer: its options, the directory it gives the peer, and our side of it in a process of its own."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from rounding import nearly, of_tiny_model
from tiny import save_model, save_transcoders

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

from versus_peer import HERE, for_older_transformers, variant
from worker_loop import Worker

from distributed_tracer import TraceConfig, attribute, load_model, load_transcoders
from distributed_tracer.export.npz import npz_arrays


def test_a_variant_overrides_fields_of_the_trace_config() -> None:
    assert variant("float32:") == variant("float32") == ("float32", {})
    assert variant("all:keep_all=true,sweep_rows=64") == ("all", {"keep_all": True, "sweep_rows": 64})


def test_a_variant_of_a_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"no field 'sweeprows'; it has .*sweep_rows"):
        variant("wide:sweeprows=64")


def test_the_peer_is_told_the_rotary_base_where_it_looks_for_it(tmp_path: Path) -> None:
    model = save_model(tmp_path / "model")
    written = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(
        json.dumps(written | {"rope_parameters": {"rope_theta": 5e5, "rope_type": "linear", "factor": 2.0}})
    )
    older = for_older_transformers(model, tmp_path / "older")
    config = json.loads((older / "config.json").read_text())
    assert (config["rope_theta"], config["rope_scaling"]) == (5e5, {"rope_type": "linear", "factor": 2.0})
    tokenizer = json.loads((older / "tokenizer_config.json").read_text())
    assert tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert (older / "model.safetensors").resolve() == (model / "model.safetensors").resolve()


def test_our_side_answers_with_what_it_measured_and_the_whole_graph(tmp_path: Path) -> None:
    model, transcoders = save_model(tmp_path / "model"), save_transcoders(tmp_path / "transcoders")
    trace = {"max_feature_nodes": 20, "constant_node": False}
    options = {"model": str(model), "transcoders": str(transcoders), "trace": trace, "threads": 1, "warm_up": [1, 5]}
    tokens = [1, 7, 30, 12, 100]
    with closing(Worker("ours", [sys.executable, str(HERE / "our_run.py")], options, tmp_path / "run")) as worker:
        answer = worker.trace(tokens, tmp_path / "graph.npz")
    graph = attribute(tokens, load_model(str(model)), load_transcoders(str(transcoders)), TraceConfig(**trace))
    expected = npz_arrays(graph)
    with np.load(tmp_path / "graph.npz", allow_pickle=False) as found:
        np.testing.assert_array_equal(found["active_features"], expected["active_features"])
        off = of_tiny_model(expected["adjacency"])
        np.testing.assert_allclose(found["adjacency"], expected["adjacency"], rtol=0, atol=off)
    assert answer["active"] == len(expected["active_features"])
    assert answer["total_seconds"] == nearly(sum(answer["seconds"].values()), len(answer["seconds"]))
    assert answer["saved_bytes"] > 1000
    assert answer["peak_bytes"] > 1e8


def test_a_worker_that_dies_shows_the_end_of_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise RuntimeError('no such checkout')"]
    with pytest.raises(SystemExit, match=r"peer failed(.|\n)*no such checkout"):
        Worker("peer", command, {"threads": 1}, tmp_path / "run")
