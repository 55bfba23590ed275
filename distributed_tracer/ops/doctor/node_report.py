"""Node reports: what every node is asked, and what it answers. They are sent as JSON, as nodes may have other
versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...artifacts.fingerprint import Files


@dataclass(frozen=True)
class CheckRequest:
    """Resources that a run would use. A resource that is None is not checked."""

    model: str | None = None
    transcoders: str | None = None
    store: str | None = None
    marker: str | None = None
    """Key of an object that the driver created in the store. A node that does not see it has another store."""
    full_hash: bool = False
    """Whether to read all bytes of large files, and not only samples."""
    temp_dir: str | None = None
    """Folder into which Ray spills on the node; None is the system's temporary directory."""


@dataclass(frozen=True)
class Gpu:
    """One GPU as nvidia-smi reports it. Its memory is None if nvidia-smi does not report it."""

    name: str
    driver: str
    free_bytes: int | None
    total_bytes: int | None


@dataclass(frozen=True)
class StoreCheck:
    """Result of an attempt to use the store as a run does."""

    url: str
    error: str = ""
    """Reason why the store cannot be used at all; empty if it can."""
    create_only: bool = False
    """Whether the first of two creations of one object counts, as commits need."""
    shared: bool | None = None
    """Whether the driver's object was seen; None if the driver created none."""
    left_over: str = ""
    """Key of a probe object that could not be removed; empty if there is none."""


@dataclass(frozen=True)
class NodeReport:
    """Report of one node. Fields that only Ray knows are None on a machine without Ray."""

    host: str
    versions: Mapping[str, str]
    gpus: tuple[Gpu, ...]
    gpu_error: str
    num_cores: int
    free_bytes: int
    shm_bytes: int | None
    """Size of /dev/shm; None if it does not exist."""
    temp_dir: str
    temp_free_bytes: int
    temp_bytes: int
    offline: bool
    """Whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set."""
    model: Files | None = None
    transcoders: Files | None = None
    unreadable: str = ""
    """Reason why the packages of this node cannot read the model, although its files are present; empty if they can."""
    store: StoreCheck | None = None
    node: str = ""
    """Name in messages: the host, followed by the beginning of Ray's node id if a host has several nodes."""
    address: str | None = None
    ray_gpus: float | None = None
    token_auth: bool | None = None
    clock_ahead_seconds: float | None = None
    """Number of seconds by which the node's clock is ahead of the driver's clock."""
    clock_error_seconds: float | None = None
    """Largest error of this number in seconds: half of the round trip."""
    precision: str = ""
    """A sentence on the use of bfloat16 on the node's GPUs, or else on its CPU; empty if its speed is not known."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> NodeReport:
        """Return the report that a node sent. Raises KeyError or TypeError for a report of another version."""
        found: dict[str, Any] = json.loads(text)
        found["gpus"] = tuple(Gpu(**gpu) for gpu in found["gpus"])
        for name in ("model", "transcoders"):
            if files := found[name]:
                found[name] = Files(
                    **{**files, "damaged": tuple(files["damaged"]), "listed": tuple(files.get("listed", ()))}
                )
        found["store"] = found["store"] and StoreCheck(**found["store"])
        return cls(**found)


@dataclass(frozen=True)
class UnreachableNode:
    """A node that is alive for Ray and did not return a report."""

    node: str
    address: str
    reason: str


@dataclass(frozen=True)
class Driver:
    """Report of the driver, the process that checks the nodes. In a run, it makes the plan and commits the parts."""

    versions: Mapping[str, str]
    store: StoreCheck | None = None


@dataclass(frozen=True)
class ClusterReport:
    """Reports of all nodes and of the driver."""

    answers: tuple[NodeReport, ...]
    silences: tuple[UnreachableNode, ...] = ()
    driver: Driver | None = None
