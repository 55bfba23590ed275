"""Where workers import from: the same places as this process. Ray itself would add the current directory.

A `scipy.py` between somebody's prompts is no part of this program, and must not run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ray.job_config import JobConfig

_PACKAGE = Path(__file__).parents[2]


class DriversPath(JobConfig):
    """A job whose workers get `import_path`, in front of their own, and nothing else."""

    def _get_proto_job_config(self) -> Any:
        self._py_driver_sys_path = import_path()[::-1]  # a worker puts one after another in front
        return super()._get_proto_job_config()  # type: ignore[no-untyped-call]  # Ray's gap


def import_path() -> list[str]:
    """What `sys.path` has beside the interpreter's own folders, which a worker has too.

    The current directory only if it is there by name: the folder of the program or of this package, or an entry of
    PYTHONPATH. Python puts it there for `-c`, for `-m` and for an empty entry of PYTHONPATH, too.
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
    """The folder that a script lies in, or that a module run by `python -m` is imported from."""
    program = sys.modules["__main__"]
    file, spec = getattr(program, "__file__", None), getattr(program, "__spec__", None)
    if file is None:
        return []
    path = Path(os.path.abspath(file))
    return [str(path.parents[spec.name.count(".")] if spec else path.parent), str(Path(os.path.realpath(file)).parent)]


def _current() -> str | None:
    """The current directory; None if it is gone."""
    try:
        return os.path.realpath(os.getcwd())
    except FileNotFoundError:
        return None
