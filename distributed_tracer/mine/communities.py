"""mine_roles, mine_pathways: communities of features over all graphs of a store, and how far to trust them.

edges of clusters ─▶ graph of features ─▶ Leiden, bootstraps, shuffled edges ─▶ names, enrichment, inhibition

Roles are features with like profiles; pathways are features that raise each other. docs/roles.md has the definitions.

Axes: E edge in a cluster, F feature, I site, N node, Y community.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.sparse import csr_array, vstack

from ..errors import ConfigError
from ..names import unknown as unknown_name
from ..profile.reader import Profile
from ..profile.same_features import check_profile
from ..store.reader import Store
from ..table import Table
from ..tasks.phases import Execute, Phases, perform_here
from ..text import counted
from .cluster_edges import ENTRY_BYTES, ClusterEdges
from .community_enrichment import acting, enrichment, values_of_clusters
from .community_graph import membership
from .community_labels import SIGNIFICANT
from .community_links import between, neighbours
from .community_names import NodeNames, community_names
from .community_settings import CommunitySettings, community_warnings
from .community_tables import CommunityTables
from .community_tasks import EDGE_BYTES, NODE_BYTES, CommunityPhases
from .consensus_tasks import clusters_of
from .findings import Findings, InMemoryResult, mine_in_phases, phases_of_memory
from .leiden import import_leiden
from .profiled_tokens import ProfiledTokens
from .prompts import ChosenPrompts, choose_prompts
from .result import Result
from .role_columns import TABLES
from .token_names import token_names

Kind = Literal["roles", "pathways"]
KINDS = ("roles", "pathways")


@dataclass(frozen=True, eq=False, repr=False)
class Communities(InMemoryResult):
    """Communities of features; docs/roles.md describes the columns."""

    COLUMNS: ClassVar = TABLES

    communities: Table
    """A row for each community of each level."""
    members: Table
    """The features of each community, the best fit first."""
    levels: Table
    """What each partition is worth as a whole."""
    runs: Table
    """Every run of Leiden: other seeds, bootstraps, shuffled edges."""
    between: Table
    """How communities raise and lower each other."""
    enrichment: Table
    """Tokens and metadata of the clusters in which communities act."""
    neighbours: Table
    """What feeds communities and what they feed."""
    facts: Mapping[str, Any]
    """Numbers of features, edges, clusters and tests, and the settings."""
    warnings: tuple[str, ...]
    """What makes these numbers less certain than they look."""


@dataclass(frozen=True, eq=False)
class CommunityPlan:
    """What is to be mined, and how."""

    kind: Kind
    prompts: ChosenPrompts
    where: tuple[str, ...]
    cluster: str | None
    memory_gb: float
    settings: CommunitySettings = field(default_factory=CommunitySettings)
    profile: Profile | None = None
    """From which communities take their names, as far as it has their features."""

    @property
    def temporary_bytes(self) -> int:
        """A bound of the bytes of temporary files, beside what runs leave of each feature."""
        return EDGE_BYTES * self.prompts.num_edges + NODE_BYTES * self.prompts.num_nodes

    def describe(self) -> str:
        """Return lines for people."""
        settings, edges = self.settings, self.prompts.num_edges
        runs = 1 + settings.bootstraps + 2 * settings.shuffles
        return (
            f"{counted(len(self.prompts), 'prompt')}, {counted(edges, 'edge')}\n"
            f"{counted(runs, 'graph')} of features, {counted(len(settings.resolutions), 'level')}\n"
            f"at most {edges * ENTRY_BYTES / 1e9:.3f} GB for edges, of {self.memory_gb:g} that are allowed; edges of "
            "features that few clusters have need none\n"
            f"at most {self.temporary_bytes / 1e9:.3f} GB of temporary files, and a few bytes for each feature and run"
        )


def plan_communities(
    store: Store,
    kind: Kind,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    memory_gb: float = 2.0,
    settings: CommunitySettings | None = None,
    profile: Profile | None = None,
) -> CommunityPlan:
    """Return what is to be mined, or refuse what cannot be. Reads no graphs."""
    if kind not in KINDS:
        raise ConfigError(unknown_name("kind of communities", kind, KINDS))
    if not memory_gb > 0:
        raise ConfigError(f"memory_gb must be above 0, not {memory_gb:g}")
    import_leiden()
    if profile is not None:
        check_profile(store, profile)
    conditions = (where,) if isinstance(where, str) else tuple(where)
    prompts = choose_prompts(store, conditions, cluster)
    return CommunityPlan(kind, prompts, conditions, cluster, memory_gb, settings or CommunitySettings(), profile)


def find_communities(plan: CommunityPlan) -> Communities:
    """Return the communities that a plan asks for, by way of temporary files.

    Raises ConfigError if the edges do not fit into memory, and if too few features are in enough clusters.
    """
    with phases_of_memory(plan.prompts, {"memory_gb": plan.memory_gb}) as phases:
        return communities_in_phases(phases, plan)


def communities_in_phases(phases: Phases, plan: CommunityPlan) -> Communities:
    """Return what `find_communities` returns; phases of tasks do the long work."""
    prompts, settings = plan.prompts, plan.settings
    cluster_of = clusters_of(prompts)
    if int(cluster_of.max(initial=-1)) < 0:
        raise ConfigError("no prompt has a cluster: all of them lack the metadata that names it")
    work = CommunityPhases.begin(phases, plan.kind, prompts, settings)
    levels, contexts, renamed = work.find()
    edges, acts, sites, unknown = (getattr(work.mined, name) for name in ("edges", "acts", "sites", "unknown"))
    tables = CommunityTables(levels, edges, acts, contexts.distance_F, settings.alpha)
    tokens, means = token_names(prompts.store), edges.means(np.ones(edges.num_clusters))
    names = NodeNames(edges, sites, tokens, prompts.store.labels)
    fed = neighbours(means, tables.labels, tables.first, names)
    values, has_by_cluster = values_of_clusters(prompts, cluster_of, plan.cluster, contexts, tokens)
    member_YF = csr_array(vstack([membership(label_F) for label_F in tables.labels]))
    acts_by_cluster = acting(member_YF, acts, edges.num_clusters)
    enriched, num_tests = enrichment(acts_by_cluster, values, has_by_cluster, settings.alpha)
    features = zip(names.layer_N[: edges.num_features].tolist(), names.feature_N.tolist(), strict=False)
    profiled = None if plan.profile is None else ProfiledTokens.of(plan.profile, features)
    named = community_names(tables.labels, names, contexts, tokens, fed, enriched, profiled)
    communities = tables.communities(named, np.diff(acts_by_cluster.indptr).astype(np.int64))
    facts: dict[str, Any] = {
        "prompts": int((cluster_of >= 0).sum()),
        "features_seen": sites.num_features,
        "pairs": len(means[0]),
        "prompts_without_influence": unknown.prompts,
        "edges_unknown": unknown.edges,
        "num_tests_enrichment": num_tests,
        **({} if profiled is None else {"features_profiled": len(profiled.active)}),
        **_facts(communities, edges, settings, renamed),
    }
    return Communities(
        communities,
        tables.members(sites.feature_I[work.mined.site_F].astype(np.int64)),
        tables.level_table(communities, settings.seed),
        tables.run_table(),
        between(means, edges, tables.labels, tables.first),
        enriched,
        fed,
        facts,
        tuple(community_warnings(prompts, settings, facts)),
    )


def _facts(communities: Table, edges: ClusterEdges, settings: CommunitySettings, renamed: float) -> dict[str, Any]:
    return {
        "clusters": edges.num_clusters,
        "features": edges.num_features,
        "edges_in_clusters": len(edges.share_E),
        "communities": len(communities),
        "significant": int((communities["verdict"] == SIGNIFICANT).sum()),
        "renamed": renamed,
        **{name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()},
    }


def mine_communities(plan: CommunityPlan, out: str | Path, run: Execute = perform_here) -> Result:
    """Write the communities that a plan asks for into the folder `out`; `run` does the work, as for `mine_atlas`."""
    options = {
        "where": list(plan.where),
        "cluster": plan.cluster,
        **{name: list(value) if isinstance(value, tuple) else value for name, value in asdict(plan.settings).items()},
        **({} if plan.profile is None else {"profile": plan.profile.info["sha256"]}),
    }

    def find(phases: Phases) -> Findings:
        return communities_in_phases(phases, plan).findings()

    given = {"memory_gb": plan.memory_gb}
    return mine_in_phases(out, plan.kind, plan.prompts, options, find, run, plan.temporary_bytes, given)


def mine_roles(
    store: Store,
    out: str | Path,
    *,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    memory_gb: float = 2.0,
    settings: CommunitySettings | None = None,
    run: Execute = perform_here,
    profile: Profile | None = None,
) -> Result:
    """Write groups of features that are fed by the same and feed the same into the folder `out`.

    `cluster` names metadata whose equal values make prompts a cluster; `memory_gb` bounds what edges take, in 10^9
    bytes. With a `profile` of the store's features, communities take their names from it. `run` does the work, as for
    `mine_atlas`; what a killed run has finished is not done again. docs/roles.md has the definitions. Raises
    ConfigError for what cannot be mined, and ResultError if the disk is full.
    """
    return mine_communities(plan_communities(store, "roles", where, cluster, memory_gb, settings, profile), out, run)


def mine_pathways(
    store: Store,
    out: str | Path,
    *,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    memory_gb: float = 2.0,
    settings: CommunitySettings | None = None,
    run: Execute = perform_here,
    profile: Profile | None = None,
) -> Result:
    """Write groups of features that raise each other into the folder `out`. Arguments and errors are those of
    `mine_roles`; the number of neighbours is not used."""
    return mine_communities(plan_communities(store, "pathways", where, cluster, memory_gb, settings, profile), out, run)
