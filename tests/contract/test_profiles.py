"""What every executor promises of jobs that profile features."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs_of_cases import plain_rows
from profile_jobs import contents, profile_job

from distributed_tracer.config import RunConfig
from distributed_tracer.harvest.job import run_profile

ON_RAY = (pytest.mark.ray, pytest.mark.slow)
RUNS = {
    "one actor": RunConfig(workers=1, threads=1, progress=False),
    "two actors": RunConfig(workers=2, threads=1, progress=False),
    "two slices": RunConfig(workers=2, slices=2, threads=1, progress=False),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("one actor", marks=[*ON_RAY, pytest.mark.thorough]),
        pytest.param("two actors", marks=ON_RAY),
        pytest.param("two slices", marks=[*ON_RAY, pytest.mark.thorough]),
    ],
)
def test_the_files_are_the_same_whoever_reads_the_texts(name: str, tmp_path: Path, ray_cluster: object) -> None:
    rows = plain_rows(9)
    here = run_profile(profile_job(tmp_path, rows, out="here"))
    there = run_profile(profile_job(tmp_path, rows, RUNS[name], out="there", part_seconds=1e-9))
    assert (there.num_done, there.exit_code) == (here.num_done, 0)
    assert contents(there.folder) == contents(here.folder)
