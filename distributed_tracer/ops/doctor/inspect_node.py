"""Node inspection: the report of one machine about itself. Ray is not needed; torch only for a model's
configuration."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from ...artifacts import hub
from ...artifacts.local_files import model_files, transcoder_files
from ...job.provenance import versions
from ...plan.machine import ask_gpus, cpu_here, free_cpu_bytes, gpu_here, num_cores
from ...plan.precision import bfloat16_advice
from .model_files import why_unreadable
from .node_report import CheckRequest, Gpu, NodeReport
from .store_check import try_store

PACKAGE = Path(__file__).parents[2]
_SHM = Path("/dev/shm")
_GPU = ("driver_version", "memory.free", "memory.total", "name")


def probe(question: CheckRequest) -> NodeReport:
    """Check everything that a run needs on this machine. Problems are part of the report and raise no errors."""
    gpus, gpu_error = _gpus()
    temp_dir = question.temp_dir or tempfile.gettempdir()
    disk = shutil.disk_usage(temp_dir)
    host = socket.gethostname()
    model = model_files(question.model, question.full_hash) if question.model else None
    return NodeReport(
        host=host,
        node=host,
        versions=versions_here(),
        gpus=gpus,
        gpu_error=gpu_error,
        num_cores=num_cores(),
        free_bytes=free_cpu_bytes(),
        shm_bytes=shutil.disk_usage(_SHM).total if _SHM.is_dir() else None,
        temp_dir=temp_dir,
        temp_free_bytes=disk.free,
        temp_bytes=disk.total,
        offline=hub.is_offline(),
        model=model,
        unreadable=why_unreadable(model) if model else "",
        transcoders=transcoder_files(question.transcoders, question.full_hash) if question.transcoders else None,
        store=try_store(question.store, question.marker) if question.store else None,
        precision=_precision(bool(gpus)),
    )


def versions_here() -> dict[str, str]:
    """Return the versions of packages, and as `code` a hash of this package's files.

    Two checkouts may have the same version and different code.
    """
    return {**versions(), "code": code_hash(PACKAGE)}


def code_hash(folder: Path) -> str:
    """Return a hash (12 hex digits) of the names and contents of all .py files in a folder."""
    sha = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        sha.update(f"{path.relative_to(folder).as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()[:12]


def _gpus() -> tuple[tuple[Gpu, ...], str]:
    """Return all GPUs, and the reason if there are none although a driver is installed."""
    try:
        rows = ask_gpus(*_GPU)
    except (subprocess.TimeoutExpired, OSError) as error:
        return (), f"nvidia-smi does not answer: {error}"
    if not rows and shutil.which("nvidia-smi", mode=os.X_OK):
        return (), "nvidia-smi is installed and lists no GPU"
    return tuple(Gpu(name, driver, _mib(free), _mib(total)) for driver, free, total, name in rows), ""


def _precision(on_gpu: bool) -> str:
    """Return a sentence on the use of bfloat16; empty if the processor is not known."""
    try:
        processor = gpu_here() if on_gpu else cpu_here()
    except (subprocess.TimeoutExpired, OSError):
        return ""
    return bfloat16_advice(processor) if processor else ""


def _mib(text: str) -> int | None:
    return int(text) * 2**20 if text.isdigit() else None
