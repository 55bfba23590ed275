"""Libraries that replace some calls of the C library in a process that is started with LD_PRELOAD."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def compiled(source: str, folder: Path) -> str:
    """Compile a library and return its path. Skips the test where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("there is no C compiler, or no LD_PRELOAD, here")
    (folder / "shim.c").write_text(source)
    library = folder / "shim.so"
    command = [compiler, "-shared", "-fPIC", "-O1", str(folder / "shim.c"), "-o", str(library), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return str(library)
