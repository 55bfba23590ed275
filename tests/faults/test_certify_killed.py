"""Workers and drivers that certify are killed for real; the same command then writes the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from certificate_results import communities
from checks_of_cases import traced
from killing import finish, kill_until_done

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
COUNT = 12


@pytest.fixture
def findings(tmp_path: Path) -> Result:
    store = traced(tmp_path, COUNT, topic="one", marks=str(tmp_path / "mark"))
    active = store.graph("p0").active
    assert active is not None
    sites = sorted({*zip(active.layer_A.tolist(), active.feature_A.tolist(), strict=True)})
    return communities(store, tmp_path / "found", {f"set {first}": sites[first::7] for first in range(7)})


def command(result: Result, store: str) -> list[str]:
    flags = ["--cluster", "topic", "--controls", "39", "--local", "--no-progress"]
    return ["certify", str(result.path), store, *flags]


def tables(result: Path) -> dict[str, bytes]:
    """The bytes of all files of certificates, and of their document without the time it was made, if it has one."""
    found = open_result(result / "certificates")
    files = {name: (found.path / name).read_bytes() for name in found.info["files"]}
    about = {name: value for name, value in found.info.items() if name not in ("store", "sha256")}
    return {**files, "provenance.json": json.dumps(about, sort_keys=True).encode()}


def test_a_driver_that_is_killed_again_and_again_ends_with_the_same_bytes(findings: Result, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    shutil.copytree(store.url, tmp_path / "other")
    expected = _expected(findings, tmp_path)
    folder = Path(store.url) / "checks" / "certificates"

    def has_begun() -> bool:
        return folder.exists() and any(folder.glob("*.json"))

    kill_until_done(command(findings, store.url), has_begun, lambda: None, 1.0, 3)
    assert tables(findings.path) == expected


def _expected(findings: Result, tmp_path: Path) -> dict[str, bytes]:
    """What an undisturbed run on a copy of the store writes."""
    finish(*command(findings, str(tmp_path / "other")))
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
    shutil.copytree(tmp_path / "store", tmp_path / "other")
    expected = _expected(findings, tmp_path)
    monkeypatch.setattr(certify, "CertificateMetric", Deadly)
    run = RunConfig(workers=2, threads=1, attempts=2, progress=False)
    store: Store = open_store(str(tmp_path / "store"))
    done, own = certify.certify(CertifyJob(findings.path, store.url, "topic", controls=39, run=run, part_prompts=2))
    assert (tmp_path / "mark").exists()
    assert (done.num_done, done.exit_code) == (COUNT, 0)
    assert own is not None
    assert tables(findings.path) == expected
