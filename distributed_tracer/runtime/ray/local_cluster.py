"""Ray started on this machine for one run: nobody else reaches it, and no signal to a group of processes ends it.

Ray has no options for most of this; what is set instead is what it reads: variables, its constants, the signals that
a process blocks. The tests look at the processes that come of it.
"""

from __future__ import annotations

import os
import secrets
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import ray
from ray._private import ray_constants, worker

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""What timeout, systemd, Slurm and a terminal that is closed send to every process of a run. The driver alone answers:
it lets workers finish, and ends Ray then. SIGINT is blocked by Ray itself."""
_LOOPBACK_ONLY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""If 0, Ray takes the loopback for this machine's address and listens nowhere else, on every system."""


@contextmanager
def started_here(init: Callable[..., Any]) -> Iterator[None]:
    """Call `init`, which is to start Ray, with further arguments. Ray ends with the block, by ray.shutdown."""
    before = {name: os.environ.get(name) for name in (*_variables(), "PYTHONPATH")}
    _set({**_variables(), "PYTHONPATH": _import_path(os.environ.get("PYTHONPATH", ""))})
    everywhere, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        _read_token_again()
        with _signals():
            init(_temp_dir=str(own_folder() / "ray"))
        _end_at_once()
        yield
    finally:
        ray.shutdown()
        ray_constants.ENABLE_RAY_CLUSTER = everywhere
        _set(before)
        _read_token_again()


def own_folder() -> Path:
    """A folder that only this user can enter: Ray lets everybody write in the one that it is given, so that lies in it.

    `/tmp/ray-UID`, as paths of sockets in it may have 107 characters; RAY_TMPDIR stands for `/tmp`.
    """
    parent = Path(os.environ.get("RAY_TMPDIR") or "/tmp")
    folder = parent / f"ray-{os.getuid()}"
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():  # another user was here first
            return Path(tempfile.mkdtemp(prefix="ray-", dir=parent))
        folder.chmod(0o700)
    return folder


def _variables() -> dict[str, str]:
    """What Ray's processes read. The token is of this run alone, whatever clusters this user may have one for."""
    return {_LOOPBACK_ONLY: "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _import_path(given: str) -> str | None:
    """PYTHONPATH without its empty entries, which stand for the current directory."""
    return os.pathsep.join(os.path.abspath(entry) for entry in given.split(os.pathsep) if entry) or None


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _read_token_again() -> None:
    """Ray reads both variables once in a process: what was read before, for another cluster, does not count now."""
    raylet: Any = ray._raylet
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _signals() -> Iterator[None]:
    """Processes started in the block never get ENDING: they inherit what the thread that starts them blocks.

    One that comes meanwhile is for this process, after the block.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _end_at_once() -> None:
    """Let Ray's processes, and theirs, be killed at the end: Ray would send each SIGTERM, and wait for it in vain."""
    node: Any = worker._global_node
    kill: Callable[..., Any] = node.kill_all_processes

    def killing(check_alive: bool = True, allow_graceful: bool = False, **options: Any) -> None:
        children = [found for infos in node.all_processes.values() for info in infos for found in _under(info.process)]
        kill(check_alive=check_alive, allow_graceful=False, **options)
        for child in children:
            with suppress(psutil.Error):
                child.kill()

    node.kill_all_processes = killing


def _under(process: subprocess.Popen[bytes]) -> list[Any]:
    """Its children and theirs."""
    try:
        return list(psutil.Process(process.pid).children(recursive=True))
    except psutil.Error:
        return []
