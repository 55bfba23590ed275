"""Node checks: findings about one node, independent of the other nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ...artifacts.fingerprint import Files
from ...text import format_bytes
from .node_report import NodeReport, StoreCheck

Severity = Literal["problem", "warning", "info"]
_ORDER: tuple[Severity, ...] = ("problem", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """One finding, with what to do about it.

    A `problem` means that a run would fail or that its results could not be trusted. `nodes` is empty if the finding
    concerns all nodes.
    """

    severity: Severity
    nodes: tuple[str, ...]
    what: str
    remedy: str = ""


def merge_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Merge equal findings about several nodes into one. The worst come first, otherwise the order stays."""
    nodes: dict[Finding, tuple[str, ...]] = {}
    for finding in findings:
        key = replace(finding, nodes=())
        nodes[key] = nodes.get(key, ()) + finding.nodes
    together = [replace(key, nodes=names) for key, names in nodes.items()]
    return sorted(together, key=lambda finding: _ORDER.index(finding.severity))


MIN_SHM_BYTES = 2**30
"""Smallest /dev/shm without a warning. Containers have 64 MiB by default; Ray then keeps its objects in a file on
disk."""
MIN_TEMP_BYTES = 5 * 2**30
MIN_TEMP_SHARE = 0.1
"""Smallest share of free disk space without a warning. Ray creates no more objects if less than 5% of the disk is
free."""
MIN_FREE_GPU_SHARE = 0.9
MAX_SKEW_SECONDS = 1.0
_NEEDED = ("torch", "transformers", "accelerate", "safetensors", "zarr", "numpy")


def findings_alone(answer: NodeReport) -> Iterator[Finding]:
    """Yield the findings about one node, except for differences between nodes."""
    for severity, what, remedy in _all(answer):
        yield Finding(severity, (answer.node,), what, remedy)


Findings = Iterator[tuple[Severity, str, str]]


def _all(answer: NodeReport) -> Findings:
    if absent := [name for name in _NEEDED if answer.versions.get(name) == "absent"]:
        yield "problem", f"not installed: {', '.join(absent)}", "install distributed_tracer with its dependencies there"
    yield from _files("model", answer.model, answer.offline)
    if answer.unreadable:
        yield "problem", answer.unreadable, ""
    yield from _files("transcoders", answer.transcoders, answer.offline)
    if answer.store is not None:
        yield from store_findings(answer.store)
    yield from _gpus(answer)
    yield from _room(answer)
    yield from _clock(answer)
    if answer.precision:
        yield "info", answer.precision, ""


def _files(what: str, files: Files | None, offline: bool) -> Findings:
    if files is None:
        return
    if files.folder is None and files.on_hub and not offline:
        yield "info", f"{what} {files.source!r}: {files.missing}; the first worker downloads it", ""
    elif files.folder is None:
        remedy = f"put the {what} into one folder that all nodes see at the same path, and give that path"
        yield "problem", f"{what} {files.source!r}: {files.missing}", remedy
    for sentence in files.damaged:
        yield "problem", f"{what} in {files.folder}: {sentence}", "copy or download it again"


def store_findings(trial: StoreCheck) -> Findings:
    """Yield severity, finding and remedy for the store check of a node or of the driver."""
    if trial.error:
        yield "problem", f"the store cannot be used: {trial.error}", "see that its address, rights and credentials hold"
        return
    if not trial.create_only:
        yield (
            "problem",
            f"the store {trial.url} lets a second creation replace the first: commits of two runs could be lost",
            "use an S3 server that honours If-None-Match, or a file system with hard links",
        )
    if trial.shared is False:
        yield (
            "problem",
            f"the store {trial.url} is another one than the driver's: graphs written there would not be found",
            "give a folder that all nodes share, or an s3:// address",
        )
    if trial.left_over:
        yield (
            "warning",
            f"the probe object {trial.left_over} in {trial.url} could not be removed",
            "it means nothing to a store; remove it by hand",
        )


def _gpus(answer: NodeReport) -> Findings:
    if answer.gpu_error:
        yield "warning", answer.gpu_error, "see that the driver is loaded and the container may use the GPUs"
    if answer.gpus and answer.versions.get("torch", "").endswith("+cpu"):
        yield "problem", f"torch {answer.versions['torch']} cannot use the GPUs", "install a build of torch with CUDA"
    if answer.ray_gpus is not None and answer.ray_gpus != len(answer.gpus):
        yield (
            "warning",
            f"Ray counts {answer.ray_gpus:g} GPUs, nvidia-smi {len(answer.gpus)}",
            "start Ray there with the right --num-gpus",
        )
    for number, gpu in enumerate(answer.gpus):
        if gpu.free_bytes and gpu.total_bytes and gpu.free_bytes < MIN_FREE_GPU_SHARE * gpu.total_bytes:
            free = f"{format_bytes(gpu.free_bytes)} of {format_bytes(gpu.total_bytes)}"
            yield "warning", f"GPU {number} has only {free} free", "end what else uses it: see nvidia-smi"


def _room(answer: NodeReport) -> Findings:
    if answer.shm_bytes is not None and answer.shm_bytes < MIN_SHM_BYTES:
        yield (
            "warning",
            f"/dev/shm has {format_bytes(answer.shm_bytes)}: Ray keeps its objects on disk where it is full",
            "docker run --shm-size=8g; on Kubernetes an emptyDir of medium Memory at /dev/shm",
        )
    free = answer.temp_free_bytes
    if free < max(MIN_TEMP_BYTES, MIN_TEMP_SHARE * answer.temp_bytes):
        yield (
            "warning",
            f"{format_bytes(free)} of {format_bytes(answer.temp_bytes)} are free at {answer.temp_dir}, "
            "where Ray spills",
            "make room, or start Ray with --temp-dir on a larger disk",
        )
    gpus = [gpu.free_bytes for gpu in answer.gpus if gpu.free_bytes is not None]
    free, where = (sum(gpus), "on its GPUs together") if gpus else (answer.free_bytes, "of main memory")
    if answer.model is not None and answer.model.num_bytes > free:
        needed = format_bytes(answer.model.num_bytes)
        yield (
            "warning",
            f"the model's files are {needed}, {format_bytes(free)} {where} are free",
            "see what `plan` says",
        )


def _clock(answer: NodeReport) -> Findings:
    ahead, give_or_take = answer.clock_ahead_seconds, answer.clock_error_seconds
    if ahead is not None and give_or_take is not None and abs(ahead) - give_or_take > MAX_SKEW_SECONDS:
        direction = "ahead of" if ahead > 0 else "behind"
        yield (
            "warning",
            f"the clock is {abs(ahead):.1f} s (give or take {give_or_take:.1f}) {direction} the driver's",
            "let NTP set it: S3 refuses requests whose time is 15 minutes off, and logs do not line up",
        )
