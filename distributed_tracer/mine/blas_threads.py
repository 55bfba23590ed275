"""one_blas_thread: lets one thread compute numpy's products and decompositions, so that no bit depends on the machine.

OpenBLAS divides work among as many threads as there are cores, and the order of its sums depends on their number. It
reads the environment variables that limit them only once, before numpy is imported. So it is asked by a call.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_NAMES = [f"{first}openblas_{{}}_num_threads{last}" for first in ("scipy_", "") for last in ("64_", "")]
"""Names of the C functions that get and set the number of threads; numpy's wheels add a beginning and an ending. Names
that end in "_" alone are those for Fortran, which take an address."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let OpenBLAS compute with one thread inside the block, also in other Python threads.

    Numpy with another library, such as MKL, is left as it is: its bits may then depend on the number of threads.
    """
    with ExitStack() as stack:
        for get, set_ in _libraries():
            stack.callback(set_, get())
            set_(1)
        yield


def _libraries() -> Iterator[tuple[Callable[[], int], Callable[[int], None]]]:
    """Yield the functions of each OpenBLAS that this process has loaded."""
    try:
        lines = _MAPS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # a system without it
        return
    for path in sorted({line.split(maxsplit=5)[-1] for line in lines if "openblas" in line}):
        try:
            library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        except OSError:
            continue
        for name in _NAMES:
            get, set_ = (getattr(library, name.format(what), None) for what in ("get", "set"))
            if get is not None and set_ is not None:
                set_.argtypes, set_.restype = [ctypes.c_int], None
                yield get, set_
                break
