"""What every node is asked and what it says about itself. Travels as JSON: nodes may run other versions of this."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...artifacts.fingerprint import Files


@dataclass(frozen=True)
class CheckRequest:
    """What a run would use. None is not looked at."""

    model: str | None = None
    transcoders: str | None = None
    store: str | None = None
    beacon: str | None = None
    """Key of an object that the driver has put into the store: a node that does not see it has another store."""
    full_hash: bool = False
    """Read all bytes of large files, not only samples."""
    temp_dir: str | None = None
    """Where Ray spills to on that node; None is the system's temporary directory."""


@dataclass(frozen=True)
class Gpu:
    """As nvidia-smi sees it. Memory is None where it does not tell."""

    name: str
    driver: str
    free_bytes: int | None
    total_bytes: int | None


@dataclass(frozen=True)
class StoreCheck:
    """What became of an attempt to use the store as a run would."""

    url: str
    error: str = ""
    """Why it cannot be used at all."""
    create_only: bool = False
    """Of two creations of one object the first counts."""
    shared: bool | None = None
    """Whether the driver's object was seen; None if it made none."""
    left_over: str = ""
    """A probe object that could not be removed."""


@dataclass(frozen=True)
class NodeReport:
    """One node. What only Ray knows is None on a machine without."""

    host: str
    versions: Mapping[str, str]
    gpus: tuple[Gpu, ...]
    gpu_error: str
    num_cores: int
    free_bytes: int
    shm_bytes: int | None
    """Size of /dev/shm; None where there is none."""
    temp_dir: str
    temp_free_bytes: int
    temp_bytes: int
    offline: bool
    """HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set."""
    model: Files | None = None
    transcoders: Files | None = None
    unreadable: str = ""
    """Why this node's packages could not read the model, though its files are there."""
    store: StoreCheck | None = None
    node: str = ""
    """What messages call it: the host, with the beginning of Ray's id where hosts have several nodes."""
    address: str | None = None
    ray_gpus: float | None = None
    token_auth: bool | None = None
    clock_ahead_seconds: float | None = None
    """Of the driver's clock ..."""
    clock_error_seconds: float | None = None
    """... give or take so much: half of the round trip."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> NodeReport:
        """Raises KeyError or TypeError for what another version wrote."""
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
    """A node that is alive for Ray and did not answer."""

    node: str
    address: str
    reason: str


@dataclass(frozen=True)
class Driver:
    """The process that asks, where it is not one of the nodes: it plans, and says which parts count."""

    versions: Mapping[str, str]
    store: StoreCheck | None = None


@dataclass(frozen=True)
class ClusterReport:
    """All that is known."""

    answers: tuple[NodeReport, ...]
    silences: tuple[UnreachableNode, ...] = ()
    driver: Driver | None = None
