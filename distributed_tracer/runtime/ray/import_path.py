"""Import path: lets workers import from the same folders as this process. Ray would add the current directory.

A file such as `scipy.py` beside somebody's prompts is not part of this program and must not run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ray.job_config import JobConfig

_PACKAGE = Path(__file__).parents[2]


class DriversPath(JobConfig):
    """A Ray job configuration that puts `import_path`, and nothing else, in front of the workers' own paths."""

    def _get_proto_job_config(self) -> Any:
        self._py_driver_sys_path = import_path()[::-1]  # reversed: a worker inserts each entry in front of the others
        return super()._get_proto_job_config()  # type: ignore[no-untyped-call]  # untyped in Ray


def import_path() -> list[str]:
    """Return the entries of `sys.path` without the interpreter's own folders, which a worker has anyway.

    The current directory is included only if it was named: as the folder of the program or of this package, or as an
    entry of PYTHONPATH. Python also adds it for `-c`, for `-m` and for an empty entry of PYTHONPATH.
    """
    interpreters = {os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    named = {os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry}
    named |= {str(_PACKAGE.parent), *_of_program()}
    here = _current()
    return [
        entry
        for entry in dict.fromkeys(sys.path)
        if os.path.isabs(entry)
        and not any(Path(os.path.realpath(entry)).is_relative_to(prefix) for prefix in interpreters)
        and (entry in named or os.path.realpath(entry) != here)
    ]


def _of_program() -> list[str]:
    """Return the folders of the running program: that of the script, or that which `python -m` imports the module from.

    The folder to which a symbolic link to the file leads is included.
    """
    program = sys.modules["__main__"]
    file, spec = getattr(program, "__file__", None), getattr(program, "__spec__", None)
    if file is None:
        return []
    path = Path(os.path.abspath(file))
    return [str(path.parents[spec.name.count(".")] if spec else path.parent), str(Path(os.path.realpath(file)).parent)]


def _current() -> str | None:
    """Return the current directory; None if it no longer exists."""
    try:
        return os.path.realpath(os.getcwd())
    except FileNotFoundError:
        return None
