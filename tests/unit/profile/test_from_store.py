"""Profiles of stores, without a model and without torch."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jobs_of_cases import CASE, LOCAL, job, plain_rows
from profile_jobs import SMALL, contents, profile_job

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.harvest.job import run_profile
from distributed_tracer.harvest.settings import ProfileJob
from distributed_tracer.pipeline import run_job
from distributed_tracer.profile.reader import open_profile
from distributed_tracer.store.reader import Store, open_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    config = job(tmp_path_factory.mktemp("store"), plain_rows(5))
    run_job(config)
    return open_store(config.store.store)


def test_a_store_has_the_profile_of_its_texts(store: Store, tmp_path: Path) -> None:
    of_texts = run_profile(profile_job(tmp_path, plain_rows(5), out="texts", top_tokens=0, neighbours=0))
    of_store = run_profile(ProfileJob(str(tmp_path / "store"), store=store.url, run=LOCAL, **SMALL))
    assert (of_store.num_done, of_store.exit_code) == (5, 0)
    assert list(open_profile(of_store.folder)) == list(open_profile(of_texts.folder))
    assert {c.quantile for feature in open_profile(of_store.folder) for c in feature.contexts} == {0, 1, 2}


def test_with_a_model_promoted_tokens_are_added(store: Store, tmp_path: Path) -> None:
    files = {"model": str(CASE / "model"), "transcoders": str(CASE / "transcoders")}
    of_store = run_profile(ProfileJob(str(tmp_path / "store"), store=store.url, run=LOCAL, **SMALL, **files))
    of_texts = run_profile(profile_job(tmp_path, plain_rows(5), out="texts"))
    found = list(open_profile(of_store.folder))
    assert all(len(feature.promoted) == 3 and len(feature.neighbours) == 2 for feature in found)
    assert found == list(open_profile(of_texts.folder))


def test_a_decoder_is_read_of_every_feature_of_a_layer(tmp_path: Path) -> None:
    profile = open_profile(run_profile(profile_job(tmp_path, plain_rows(1), out="texts")).folder)
    decoders = list(profile.decoders(1))
    active = {feature.feature: (feature.promoted, feature.suppressed) for feature in profile.features([1])}
    assert [index for index, *_ in decoders] == list(range(profile.info["features_of_layers"][1]))
    assert len(active) < len(decoders)
    assert {index: tuple(tokens) for index, *tokens in decoders if index in active} == active
    assert {len(tokens) for _, *both in decoders for tokens in both} == {3}


def test_a_store_without_active_features_is_profiled_from_its_nodes(tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(3), store_active=False)
    run_job(config)
    done = run_profile(ProfileJob(str(tmp_path / "p"), store=config.store.store, run=LOCAL, **SMALL))
    profile, expected = open_profile(done.folder), defaultdict(dict)
    for graph in open_store(config.store.store).graphs():
        nodes = graph.nodes.take(graph.nodes.where(NodeKind.FEATURE))
        for layer, position, feature, activation in zip(
            *(a.tolist() for a in (nodes.layer_N, nodes.position_N, nodes.feature_N, nodes.activation_N)), strict=True
        ):
            expected[layer, feature][graph.prompt_id, position] = activation
    assert profile.info["num_incomplete"] == 3
    assert [(found.layer, found.feature) for found in profile] == sorted(expected)
    for found in profile:
        known = expected[found.layer, found.feature]
        assert found.num_active_tokens == len(known)
        for context in found.contexts:
            values = [known.get((context.prompt, context.start + n), np.nan) for n in range(len(context.tokens))]
            np.testing.assert_array_equal(context.activations, values)


def test_parts_of_a_small_memory_make_the_same_files(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_profile(ProfileJob(str(tmp_path / "whole"), store=store.url, run=LOCAL, **SMALL))
    monkeypatch.setattr("distributed_tracer.harvest.settings._PART_SHARE", 1e-9)
    parts = run_profile(ProfileJob(str(tmp_path / "parts"), store=store.url, run=LOCAL, **SMALL))
    assert contents(parts.folder) == contents(whole.folder)


def test_a_store_that_grew_is_another(store: Store, tmp_path: Path) -> None:
    first = ProfileJob(str(tmp_path / "p"), store=store.url, run=LOCAL, **SMALL)
    run_profile(first)
    assert run_profile(first).num_done == 0
    other = job(tmp_path, plain_rows(2), store="other")
    run_job(other)
    with pytest.raises(ConfigError, match="graphs: the profile has"):
        run_profile(replace(first, store=other.store.store))


def test_an_empty_store_is_refused(tmp_path: Path) -> None:
    config = job(tmp_path, [{"id": "bad", "tokens": [10**6]}])
    run_job(config)
    with pytest.raises(ConfigError, match="has no graphs to profile"):
        run_profile(ProfileJob(str(tmp_path / "p"), store=config.store.store, run=LOCAL, **SMALL))
    assert not (tmp_path / "p").exists()


def test_torch_is_not_needed(store: Store, tmp_path: Path) -> None:
    code = "import sys; from distributed_tracer.cli.main import main; sys.exit(main() or 'torch' in sys.modules)"
    command = [sys.executable, "-c", code, "profile", "--store", store.url, "--out", str(tmp_path / "p")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"wrote {tmp_path / 'p'}: ")
    assert len(open_profile(tmp_path / "p"))
