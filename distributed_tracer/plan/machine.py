"""Machine: the memory and speed of one worker, as far as they can be known without torch and without a cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import JobConfig, RunConfig
from .control_group import memory_limits, num_processors
from .processor import Processor, cpu_of, gpu_of

if TYPE_CHECKING:
    import torch

CPU_FLOPS = 5e10
"""Floating-point operations per second and CPU thread that tracing reaches in float32. On one core of a server with
AVX-512, 46e9 to 76e9 were measured, for 10 to 80 tokens and a model of 135 M parameters."""
GPU_FLOPS = 1e13
"""Floating-point operations per second of a GPU: a cautious guess for data-centre cards in float32, not measured."""


@dataclass(frozen=True)
class WorkerResources:
    """The resources of one worker. `free_bytes` is None if this machine cannot know it."""

    on_gpu: bool
    free_bytes: int | None
    operations_per_second: float
    free_host_bytes: int = 0
    """Free main memory of a worker on a GPU; 0 on a CPU, where `free_bytes` is main memory."""
    num_gpus: float = 0.0
    """Number of GPUs over which the worker's model is spread, whose free memory `free_bytes` adds up."""
    processor: Processor | None = None
    """The CPU or the GPU that computes (of several GPUs, the oldest); None if this machine cannot know it."""

    @property
    def device(self) -> str:
        """The type of the device that computes, as torch names it: "cuda" or "cpu"."""
        return "cuda" if self.on_gpu else "cpu"


def worker_resources(config: JobConfig) -> WorkerResources:
    """Return each worker's share of this machine; on a remote cluster, the free memory is not known."""
    run = config.run
    remote = not run.local and (run.ray_address is not None or "RAY_ADDRESS" in os.environ)
    on_cpu = config.model.device_map == "cpu" or (run.local and os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"))
    gpus = [] if remote or on_cpu else free_gpu_bytes()
    num_gpus = 0.0 if on_cpu else float(len(gpus)) if run.local else run.gpus_per_worker
    num_workers = 1 if run.local else run.workers
    if num_gpus > 0:
        free = round(min(gpus) * num_gpus) if gpus else None
        host = free_cpu_bytes() // num_workers if gpus else 0
        speed, gpu = GPU_FLOPS * num_gpus, gpu_here() if gpus else None
        return WorkerResources(True, free, speed, free_host_bytes=host, num_gpus=num_gpus, processor=gpu)
    threads = run.threads or max(1, num_cores() // num_workers)
    speed = CPU_FLOPS * threads
    if remote:
        return WorkerResources(False, None, speed)
    return WorkerResources(False, free_cpu_bytes() // num_workers, speed, processor=cpu_here())


def cpu_here(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor | None:
    """Return this machine's CPU, or None if the file does not describe it, as on systems other than Linux."""
    return cpu_of(cpuinfo.read_text(encoding="utf-8", errors="replace")) if cpuinfo.exists() else None


def gpu_here() -> Processor | None:
    """Return the oldest GPU of this machine, or None if its driver does not say what GPUs can compute."""
    return gpu_of(ask_gpus("name", "compute_cap"))


def most_workers_here(run: RunConfig) -> int:
    """Return the largest number of a run's workers that may share this machine. Call it where a worker runs.

    If the run starts Ray on this machine, all of them do. On a cluster, Ray places no more than there are CPUs or GPUs.
    """
    if run.local or run.ray_address is None:
        return 1 if run.local else run.workers
    fitting = [run.workers, num_cores() // (run.threads or 1)]
    if run.gpus_per_worker > 0 and (gpus := ask_gpus("index")):
        fitting.append(int(len(gpus) / run.gpus_per_worker))
    return max(1, min(fitting))


def num_cores() -> int:
    """Return the number of CPU cores that this process may use: those it may run on, or fewer if it has a CPU quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = num_processors()
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def free_gpu_bytes() -> list[int]:
    """Return the free memory of every GPU of this machine in bytes; empty if there is none."""
    return [int(free) * 2**20 for (free,) in ask_gpus("memory.free") if free.isdigit()]


def ask_gpus(*properties: str) -> list[list[str]]:
    """Return the requested properties of every GPU of this machine, as nvidia-smi prints them, memory in MiB.

    The list is empty if there is no GPU. Raises subprocess.TimeoutExpired if the driver does not answer in 30 seconds.
    """
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", f"--query-gpu={','.join(properties)}", "--format=csv,noheader,nounits"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.stdout.splitlines()]
    return [row for row in rows if len(row) == len(properties)] if answer.returncode == 0 else []


def free_bytes_of(device: torch.device) -> int:
    """Return the number of bytes that can be allocated on a device of torch, whose memory this process can see.

    On a GPU this includes the memory that PyTorch's allocator holds from earlier prompts and will use again.
    """
    if device.type != "cuda":
        return free_cpu_bytes()
    from torch import cuda

    return cuda.mem_get_info(device)[0] + cuda.memory_reserved(device) - cuda.memory_allocated(device)


def free_cpu_bytes() -> int:
    """Return the bytes of main memory that can still be allocated.

    This is the least of what the machine and each control group of this process have free.
    """
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    return min([free, *(group.free for group in memory_limits())])
