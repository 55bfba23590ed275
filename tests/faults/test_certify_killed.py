"""Workers and drivers that certify are killed for real; the same command then writes the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from certificate_results import communities
from checks_of_cases import traced
from jobs_of_cases import LOCAL
from killing import ROOT

from distributed_tracer.config import RunConfig
from distributed_tracer.evaluate import certify
from distributed_tracer.evaluate.certificate_metric import CertificateMetric
from distributed_tracer.evaluate.certify import CertifyJob
from distributed_tracer.graph.graph import Graph
from distributed_tracer.mine.result import Result, open_result
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.table import Table

pytest.importorskip("pyarrow")
pytestmark = [pytest.mark.slow]
COUNT = 8


@pytest.fixture
def findings(tmp_path: Path) -> Result:
    store = traced(tmp_path, COUNT, topic="one", marks=str(tmp_path / "mark"))
    active = store.graph("p0").active
    assert active is not None
    sites = sorted({*zip(active.layer_A.tolist(), active.feature_A.tolist(), strict=True)})
    return communities(store, tmp_path / "found", {f"set {first}": sites[first::7] for first in range(4)})


JOB = """
import sys
from jobs_of_cases import LOCAL
from distributed_tracer.evaluate.certify import CertifyJob, certify
certify(CertifyJob(sys.argv[1], sys.argv[2], "topic", controls=19, run=LOCAL, part_prompts=1))
"""


def job_on(result: Result, store: str, run: RunConfig = LOCAL) -> CertifyJob:
    return CertifyJob(result.path, store, "topic", controls=19, run=run, part_prompts=2)


def tables(result: Path) -> dict[str, bytes]:
    """The bytes of all files of certificates, and their document without the name of the store, which differs."""
    found = open_result(result / "certificates")
    files = {name: (found.path / name).read_bytes() for name in found.info["files"]}
    about = {name: value for name, value in found.info.items() if name not in ("store", "sha256")}
    return {**files, "provenance.json": json.dumps(about, sort_keys=True).encode()}


def test_a_driver_that_is_killed_ends_with_the_same_bytes_when_run_again(findings: Result, tmp_path: Path) -> None:
    expected, store = _expected(findings, tmp_path), str(tmp_path / "store")
    folder = Path(store) / "checks" / "certificates"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    driver = subprocess.Popen(
        [sys.executable, "-c", JOB, str(findings.path), store], env={**os.environ, "PYTHONPATH": paths}
    )
    while driver.poll() is None and len(list(folder.glob("*.json"))) < 2:
        time.sleep(0)
    driver.kill()
    assert driver.wait() == -signal.SIGKILL
    assert not (findings.path / "certificates").exists()
    done, own = certify.certify(job_on(findings, store))
    assert own is not None
    assert 2 <= done.num_skipped < COUNT
    assert tables(findings.path) == expected


def _expected(findings: Result, tmp_path: Path) -> dict[str, bytes]:
    """What an undisturbed run on a copy of the store writes."""
    shutil.copytree(tmp_path / "store", tmp_path / "other")
    certify.certify(job_on(findings, str(tmp_path / "other")))
    found = tables(findings.path)
    shutil.rmtree(findings.path / "certificates")
    return found


class Deadly(CertificateMetric):
    """Kills its process without a word at one prompt, the first time only, as a mark says."""

    def evaluate_graph(self, graph: Graph, *others: Any) -> Table:
        mark = Path(str(graph.metadata["marks"]))
        if graph.prompt_id == "p5" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate_graph(graph, *others)


@pytest.mark.ray
def test_a_worker_that_is_killed_changes_no_byte(
    ray_cluster: None, findings: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _expected(findings, tmp_path)
    monkeypatch.setattr(certify, "CertificateMetric", Deadly)
    run = RunConfig(workers=2, threads=1, attempts=2, progress=False)
    store: Store = open_store(str(tmp_path / "store"))
    done, own = certify.certify(job_on(findings, store.url, run))
    assert (tmp_path / "mark").exists()
    assert (done.num_done, done.exit_code) == (COUNT, 0)
    assert own is not None
    assert tables(findings.path) == expected
