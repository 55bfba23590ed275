"""Local cluster: Ray started on this machine for one run, out of reach for others and for signals to process groups.

Ray has no options for most of this. Instead this module sets what Ray reads: environment variables, Ray's constants,
and the signals that a process blocks. The tests check the resulting processes.
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
"""Signals that timeout, systemd, Slurm and a closed terminal send to every process of a run. Only the driver handles
them: it lets workers finish, and then ends Ray. Ray itself blocks SIGINT."""
_LOOPBACK_ONLY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Variable that, if it is 0, makes Ray use the loopback as this machine's address and listen nowhere else, on every
operating system."""


@contextmanager
def started_here(init: Callable[..., Any]) -> Iterator[None]:
    """Call `init`, which must start Ray, with further arguments. At the end of the block, ray.shutdown ends Ray."""
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
    """Return a folder that only this user can enter.

    Ray makes its own folder writable for everybody, so it is created inside this one. The path is `/tmp/ray-UID`, which
    is short because the paths of sockets in it may have at most 107 characters; RAY_TMPDIR replaces `/tmp`.
    """
    parent = Path(os.environ.get("RAY_TMPDIR") or "/tmp")
    folder = parent / f"ray-{os.getuid()}"
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():  # another user created it first
            return Path(tempfile.mkdtemp(prefix="ray-", dir=parent))
        folder.chmod(0o700)
    return folder


def _variables() -> dict[str, str]:
    """Return the environment variables for Ray's processes.

    The token belongs to this run alone, even if the user has tokens for other clusters.
    """
    return {_LOOPBACK_ONLY: "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _import_path(given: str) -> str | None:
    """Return PYTHONPATH without its empty entries, which mean the current directory; None if nothing is left."""
    return os.pathsep.join(os.path.abspath(entry) for entry in given.split(os.pathsep) if entry) or None


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _read_token_again() -> None:
    """Make Ray read its variables and token again.

    Ray reads them once per process, and may have read them earlier for another cluster.
    """
    raylet: Any = ray._raylet
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _signals() -> Iterator[None]:
    """Block the signals ENDING for all processes that are started in the block.

    A process inherits the blocked signals of the thread that starts it. This process itself receives a signal that
    arrives meanwhile after the block.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _end_at_once() -> None:
    """Make the end of Ray kill its processes and their descendants at once.

    Ray would send SIGTERM to each, which they block, and wait for it in vain.
    """
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
    """Return all descendants of a process."""
    try:
        return list(psutil.Process(process.pid).children(recursive=True))
    except psutil.Error:
        return []
