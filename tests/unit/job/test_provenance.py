"""What a store says about its making."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from jobs_of_cases import job, plain_rows

from distributed_tracer import __version__
from distributed_tracer.config import CorpusConfig
from distributed_tracer.job.provenance import run_info, without_secrets


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("--store s3://bucket/path", "--store s3://bucket/path"),
        ("--prompts s3://AKIAX:secret@host/p.jsonl", "--prompts s3://...@host/p.jsonl"),
        ("https://host/p?X-Amz-Signature=abc&b=c --local", "https://host/p?... --local"),
        ("--model hf_abcdefghijkl", "--model hf_..."),
        ("--api-key 12345 --local", "--api-key ... --local"),
        ("AWS_SECRET_ACCESS_KEY=abc/def+g cmd", "AWS_SECRET_ACCESS_KEY=... cmd"),
        ("--tokens", "--tokens"),
        ("--max-targets 10", "--max-targets 10"),
    ],
)
def test_credentials_are_left_out(text: str, clean: str) -> None:
    assert without_secrets(text) == clean


def test_a_store_knows_identity_configuration_versions_and_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["tracer", "--prompts", "https://me:pw@host/p", "a b"])
    config = replace(job(tmp_path, plain_rows(1)), corpus=CorpusConfig("https://me:pw@host/p"))
    info = run_info(config)
    assert info["identity"] == config.identity()
    assert info["command"] == "tracer --prompts https://...@host/p 'a b'"
    assert info["config"]["corpus"]["prompts"] == "https://...@host/p"
    assert info["config"]["trace"]["round_size"] == 16
    assert info["versions"]["distributed_tracer"] == __version__
    assert {"python", "torch", "transformers", "ray", "zarr", "numpy"} <= info["versions"].keys()
    assert json.loads(json.dumps(info)) == info
    assert "num_features" not in info
    assert json.loads(json.dumps(run_info(config, (4, 5))))["num_features"] == [4, 5]
