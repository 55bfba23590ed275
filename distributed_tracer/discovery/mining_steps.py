"""Mining steps: which results of mining `discover` makes from the discovery half, with which command and settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..mine.atlas import mine_atlas, plan_atlas
from ..mine.communities import CommunityPlan, Kind, mine_communities, plan_communities
from ..mine.community_settings import CommunitySettings
from ..mine.consensus import mine_consensus
from ..mine.consensus_rule import ConsensusRule
from ..mine.consensus_tasks import describe_consensus
from ..mine.mine_chains import mine_chains, plan_chains
from ..mine.mine_contrast import ContrastPlan, plan_contrast, write_contrast
from ..mine.motif_plan import plan_motifs
from ..mine.motifs import mine_motifs
from ..mine.result import Result, open_result
from ..tasks.phases import Execute
from ..text import counted
from .contrast_choice import ContrastChoice
from .job import DiscoverPlan

_LONGEST = 30
CERTIFIABLE = ("consensus", "chains", "contrast", "roles", "pathways")
"""Kinds of results whose findings interventions can test."""


@dataclass(frozen=True)
class MiningStep:
    """A result that is to be made."""

    name: str
    """Name of the step, and of its folder."""
    kind: str
    """Kind of the result: the mining command that makes it."""
    about: str
    """What it is of, beside its kind; text from metadata is escaped."""
    describe: Callable[[], str]
    """Returns lines for people: what it will take. Reads no graphs, except for motifs."""
    mine: Callable[[Path, Execute], Result]
    """Writes the result into a folder, or returns the one that is finished there."""


def mining_steps(plan: DiscoverPlan) -> Iterator[MiningStep]:
    """Yield the mining steps of a plan in their order."""
    for name in plan.job.steps:
        if name == "contrasts":
            for number, choice in enumerate((one for one in plan.contrasts if not one.why_not), 1):
                yield _contrast(plan, choice, number)
        elif name in _STEPS:
            describe, mine = _STEPS[name]
            yield MiningStep(name, name, "", partial(describe, plan), partial(mine, plan))


def _describe_atlas(plan: DiscoverPlan) -> str:
    return plan_atlas(plan.store, plan.job.memory_gb, plan.halves.of_discovery, plan.halves.field).describe()


def _atlas(plan: DiscoverPlan, out: Path, run: Execute) -> Result:
    where, field = plan.halves.of_discovery, plan.halves.field
    return mine_atlas(plan.store, out, plan.job.memory_gb, where, field, run=run)


def _describe_consensus(plan: DiscoverPlan) -> str:
    return describe_consensus(plan.halves.discovery, plan.job.memory_gb)


def _consensus(plan: DiscoverPlan, out: Path, run: Execute) -> Result:
    settings, halves = plan.job.settings, plan.halves
    rule = ConsensusRule("frequency", threshold=settings.threshold, seed=settings.seed)
    asked = {"where": list(halves.of_discovery), "cluster": halves.field}
    prompts = halves.discovery if halves.field else replace(halves.discovery, clusters=None)  # it warns of that
    return mine_consensus(prompts, out, rule, asked, plan.job.memory_gb, run)


def _describe_chains(plan: DiscoverPlan) -> str:
    prompts = counted(len(plan.halves.discovery), "prompt")
    return f"{counted(plan.job.settings.chains, 'chain')} of the atlas, counted in {prompts}"


def _chains(plan: DiscoverPlan, out: Path, run: Execute) -> Result:
    if "atlas" not in plan.job.steps:
        raise ConfigError("chains are those of an atlas: the step atlas was not asked for")
    atlas = open_result(out.parent / "atlas")
    found = plan_chains(plan.store, atlas, plan.job.settings.chains, memory_gb=plan.job.memory_gb)
    return mine_chains(found, out, run)


def _contrast(plan: DiscoverPlan, choice: ContrastChoice, number: int) -> MiningStep:
    def planned() -> ContrastPlan:
        field = plan.halves.field
        return plan_contrast(
            plan.store,
            choice.a,
            choice.b,
            where=(*plan.halves.of_discovery, *choice.where),
            cluster=field,
            paired=field if choice.is_paired else None,
            q=plan.job.settings.alpha,
            permutations=plan.job.settings.permutations,
            seed=plan.job.settings.seed,
            memory_gb=plan.job.memory_gb,
        )

    def mine(out: Path, run: Execute) -> Result:
        return write_contrast(planned(), out, run)

    value = choice.name.rpartition(" against ")[0]
    letters = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:_LONGEST].strip("-")
    name = f"contrast-{number}-{letters}".strip("-")
    return MiningStep(name, "contrast", choice.name, lambda: planned().describe(), mine)


def _communities(kind: Kind) -> tuple[Callable[[DiscoverPlan], str], Callable[[DiscoverPlan, Path, Execute], Result]]:
    def planned(plan: DiscoverPlan) -> CommunityPlan:
        of, halves = plan.job.settings, plan.halves
        settings = CommunitySettings(bootstraps=of.bootstraps, shuffles=of.shuffles, alpha=of.alpha, seed=of.seed)
        memory = plan.job.memory_gb
        return plan_communities(plan.store, kind, halves.of_discovery, halves.field, memory, settings)

    def mine(plan: DiscoverPlan, out: Path, run: Execute) -> Result:
        return mine_communities(planned(plan), out, run)

    return lambda plan: planned(plan).describe(), mine


def _of_motifs(plan: DiscoverPlan) -> dict[str, Any]:
    """Return the arguments of the motifs."""
    halves, settings = plan.halves, plan.job.settings
    own = {"draws": settings.draws, "memory_gb": plan.job.memory_gb, "seed": settings.seed}
    return {"where": halves.of_discovery, "cluster": halves.field, **own}


def _describe_motifs(plan: DiscoverPlan) -> str:
    return plan_motifs(plan.store, **_of_motifs(plan)).describe()


def _motifs(plan: DiscoverPlan, out: Path, run: Execute) -> Result:
    return mine_motifs(plan.store, out, run=run, **_of_motifs(plan))


_STEPS: dict[str, tuple[Callable[[DiscoverPlan], str], Callable[[DiscoverPlan, Path, Execute], Result]]] = {
    "atlas": (_describe_atlas, _atlas),
    "consensus": (_describe_consensus, _consensus),
    "chains": (_describe_chains, _chains),
    "roles": _communities("roles"),
    "pathways": _communities("pathways"),
    "motifs": (_describe_motifs, _motifs),
}
