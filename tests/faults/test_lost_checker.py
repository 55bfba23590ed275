"""Workers that measure graphs die, for real, and so does the whole job; in the end every graph is measured."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from checks_of_cases import FOUR, check_job, traced
from jobs_of_cases import LOCAL
from killing import ROOT, start

from distributed_tracer.config import RunConfig
from distributed_tracer.evaluate.edge_effects import EdgeEffectMetric
from distributed_tracer.evaluate.job import run_evaluation
from distributed_tracer.graph.graph import Graph
from distributed_tracer.store.evaluations import read_checks
from distributed_tracer.table import Table

pytestmark = [pytest.mark.slow]

ONE = RunConfig(workers=1, threads=1, attempts=2, progress=False)


class Deadly(EdgeEffectMetric):
    """Kills its process without a word: at one prompt the first time only, as a mark says, at another every time."""

    def evaluate_graph(self, graph: Graph, *others: Any) -> Table:
        mark = Path(str(graph.metadata["marks"]))
        if graph.prompt_id == "p3" or (graph.prompt_id == "p1" and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate_graph(graph, *others)


@pytest.mark.ray
def test_a_killed_worker_costs_time_but_no_graph_and_one_that_always_kills_is_given_up(
    ray_cluster: None, tmp_path: Path
) -> None:
    store = traced(tmp_path, 5, marks=str(tmp_path / "mark"))
    checked = run_evaluation(check_job(store, ONE, Deadly(sources=4)))
    assert (tmp_path / "mark").exists()
    assert (checked.num_done, checked.exit_code) == (4, 3)
    (failed,) = checked.failed
    assert failed.prompt_id == "p3"
    assert "2 worker processes died" in str(failed.reason)
    assert "2 worker processes died" in checked.results.failed["p3"]
    here = run_evaluation(check_job(store, LOCAL, FOUR))
    assert (here.num_done, here.num_skipped, here.results.failed) == (1, 4, {})


JOB = """
import sys
from checks_of_cases import check_job
from distributed_tracer.store.reader import open_store
from distributed_tracer.evaluate.job import run_evaluation
run_evaluation(check_job(open_store(sys.argv[1]), part_prompts=1))
"""


def test_a_job_killed_in_the_middle_does_the_rest_when_run_again(tmp_path: Path) -> None:
    store = traced(tmp_path, 12)
    folder = Path(store.url) / "checks" / "edges"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    job = subprocess.Popen([sys.executable, "-c", JOB, store.url], env={**os.environ, "PYTHONPATH": paths})
    while job.poll() is None and len(list(folder.glob("*.json"))) < 2:
        time.sleep(0.001)
    job.kill()
    assert job.wait() == -signal.SIGKILL
    again = run_evaluation(check_job(store))
    assert 2 <= again.num_skipped < 12
    assert again.num_done == 12 - again.num_skipped
    assert again.exit_code == 0
    assert set(again.table["prompt"]) == set(store)


def test_a_stopped_job_writes_what_it_has_and_says_what_is_left(tmp_path: Path) -> None:
    store = traced(tmp_path, 12)
    process = start("verify-edges", store.url, "--local", "--no-progress", "--sources", "2000", "--log-format", "json")
    assert process.stderr is not None
    for line in process.stderr:
        if '"traced"' in line:
            process.send_signal(signal.SIGTERM)
            break
    printed, _ = process.communicate()
    assert process.returncode == 130, printed
    assert "prompts left" in printed
    (check,) = read_checks(store.root)
    assert 1 <= len(check.prompts) < 12
