"""The strongest chains of an atlas, with what the graphs themselves say of each.

find chains in the average graph ─▶ count them in the graphs ─▶ tables, which may become a result of mining
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from ..errors import ConfigError
from ..names import unknown
from ..store.reader import Store
from ..table import Table
from ..tasks.phases import Execute, Phases, perform_here
from ..tasks.task import Place, Task
from ..text import counted, short
from .chain_support import chain_support
from .chain_tables import CHAIN_COLUMNS, EDGE_COLUMNS, chain_table, edge_table
from .chains import Chain, best_chains, chain_bytes
from .findings import Findings, InMemoryResult, mine_in_phases, phases_of_memory
from .prompt_sets import FEW_CLUSTERS
from .prompts import ChosenPrompts, choose_prompts
from .result import Result, open_result
from .token_names import token_names

_TEMPORARY_BYTES = 1_000_000
"""Bytes of temporary files: these are the chains alone."""


@dataclass(frozen=True, eq=False, repr=False)
class ChainsResult(InMemoryResult):
    """The strongest chains, and what limits them."""

    COLUMNS: ClassVar = {"chains": CHAIN_COLUMNS, "edges": EDGE_COLUMNS}

    chains: Table
    """A row per chain, the largest product of mean shares first; docs/chains.md describes the columns."""
    edges: Table
    """A row per edge of each chain."""
    facts: Mapping[str, Any]
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ChainPlan:
    """Which chains are wanted, and the prompts in which they are counted."""

    atlas: Result
    prompts: ChosenPrompts
    k: int
    begin: Sequence[str]
    target: int | None
    min_edges: int
    min_prompts: int
    memory_gb: float
    token_names: Mapping[int, str]

    def describe(self) -> str:
        """Return lines for people."""
        num_sites, num_bytes = chain_bytes(self.atlas, self.k, self.min_edges, self.min_prompts)
        return (
            f"{counted(self.k, 'chain')} of an average graph of {counted(num_sites, 'node')}, which take "
            f"{num_bytes / 1e9:.3f} GB\n"
            f"counted in {counted(len(self.prompts), 'prompt')} with {counted(self.prompts.num_edges, 'edge')}"
        )

    @property
    def given(self) -> dict[str, Any]:
        """What tasks are given."""
        return {"atlas": str(self.atlas.path.absolute()), "memory_gb": self.memory_gb}

    def options(self) -> dict[str, Any]:
        """Return what determines the result beside the prompts, as JSON."""
        own = {name: getattr(self, name) for name in ("k", "target", "min_edges", "min_prompts")}
        clusters = None if self.prompts.clusters is None else self.prompts.clusters.tolist()
        return {"atlas": self.atlas.info.get("sha256"), "begin": list(self.begin), **own, "clusters": _digest(clusters)}

    def find(self, phases: Phases) -> ChainsResult:
        """Find the chains and count them; phases of tasks do the long work."""
        own = {name: getattr(self, name) for name in ("k", "target", "min_edges", "min_prompts")}
        arguments = {"atlas": self.atlas.info.get("sha256"), "begin": list(self.begin), **own}
        (done,) = phases.run("chains", [Task(find_chains, arguments)])
        chains = [Chain.of_json(fields) for fields in done.value]
        if not chains:
            end = "a target" if self.target is None else f"the target with token id {self.target}"
            raise ConfigError(
                f"the atlas at {self.atlas.path} has no chain from {' or '.join(self.begin)} to {end} that has at "
                f"least {counted(self.min_edges, 'edge')}, each in at least {counted(self.min_prompts, 'prompt')}"
            )
        supports = chain_support(self.prompts, [chain.sites for chain in chains])
        is_same = self.atlas.info["settings"].get("prompts") == self.prompts.digest()
        num_whole = sum(support.prompts > 0 for support in supports)
        num_with_target = sum(support.prompts_target > 0 for support in supports)
        facts = {
            "chains": len(chains),
            "with_their_target": num_with_target,
            "whole_in_a_graph": num_whole,
            "begin": list(self.begin),
            "target": self.target,
            "min_edges": self.min_edges,
            "min_prompts": self.min_prompts,
            "prompts": len(self.prompts),
            "prompts_of_the_atlas": is_same,
            "where": self.atlas.info["settings"].get("where"),
            "prompts_digest": self.atlas.info["settings"].get("prompts"),
        }
        warnings = tuple(_warnings((len(chains), num_with_target, num_whole), is_same, self.prompts))
        return ChainsResult(chain_table(chains, supports, self.token_names), edge_table(chains), facts, warnings)


def strongest_chains(store: Store, atlas: Result, k: int = 50, **options: Any) -> ChainsResult:
    """Return the `k` strongest chains of an atlas, and in how many prompts and clusters of the store each is whole.

    `options` and errors are those of `plan_chains`.
    """
    plan = plan_chains(store, atlas, k, **options)
    with phases_of_memory(plan.prompts, plan.given) as phases:
        return plan.find(phases)


def mine_chains(plan: ChainPlan, out: str | Path, run: Execute = perform_here) -> Result:
    """Write the chains into the folder `out`, and return the result; a finished one is returned as it is.

    `run` does the work, as for `mine_atlas`; what a killed run has finished is not done again. Raises ConfigError for a
    folder with another result.
    """

    def find(phases: Phases) -> Findings:
        return plan.find(phases).findings()

    return mine_in_phases(out, "chains", plan.prompts, plan.options(), find, run, _TEMPORARY_BYTES, plan.given)


def find_chains(
    place: Place,
    atlas: str | None,
    k: int,
    begin: list[str],
    target: int | None,
    min_edges: int,
    min_prompts: int,
) -> list[dict[str, Any]]:
    """Return the strongest chains of the atlas that is given, as JSON; `atlas` tells it from others."""
    found = open_result(place.given["atlas"])
    if found.info.get("sha256") != atlas:
        raise ConfigError(f"the atlas at {found.path} has changed since the command began: run it again")
    chains = best_chains(found, k, begin, target, min_edges, min_prompts, place.given["memory_gb"])
    return [asdict(chain) for chain in chains]


def plan_chains(
    store: Store,
    atlas: Result,
    k: int = 50,
    *,
    begin: str | Sequence[str] = "token",
    target: int | str | None = None,
    min_edges: int = 2,
    min_prompts: int = 2,
    where: str | Sequence[str] | None = None,
    cluster: str | None = None,
    memory_gb: float = 2.0,
) -> ChainPlan:
    """Return which chains are found in an atlas, and in which prompts they are counted; no graph is read.

    The strength by which chains are chosen is the product of the mean shares of their edges, times the share of prompts
    that have the target. `begin` has the kinds of nodes that a chain begins with: token, error, feature. `target` is a
    target's token id, or its text with or without the space before it; default all. A chain has at least `min_edges`
    edges, each of which is in at least `min_prompts` prompts of the atlas. Chains are counted in the prompts that meet
    `where`, by default those of the atlas, with the clusters of the field `cluster`, by default that of the atlas. In
    other prompts than those of the atlas the numbers are free of the choice. Raises ConfigError as `best_chains` does,
    for prompts or a target that do not exist, and for a store that is known to be of another model.
    """
    names = token_names(store)
    kinds = (begin,) if isinstance(begin, str) else tuple(begin)
    prompts = _chain_prompts(store, atlas, where, cluster)
    token = target if target is None or isinstance(target, int) else _token_id(target, names)
    return ChainPlan(atlas, prompts, k, kinds, token, min_edges, min_prompts, memory_gb, names)


def _token_id(text: str, names: Mapping[int, str]) -> int:
    """Return the id of a token that is given by its id or its text. Raises ConfigError unless it is one token."""
    if text.isdecimal() and text.isascii():
        return int(text)
    found = sorted(token for token, name in names.items() if name in (text, f" {text}"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError(unknown("token", text, list(dict.fromkeys(names.values())), quoted=True))
    listed = ", ".join(f"{token} ({short(names[token])})" for token in found)
    raise ConfigError(f"{short(text)} may be several tokens: name one by its id, {listed}")


def _digest(clusters: Sequence[int] | None) -> str | None:
    """Return a hash of the clusters of all prompts, so that another field counts as another result."""
    return None if clusters is None else sha256(repr(list(clusters)).encode("ascii")).hexdigest()


def _chain_prompts(
    store: Store, atlas: Result, where: str | Sequence[str] | None = None, cluster: str | None = None
) -> ChosenPrompts:
    """Return the prompts in which the support of an atlas's chains is counted.

    Raises ConfigError as `choose_prompts`, and if the store is known to be of another model or other transcoders.
    """
    own, identity = atlas.info.get("identity") or {}, store.info.get("identity") or {}
    for name in ("model", "transcoders"):
        if own.get(name) and identity.get(name) and own[name] != identity[name]:
            raise ConfigError(
                f"the atlas is of the {name} {short(str(own[name]))}, and {store.url} of {short(str(identity[name]))}: "
                "their features are not the same"
            )
    settings = atlas.info.get("settings", {})
    conditions = settings.get("where", ()) if where is None else where
    return choose_prompts(store, conditions, settings.get("cluster") if cluster is None else cluster)


def _warnings(numbers: tuple[int, int, int], is_same: bool, prompts: ChosenPrompts) -> Iterable[str]:
    """Yield warnings; `numbers` are those of all chains, of those whose target occurs, and of those that are whole."""
    num_chains, num_with_target, num_whole = numbers
    if num_with_target < num_chains:
        yield (
            f"{num_chains - num_with_target:,} of {counted(num_chains, 'chain')} end in a target that no graph of "
            "these prompts has: these prompts cannot say anything about them"
        )
    if num_whole < num_with_target:
        yield (
            f"{num_with_target - num_whole:,} of {counted(num_with_target, 'chain')} are whole in no graph of "
            "these prompts, though their targets are there: the edges come from different prompts, which a product of "
            "means does not see"
        )
    if is_same:
        yield (
            "the chains are counted in the same prompts by whose means they were chosen, which makes the numbers of "
            "those that were chosen too large: --where counts them in others, of an atlas that did not see them"
        )
    if prompts.num_clusters is None:
        yield (
            "no clusters are named: prompts that share a template count as independent, and intervals are too narrow"
        )
    elif prompts.num_clusters < FEW_CLUSTERS:
        yield f"there are only {counted(prompts.num_clusters, 'cluster')}: intervals are rough"
    if prompts.num_without_cluster:
        yield f"{counted(prompts.num_without_cluster, 'prompt')} without a cluster do not count in mean_share"
