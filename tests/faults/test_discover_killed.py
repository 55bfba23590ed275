"""A discovery is killed for real as it finishes each of its results; the same command then writes the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from discovered_stores import discoverable, discovered
from killing import ROOT

from distributed_tracer.mine.result import DOCUMENT

pytest.importorskip("pyarrow")
pytest.importorskip("graspologic_native")
pytestmark = [pytest.mark.slow]


def documents(folder: Path) -> set[str]:
    """The results that are finished in a folder of findings, certificates included."""
    return {str(path.parent.relative_to(folder)) for path in folder.rglob(DOCUMENT)}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.timeout(900)  # a process for every result, each of which loads a model
def test_a_discovery_that_is_killed_at_every_result_ends_with_the_same_bytes(tmp_path: Path) -> None:
    store, out = discoverable(tmp_path), tmp_path / "killed" / "findings"
    out.parent.mkdir()
    command = [sys.executable, "-m", "discovered_stores", store.url, str(out)]
    folders = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    killed_with: list[set[str]] = []
    while True:
        ended = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": folders}, capture_output=True, text=True, check=False
        )
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        found = documents(out)
        assert not killed_with or killed_with[-1] < found, "what was finished stays, and there is one more"
        killed_with.append(found)
    expected = tmp_path / "undisturbed" / "findings"
    expected.parent.mkdir()
    shutil.rmtree(Path(store.url) / "checks")
    discovered(store.url, expected)
    assert contents(out) == contents(expected)
    finished = documents(expected)
    assert killed_with[0] == set(), "the first process is killed as it finishes the first result"
    assert {len(found) for found in killed_with} == {*range(len(finished))}
    assert not list(out.rglob("*.tmp")) + list(out.rglob("work"))
