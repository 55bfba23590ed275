"""Workers of one machine fetch a model from the hub once, not once each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import REPO, serve
from jobs_of_cases import CASE, plain_rows, write_prompts

from distributed_tracer import open_store


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.thorough
def test_three_workers_fetch_the_weights_once(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", plain_rows(6))
    command = [sys.executable, "-m", "distributed_tracer", "trace", "--model", REPO, "--prompts", str(prompts)]
    command += ["--transcoders", str(CASE / "transcoders"), "--store", str(tmp_path / "store")]
    command += ["--workers", "3", "--threads", "1", "--max-feature-nodes", "20", "--no-progress"]
    with serve(CASE / "model") as (address, downloaded):
        online = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_XET": "1"}
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            online.pop(name, None)
        done = subprocess.run(command, env=online, capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(open_store(str(tmp_path / "store"))) == 6
    assert downloaded.count("model.safetensors") == 1, downloaded
