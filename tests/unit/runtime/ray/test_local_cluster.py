"""What Ray started here is given, and where workers import from. What becomes of it: faults/test_signals.py."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

pytest.importorskip("ray")

import ray

from distributed_tracer.config import RunConfig
from distributed_tracer.errors import ConfigError
from distributed_tracer.runtime.ray import cluster, local_cluster
from distributed_tracer.runtime.ray.local_cluster import own_folder, started_here

ROOT = Path(__file__).parents[4]


def test_the_folder_is_this_users_alone_whatever_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    folder = own_folder()
    assert (folder, stat.S_IMODE(folder.stat().st_mode)) == (tmp_path / f"ray-{os.getuid()}", 0o700)
    folder.chmod(0o777)
    assert stat.S_IMODE(own_folder().stat().st_mode) == 0o700
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")  # as another user may leave it in /tmp
    other = own_folder()
    assert (other.parent, stat.S_IMODE(other.lstat().st_mode)) == (tmp_path, 0o700)
    assert other.resolve() not in (folder, tmp_path / "elsewhere")


def test_variables_are_set_for_ray_alone_and_then_as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f":/some/where::{os.curdir}:")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setattr(local_cluster, "_end_at_once", lambda: None)
    monkeypatch.setattr(local_cluster, "_read_token_again", lambda: None)  # other tests' Ray may run in this process
    monkeypatch.setattr(local_cluster.ray, "shutdown", lambda: None)
    before, seen = dict(os.environ), {}
    with started_here(lambda **options: seen.update(os.environ)):
        pass
    assert dict(os.environ) == before
    assert seen["PYTHONPATH"] == f"/some/where:{Path.cwd()}"
    assert seen["RAY_AUTH_MODE"] == "token"
    assert len(bytes.fromhex(seen["RAY_AUTH_TOKEN"])) == 32


SHOW = "from distributed_tracer.runtime.ray.import_path import import_path; print(import_path())"
PROGRAMS = {
    "a command": (["-c", SHOW], False),
    "a script elsewhere": (["{elsewhere}/job.py"], False),
    "a script here": (["job.py"], True),
    "a module elsewhere": (["-m", "elsewhere_module"], False),
    "a module here": (["-m", "job"], True),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_workers_import_from_the_current_directory_only_if_the_program_lies_in_it(program: str, tmp_path: Path) -> None:
    here, elsewhere, library = tmp_path / "data", tmp_path / "elsewhere", tmp_path / "library"
    for folder in (here, elsewhere, library):
        folder.mkdir()
        (folder / "job.py").write_text(SHOW)
    (library / "elsewhere_module.py").write_text(SHOW)
    command, expected = PROGRAMS[program]
    arguments = [argument.format(elsewhere=elsewhere) for argument in command]
    path = f"{library}::{ROOT}"  # the empty entry is the current directory
    environment = {**os.environ, "PYTHONPATH": path}
    found = subprocess.run(
        [sys.executable, *arguments], cwd=here, env=environment, capture_output=True, text=True, check=True
    )
    paths = eval(found.stdout)
    assert (str(here) in paths) == expected
    assert paths.index(str(library)) < paths.index(str(ROOT))
    assert not [entry for entry in paths if entry.startswith((sys.prefix, sys.base_prefix)) or not entry]
    if "script" in program:
        assert paths[0] == str(here if expected else elsewhere)


def test_whatever_ray_says_when_it_does_not_start_is_an_error_of_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(init: object) -> NoReturn:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(cluster, "started_here", too_late)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(
        ConfigError, match=r"on this machine: The current node .* startup\. --local works without Ray\."
    ):
        cluster.connected(RunConfig()).__enter__()
