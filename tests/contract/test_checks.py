"""What every executor promises of jobs that measure stored graphs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from checks_of_cases import check_job, traced

from distributed_tracer.config import RunConfig
from distributed_tracer.evaluate.job import run_evaluation
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.table import Table

ON_RAY = (pytest.mark.ray, pytest.mark.slow)
RUNS = {
    "here": RunConfig(local=True, threads=1, progress=False),
    "two actors": RunConfig(workers=2, threads=1, progress=False),
    "two slices": RunConfig(workers=2, slices=2, threads=1, progress=False),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Table]:
    """A store, and the figures of its graphs as this process finds them."""
    directory = tmp_path_factory.mktemp("made")
    store = traced(directory, 6)
    shutil.copytree(store.url, directory / "reference")
    return store, run_evaluation(check_job(open_store(str(directory / "reference")))).table


@pytest.mark.parametrize(
    "name",
    [
        "here",
        pytest.param("two actors", marks=ON_RAY),
        pytest.param("two slices", marks=[*ON_RAY, pytest.mark.thorough]),
    ],
)
def test_figures_are_the_same_whoever_measures(
    name: str, made: tuple[Store, Table], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not RUNS[name].local:
        request.getfixturevalue("ray_cluster")
    store, expected = made
    shutil.copytree(store.url, tmp_path / "store")
    checked = run_evaluation(check_job(open_store(str(tmp_path / "store")), RUNS[name], part_prompts=2))
    assert (checked.num_done, checked.exit_code) == (6, 0)
    for column in ("prompt", "distance", "edges"):
        assert checked.table[column].tolist() == expected[column].tolist()
    for column in ("difference", "spearman", "cosine", "sign"):
        np.testing.assert_array_equal(checked.table[column], expected[column])
