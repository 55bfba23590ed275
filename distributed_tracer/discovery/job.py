"""DiscoverJob: what to discover, where, and with which resources; and DiscoverPlan, what that amounts to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..config import RunConfig
from ..store.reader import Store, open_store
from .contrast_choice import ContrastChoice, choose_contrasts
from .halves import Halves, divide
from .settings import DEFAULT_STEPS, DiscoverSettings, chosen_steps


@dataclass(frozen=True)
class DiscoverJob:
    """What to discover, where, and with which resources."""

    store: str
    """Directory or URL of a store."""
    out: str | Path
    """Folder of the results."""
    cluster: str | None = None
    """Metadata whose equal values make prompts a cluster; None takes each prompt as one."""
    where: tuple[str, ...] = ()
    """Conditions that prompts must meet, all of them, in both halves."""
    steps: tuple[str, ...] = DEFAULT_STEPS
    by: tuple[str, ...] = ()
    """Metadata to contrast; without any, they are chosen."""
    settings: DiscoverSettings = field(default_factory=DiscoverSettings)
    memory_gb: float = 2.0
    model: str | None = None
    transcoders: str | None = None
    device_map: str = "auto"
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", chosen_steps(self.steps))

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return Path(self.out).expanduser()

    @property
    def run_of_certificates(self) -> RunConfig:
        """Who intervenes: this process, where a single worker is asked for and no cluster, as for mining."""
        has_cluster = self.run.ray_address or os.environ.get("RAY_ADDRESS")
        alone = self.run.workers == 1 and not has_cluster and not self.run.gpus_per_worker
        return replace(self.run, local=True) if alone else self.run


@dataclass(frozen=True, eq=False)
class DiscoverPlan:
    """What a job amounts to. It has read no graph."""

    job: DiscoverJob
    store: Store
    halves: Halves

    @classmethod
    def of(cls, job: DiscoverJob) -> DiscoverPlan:
        """Return the plan of a job. Raises ConfigError as `divide` and `choose_contrasts` do, and StoreError."""
        store = open_store(job.store)
        plan = cls(job, store, divide(store, job.cluster, job.where, job.settings.share))
        _ = plan.contrasts  # refuses metadata that no prompt has
        return plan

    @cached_property
    def contrasts(self) -> list[ContrastChoice]:
        """All contrasts that could be made, those that are made first."""
        if "contrasts" not in self.job.steps:
            return []
        of = self.job.settings
        return choose_contrasts(self.halves, of.contrasts, of.min_clusters, of.alpha, self.job.by)

    def options(self) -> dict[str, Any]:
        """Return what determines all results, as JSON; resources do not."""
        job = self.job
        memory = {"memory_gb": job.memory_gb} if "motifs" in job.steps else {}  # the loops that are kept depend on it
        return {
            "prompts": {"discovery": self.halves.discovery.digest(), "held_out": self.halves.held_out.digest()},
            "cluster": job.cluster,
            "where": list(job.where),
            "steps": list(job.steps),
            "by": list(job.by),
            **asdict(job.settings),
            **memory,
        }

    def warnings(self) -> Iterator[str]:
        """Yield what makes all findings less certain than they look."""
        yield from self.halves.warnings()
