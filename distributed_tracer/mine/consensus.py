"""consensus_graph: the nodes and edges that many clusters of prompts have, and how sure it is that they belong.

inclusion in each cluster ─▶ frequency, interval, weight ─▶ rule of the graph ─▶ clusters that may be removed

Axes: I item (a node or an edge), Y item in a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.columns import KINDS
from ..store.reader import Store
from ..table import Table
from ..tasks.phases import Execute, Phases, perform_here
from ..text import counted
from .certify import as_fraction, reaches, removal_radius
from .consensus_columns import TABLES
from .consensus_rule import CONFIDENCE, ConsensusRule, Rule, selection, weights_over_clusters
from .consensus_tasks import EDGE_BYTES, ConsensusPhases, clusters_of, num_ranges, pieces
from .findings import Findings, InMemoryResult, describe_graphs, mine_in_phases, phases_of_memory
from .inclusion import Inclusion, node_inclusion
from .prompt_sets import FEW_CLUSTERS
from .prompts import ChosenPrompts, choose_prompts
from .proportions import clopper_pearson
from .result import Result
from .site_names import site_names
from .sites import Sites

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class ConsensusGraph(InMemoryResult):
    """The graph that clusters of prompts have in common; docs/similar.md describes the columns."""

    COLUMNS: ClassVar = TABLES

    edges: Table
    """The edges that are in the graph, and those of which the data do not say it, the most frequent first."""
    nodes: Table
    """The nodes of the same kinds."""
    facts: Mapping[str, Any]
    """Numbers of prompts and clusters, of edges in the graph and of those that are not listed, and the settings."""
    warnings: tuple[str, ...]
    """What makes these numbers less certain than they look."""


def consensus_graph(
    store: Store,
    *,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    rule: Rule = "frequency",
    threshold: float = 0.5,
    within: float = 0.5,
    share: float = 0.8,
    subsample: int | None = None,
    samples: int = 1_000,
    resamples: int = 1_000,
    memory_gb: float = 2.0,
    seed: int = 0,
) -> ConsensusGraph:
    """Return the consensus graph of a store, or of the prompts that meet `where`, over clusters of prompts.

    A cluster includes a node or an edge (between sites, without positions) if at least `within` of its prompts have it.
    Rule `frequency`: an item is in the graph if at least `threshold` of the clusters include it. Rule `share`: an edge
    is in the graph if at least `threshold` of all subsamples of `subsample` clusters (default: a quarter, at least one)
    choose it; a subsample chooses the largest mean shares of influence that together cover `share`. The radius is the
    number of clusters that anyone may remove without removing the item: exact for `frequency`; for `share` estimated
    from `samples` subsamples, with a confidence of 0.999 for all edges together. Weights have 95% intervals from
    `resamples` bootstraps of clusters. `cluster` names metadata; without it each prompt is a cluster.

    Raises ConfigError for settings out of range, for a condition or metadata that names nothing, and if no prompt has a
    cluster.
    """
    settings = ConsensusRule(rule, threshold, within, share, subsample, samples, resamples, seed)
    prompts = choose_prompts(store, where, cluster)
    with phases_of_memory(prompts, {"memory_gb": memory_gb}) as phases:
        return consensus_in_phases(phases, prompts, settings, memory_gb)


def mine_consensus(
    prompts: ChosenPrompts,
    out: str | Path,
    rule: ConsensusRule,
    asked: Mapping[str, Any],
    memory_gb: float = 2.0,
    run: Execute = perform_here,
) -> Result:
    """Write the consensus graph into the folder `out`, and return the result; a finished one is returned as it is.

    `asked` are the conditions and the field that determine the prompts and their clusters. `run` does the work, as for
    `mine_atlas`; what a killed run has finished is not done again. Raises ConfigError for a folder with another result.
    """

    def find(phases: Phases) -> Findings:
        return consensus_in_phases(phases, prompts, rule, memory_gb).findings()

    given = {"memory_gb": memory_gb}
    return mine_in_phases(out, "consensus", prompts, {**asked, **asdict(rule)}, find, run, _temporary(prompts), given)


def _temporary(prompts: ChosenPrompts) -> int:
    """Return a bound of the bytes of temporary files; with the rule `frequency` there are far fewer."""
    return EDGE_BYTES * prompts.num_edges


def consensus_in_phases(
    phases: Phases, prompts: ChosenPrompts, rule: ConsensusRule, memory_gb: float
) -> ConsensusGraph:
    """Return what `consensus_graph` returns, for prompts that are chosen already; phases of tasks do the long work."""
    cluster_of = clusters_of(prompts)
    num = int(cluster_of.max(initial=-1)) + 1
    if not num:
        raise ConfigError("no prompt has a cluster: all of them lack the metadata that names it")
    subsample = max(1, num // 4) if rule.subsample is None else rule.subsample
    if not 1 <= subsample <= num:
        raise ConfigError(f"subsample must be from 1 to the number of clusters, {num}, not {subsample!r}")
    work = ConsensusPhases.begin(phases, prompts)
    sites = Sites.load(phases.work / work.sites)
    within, threshold = as_fraction(rule.within), as_fraction(rule.threshold)
    # an interval that does not reach the threshold says that the item is not in the graph
    reach = clopper_pearson(np.arange(num + 1), num)[1] >= rule.threshold
    nodes = node_inclusion(prompts, sites, cluster_of, within)
    listed_nodes = nodes.where(reach[nodes.clusters_I])
    starts = sites.ranges(num_ranges(prompts.num_edges, memory_gb)).tolist()
    listed = None if rule.rule == "share" else reach
    of_clusters = work.edges(pieces(prompts), starts, within, listed)
    edges = of_clusters.inclusion
    facts: dict[str, Any] = {
        "rule": rule.rule,
        "threshold": rule.threshold,
        "within": rule.within,
        "prompts": int((cluster_of >= 0).sum()),
        "clusters": num,
        "prompts_without_influence": of_clusters.unknown.prompts,
        "edges_unknown": of_clusters.unknown.edges,
        "seed": rule.seed,
    }
    chosen = None
    if rule.rule == "share":
        chosen = selection(work.count_chosen(of_clusters, num, subsample, rule), num, subsample, rule)
        keep = chosen["selected_high"] >= rule.threshold
        edges, chosen = edges.where(keep), {name: values[keep] for name, values in chosen.items()}
        facts |= {"share": rule.share, "subsample": subsample, "samples": rule.samples, "confidence": CONFIDENCE}
    edge_table = _edge_table(prompts, sites, edges, num, rule, chosen)
    node_table = _node_table(prompts, sites, listed_nodes, num, threshold)
    is_in = edge_table["status"] == "in"
    facts |= {
        "edges_seen": of_clusters.number,
        "edges_listed": len(edge_table),
        "edges_in": int(is_in.sum()),
        "edges_certified": int((edge_table["radius"] > 0).sum()),
        "edges_undecided": int((edge_table["status"] == "abstains").sum()),
        "nodes_seen": len(nodes.key_I),
        "nodes_in": int((node_table["status"] == "in").sum()),
        "share_covered": float(edge_table["share"][is_in].sum()),
    }
    return ConsensusGraph(edge_table, node_table, facts, tuple(_doubts(prompts, facts)))


def _edge_table(
    prompts: ChosenPrompts,
    sites: Sites,
    edges: Inclusion,
    num: int,
    rule: ConsensusRule,
    chosen: Mapping[str, npt.NDArray[Any]] | None,
) -> Table:
    target, source = np.divmod(edges.key_I, len(sites))
    frequency = _frequencies(edges.clusters_I, num)
    if chosen is None:
        radius = removal_radius(edges.clusters_I, num, as_fraction(rule.threshold))
        status = np.where(radius >= 0, "in", "out")
        selected = dict.fromkeys(("selected", "selected_low", "selected_high"), np.full(len(radius), np.nan))
    else:
        radius, status = chosen["radius"], np.where(chosen["radius"] >= 0, "in", "abstains")
        selected = {name: chosen[name] for name in ("selected", "selected_low", "selected_high")}
    share, low, high = weights_over_clusters(edges, num, rule)
    signed = np.bincount(edges.item_Y, edges.signed_Y, len(edges.key_I)) / num
    order = np.lexsort((edges.key_I, -share, -edges.clusters_I))
    names = site_names(prompts, sites, np.concatenate([source[order], target[order]]))
    columns: dict[str, Any] = {"source": names[: len(order)], "target": names[len(order) :]}
    for side, number in (("source", source), ("target", target)):
        columns |= {
            f"{side}_kind": np.array(KINDS, dtype=object)[sites.kind_I[number][order]],
            f"{side}_layer": sites.layer_I[number][order],
            f"{side}_feature": sites.feature_I[number][order],
        }
    values = {
        "prompts": edges.prompts_I,
        "clusters": edges.clusters_I,
        **frequency,
        "share": share,
        "share_low": low,
        "share_high": high,
        "signed_share": signed,
        "status": status.astype(object),
        "radius": radius,
        **selected,
    }
    return Table(columns | {name: column[order] for name, column in values.items()})


def _node_table(prompts: ChosenPrompts, sites: Sites, nodes: Inclusion, num: int, threshold: Any) -> Table:
    radius = removal_radius(nodes.clusters_I, num, threshold)
    influence = np.bincount(nodes.item_Y, nodes.value_Y, len(nodes.key_I)) / num
    order = np.lexsort((nodes.key_I, -influence, -nodes.clusters_I))
    site = nodes.key_I[order]
    values = {
        "prompts": nodes.prompts_I,
        "clusters": nodes.clusters_I,
        **_frequencies(nodes.clusters_I, num),
        "influence": influence,
        "status": np.where(reaches(nodes.clusters_I, num, threshold), "in", "out").astype(object),
        "radius": radius,
    }
    return Table(
        {
            "node": site_names(prompts, sites, site),
            "kind": np.array(KINDS, dtype=object)[sites.kind_I[site]],
            "layer": sites.layer_I[site],
            "feature": sites.feature_I[site],
            **{name: column[order] for name, column in values.items()},
        }
    )


def _frequencies(clusters_I: npt.NDArray[np.int64], num: int) -> dict[str, Floats]:
    low, high = clopper_pearson(clusters_I, num)
    return {"frequency": clusters_I / num, "low": low, "high": high}


def _doubts(prompts: ChosenPrompts, facts: Mapping[str, Any]) -> list[str]:
    found = []
    if prompts.clusters is None:
        found.append(
            "no clusters are named, so that each prompt counts as independent evidence: if prompts share templates, "
            "documents or subjects, intervals are too narrow"
        )
    elif number := prompts.num_without_cluster:
        found.append(f"{counted(number, 'prompt')} without a cluster are left out")
    if facts["clusters"] < FEW_CLUSTERS:
        found.append(f"there are only {counted(facts['clusters'], 'cluster')}: intervals are wide")
    if not describe_graphs(prompts.store).startswith("complete"):
        found.append(
            f"these are {describe_graphs(prompts.store)}: frequencies say how often a graph as it is stored has a node "
            "or an edge, not how often the model has it"
        )
    if number := facts["prompts_without_influence"]:
        found.append(f"{counted(number, 'prompt')} of unknown influence count as prompts without edges")
    if number := facts["edges_unknown"]:
        found.append(f"{counted(number, 'edge')} whose weights are not finite have a share of 0")
    if facts["rule"] == "share":
        found.append("nodes are listed by their frequency, whatever the rule for edges")
    return found
