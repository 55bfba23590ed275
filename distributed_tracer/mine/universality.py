"""universality: which features and which edges two stores over the same prompts have in common.

common prompts ─▶ activations at common sites ─▶ mutual nearest features ─▶ shuffles ─▶ edges between matched features

Axes: F feature of store a, Y feature of store b, X prompt, I item: a prompt of a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..redact import redacted
from ..store.reader import Store
from ..table import Table
from ..tasks.phases import Execute, Phases, perform_here
from ..text import counted
from .conserved_edges import ConservedEdges, half_of
from .feature_matches import Columns, FeatureMatches, mutual_pairs
from .findings import Findings, InMemoryResult, mine_in_phases, phases_of_memory
from .matched_edges import read_matched_edges
from .nearest_features import MEASURES, Measure, Similarities
from .paired_activity import SideActivity, read_activity
from .paired_prompts import PairedPrompts, pair_prompts
from .result import Result
from .statistics import Mask, halves
from .universality_columns import TABLES
from .universality_doubts import doubts
from .universality_settings import UniversalitySettings
from .universality_tables import edge_table, feature_table, layer_table, match_table, status_of, summary_table
from .universality_tasks import UniversalityPhases, temporary_bytes


@dataclass(frozen=True, eq=False, repr=False)
class Universality(InMemoryResult):
    """What two stores have in common; docs/universality.md describes the columns."""

    COLUMNS: ClassVar = TABLES

    matches: Table
    """A row per known feature of store a with its nearest feature of store b, by layer and index."""
    layers: Table
    """A row per pair of layers."""
    edges: Table
    """Edges between matched features that either store has, the largest first."""
    summary: Table
    """What is shared, with intervals, floors and ceilings."""
    features: Table
    """A row per feature of both stores: matched, unmatched or unknown."""
    facts: Mapping[str, Any]
    warnings: tuple[str, ...]


def universality(
    store_a: Store,
    store_b: Store,
    *,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    within: str | None = None,
    measure: Measure = "correlation",
    shuffles: int = 199,
    q: float = 0.05,
    min_clusters: int = 3,
    memory_gb: float = 2.0,
    seed: int = 0,
) -> Universality:
    """Return which features and edges two stores over the same prompts have in common.

    The stores may be of other transcoders, of another seed, or of another model; where tokens differ, they are aligned
    by characters. Two features match if each is the most similar one to the other over all positions, by more than
    shuffles of whole prompts within templates give, at a false discovery rate `q`. `cluster` names metadata of store a,
    the unit of evidence; without it each prompt counts as a cluster. `within` names the template (default: the
    cluster); without either, all prompts are shuffled together. Features that are active in fewer than `min_clusters`
    clusters, or whose place in a template decides their activation, are unknown. `where` chooses prompts of store a.

    Raises ConfigError for settings out of range, for stores without common prompts, for prompts of one id with
    different texts, for prompts without active features, and if the activations need more than `memory_gb` (10^9
    bytes).
    """
    settings = UniversalitySettings(measure, shuffles, q, min_clusters, seed)
    return universality_of(pair_prompts(store_a, store_b, where, cluster, within), settings, memory_gb)


def universality_of(pairs: PairedPrompts, settings: UniversalitySettings, memory_gb: float) -> Universality:
    """Return what `universality` returns, for prompts that are paired already."""
    with phases_of_memory(pairs.a, _given(pairs, memory_gb)) as phases:
        return universality_in_phases(phases, pairs, settings, memory_gb)


def mine_universality(
    pairs: PairedPrompts,
    out: str | Path,
    settings: UniversalitySettings,
    memory_gb: float = 2.0,
    run: Execute = perform_here,
) -> Result:
    """Write what two stores have in common into the folder `out`, and return the result.

    A finished result is returned as it is. `run` does the work, as for `mine_atlas`; what a killed run has finished is
    not done again. Raises ConfigError for a folder with another result, and as `universality` does.
    """
    options = {**pairs.asked, **asdict(settings), "stores": pairs.digests()}
    options["left_out"] = [len(pairs.only_a), len(pairs.only_b), len(pairs.unaligned)]

    def find(phases: Phases) -> Findings:
        return universality_in_phases(phases, pairs, settings, memory_gb).findings()

    given = _given(pairs, memory_gb)
    return mine_in_phases(out, "universality", pairs.a, options, find, run, temporary_bytes(pairs), given)


def _given(pairs: PairedPrompts, memory_gb: float) -> dict[str, Any]:
    return {"other": pairs.b.store.url, "memory_gb": memory_gb}


def universality_in_phases(
    phases: Phases, pairs: PairedPrompts, settings: UniversalitySettings, memory_gb: float
) -> Universality:
    """Return what `universality_of` returns; phases of tasks read activations and do the shuffles."""
    work = UniversalityPhases.begin(phases, pairs, settings)
    a, b = work.sides
    itself = [
        _ceiling(side, found, settings.min_clusters) for side, found in zip((a, b), work.with_itself(), strict=True)
    ]
    known = itself[0].known, itself[1].known
    found = work.with_each_other(known)
    own, other = found.matched
    matched_a, matched_b = found.column_F[own], found.column_Y[other]
    edges = ConservedEdges(
        read_matched_edges(pairs.a, pairs.clusters, a.layer_F[matched_a], a.feature_F[matched_a], memory_gb),
        read_matched_edges(pairs.b, pairs.clusters, b.layer_F[matched_b], b.feature_F[matched_b], memory_gb),
        a.layer_F[matched_a],
        settings.min_clusters,
        settings.q,
    )
    replicated = _replicated(pairs, a, b, known, settings, memory_gb)
    status = status_of(a, b, found, settings.min_clusters)
    summary = summary_table(pairs, (a, b), status, found, [one.share for one in itself], replicated, edges, settings)
    facts = _facts(pairs, a, b, found, edges, settings, status)
    similarity = {
        name: Similarities(a.only(found.column_F), b.only(found.column_Y), name, memory_gb).of_pairs(  # type: ignore[arg-type]
            np.arange(len(found.column_F)), found.nearest.best_F
        )
        for name in MEASURES
    }
    return Universality(
        match_table(a, b, found, similarity, settings.q),
        layer_table(a, b, found, similarity["correlation"]),
        edge_table(a, b, (matched_a, matched_b), edges),
        summary,
        feature_table(a, b, found, status),
        facts,
        tuple(doubts(pairs, found, edges, facts)),
    )


def plan_universality(pairs: PairedPrompts, settings: UniversalitySettings, memory_gb: float) -> str:
    """Return what a comparison will take, as text; the active features are read once. Raises ConfigError as it does."""
    a, b = (read_activity(pairs, side, memory_gb) for side in "ab")
    of_a, of_b = (np.diff(side.activation.indptr).astype(np.int64) for side in (a, b))
    each = {"both stores": of_a @ of_b, "store a with itself": of_a @ of_a, "store b with itself": of_b @ of_b}
    sizes = ", ".join(f"{int(number):,} for {name}" for name, number in each.items())
    known = (f"{int(side.is_known(settings.min_clusters).sum()):,} of {len(side):,}" for side in (a, b))
    return (
        f"{counted(len(pairs), 'prompt')} with {int(pairs.num_sites_X.sum()):,} common positions\n"
        f"features that are active in enough clusters: {next(known)} of store a, {next(known)} of store b\n"
        f"{settings.shuffles:,} shuffles, each with at most this many products of two activations: {sizes}"
    )


@dataclass(frozen=True, eq=False)
class Ceiling:
    """A store matched with itself: what even a perfect counterpart could show."""

    known: Columns
    """The features that are matched with themselves, by column: what data can say anything of."""
    share: float
    """Which share of the features that are active in enough clusters, and vary there, these are."""


def _ceiling(side: SideActivity, found: FeatureMatches, min_clusters: int) -> Ceiling:
    """Return what a store shows that was matched with itself."""
    num_known = int(np.count_nonzero(side.is_known(min_clusters)))
    own, other = found.matched
    itself = found.column_F[own[own == other]]
    return Ceiling(itself, len(itself) / num_known if num_known else float("nan"))


def _replicated(
    pairs: PairedPrompts,
    a: SideActivity,
    b: SideActivity,
    known_columns: tuple[Columns, Columns],
    settings: UniversalitySettings,
    memory_gb: float,
) -> float:
    """Return which share of the mutual pairs of one half of the clusters are mutual pairs in the other half, too.

    Only features that are known and active in enough clusters of both halves count. NaN if there are none.
    """
    is_first = halves(pairs.clusters.names, settings.seed)
    in_first_I = np.repeat(is_first[pairs.clusters.number_I], pairs.num_sites_X)
    known: list[Mask] = []
    for side, columns in zip((a, b), known_columns, strict=True):
        own = np.isin(np.arange(len(side)), columns)
        for is_chosen in (is_first, ~is_first):
            own &= side.clusters_at(pairs, is_chosen) >= half_of(settings.min_clusters)
        known.append(own)
    one, other = (
        mutual_pairs(a, b, mask_I, (known[0], known[1]), settings.measure, memory_gb)
        for mask_I in (in_first_I, ~in_first_I)
    )
    if not one or not other:
        return float("nan")
    return (len(one & other) / len(one) + len(one & other) / len(other)) / 2


def _facts(
    pairs: PairedPrompts,
    a: SideActivity,
    b: SideActivity,
    found: FeatureMatches,
    edges: ConservedEdges,
    settings: UniversalitySettings,
    status: Mapping[str, Any],
) -> dict[str, Any]:
    alone = np.bincount(pairs.template_X)[pairs.template_X] == 1
    facts: dict[str, Any] = {
        "store_b": redacted(pairs.b.store.url),
        "prompts": len(pairs),
        "prompts_only_a": len(pairs.only_a),
        "prompts_only_b": len(pairs.only_b),
        "prompts_unaligned": len(pairs.unaligned),
        "prompts_of_other_tokens": pairs.num_other_tokens,
        "clusters": len(pairs.clusters),
        "templates": 1 if pairs.templates is None else len(pairs.templates),
        "prompts_alone_in_template": int(np.count_nonzero(alone)),
        "positions": int(pairs.num_sites_X.sum()),
        "matched": len(found.matched[0]),
        "tests": int(np.count_nonzero(~np.isnan(found.tested.p_F))),
        "least_p": 1 / (1 + settings.shuffles),
        "edges_tested": int(np.count_nonzero(edges.is_tested)),
        "edges_strong": int(np.count_nonzero(edges.is_strong)),
        "edges_conserved": int(np.count_nonzero(edges.conserved == "yes")),
        "prompts_without_influence_a": edges.a.num_unknown,
        "prompts_without_influence_b": edges.b.num_unknown,
        **{name: getattr(settings, name) for name in ("measure", "shuffles", "q", "min_clusters", "seed")},
    }
    for side, own in (("a", a), ("b", b)):
        facts[f"features_{side}"] = len(own)
        for name in ("matched", "unmatched", "unknown"):
            facts[f"{name}_{side}"] = int(np.count_nonzero(status[side][0] == name))
    return facts
