"""Community runs: partitions of one graph under other seeds, other clusters of prompts, and shuffled edges.

Every run makes its graph from the edges of clusters anew. What is reported is one partition for each resolution, the
best of some seeds; the other runs say how far to trust it. Runs do not depend on each other, so that tasks of other
processes can do them (`community_tasks.py`).

- Bootstraps draw as many clusters as there are, with replacement: do communities stay?
- Shuffled edges (`shuffled_edges.py`) say what Leiden finds where there is nothing to find.

Significance of a community: let b(r, k) be the largest cohesion of a community of at least 2^k features in run r, on
shuffled edges or not. The score of a community of n features is how far its cohesion is above the median of b(., k), in
deviations (from the quartiles), both over all runs, for the k with 2^k <= n that makes it largest; a k counts if most
runs have such a community. Its p is the share of all runs, its own among them, with a community of this score or a
larger one (the max-T method of Westfall and Young 1993). If shuffling changes nothing that matters, all runs are
exchangeable, so that any community of the real data has a p of at most α with probability α at most. Two other scores
were rejected. With ranks, every class of sizes has a run at its top, so that 29 runs could not give a p below 0.05.
With means and standard deviations, one very cohesive community hides the others.

Axes: F feature, Y community.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .cluster_edges import ClusterEdges
from .community_graph import CommunityGraph, Floats, Ints, MakeGraph
from .community_settings import CommunitySettings
from .leiden import leiden, modularity
from .partition_likeness import best_matches, normalised_information, rand_index
from .shuffled_edges import SHUFFLES, shuffled

SIZE_CLASSES = 20
_SEED, _BOOTSTRAP = "seed", "bootstrap"
KINDS_OF_RUNS = (_SEED, _BOOTSTRAP, *SHUFFLES)
"""Kinds of runs; each has random numbers of its own."""
_QUARTILES = 1.349
"""Distance between the quartiles of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class Run:
    """What is kept of a run on one level."""

    kind: str
    number: int
    communities: int
    largest: int
    quality: float
    rand_index: float
    information: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run says of the partition of a level."""

    run: Run
    overlap_Y: Floats
    """Jaccard overlap of each community with its best match; empty for runs on shuffled edges, as the next two are."""
    kept_F: npt.NDArray[np.bool_]
    """Whether the feature is in its community's best match."""
    seen_F: npt.NDArray[np.bool_]
    """Whether the feature is in a community and present in this run."""
    communities: list[tuple[int, float]] = field(default_factory=list)
    """Class of sizes and cohesion of each community; empty unless edges are shuffled."""


@dataclass(eq=False)
class Level:
    """The partition of one resolution and what other runs say of it."""

    resolution: float
    label_F: Ints
    quality: float
    cohesion_Y: Floats
    fit_F: Floats
    runs: list[Run] = field(default_factory=list)
    overlaps: list[Floats] = field(default_factory=list)
    """Jaccard overlap of each community with its best match, for each bootstrap and each other seed [Y]."""
    kept_F: Ints = field(init=False)
    """Number of these runs in which the feature is in its community's best match."""
    seen_F: Ints = field(init=False)
    """Number of these runs in which the feature is present."""
    largest: dict[str, list[Floats]] = field(default_factory=lambda: {kind: [] for kind in SHUFFLES})
    """Largest cohesion by class of sizes of each run on shuffled edges."""
    least: dict[str, list[list[tuple[int, float]]]] = field(default_factory=lambda: {kind: [] for kind in SHUFFLES})
    """Class of sizes and cohesion of each community of these runs."""

    def __post_init__(self) -> None:
        self.kept_F, self.seen_F = np.zeros((2, len(self.label_F)), dtype=np.int64)

    def add(self, outcome: Outcome) -> None:
        """Take in what a run says."""
        self.runs.append(outcome.run)
        if (kind := outcome.run.kind) in SHUFFLES:
            self.largest[kind].append(largest_of(outcome.communities))
            self.least[kind].append(outcome.communities)
            return
        self.overlaps.append(outcome.overlap_Y)
        self.kept_F += outcome.kept_F
        self.seen_F += outcome.seen_F

    def p_values(self, kind: str) -> Floats:
        """Return p of each community [Y] against one kind of shuffled edges; NaN without such runs."""
        own = of_communities(self.label_F, self.cohesion_Y)
        found = np.full(len(self.cohesion_Y), np.nan)
        if not self.largest[kind]:
            return found
        largest = [largest_of(own), *self.largest[kind]]
        size_Y = np.bincount(self.label_F[self.label_F >= 0], minlength=len(found))
        found[size_Y > 1] = max_p(largest, [own, *self.least[kind]])
        return found


def of_communities(label_F: Ints, cohesion_Y: Floats) -> list[tuple[int, float]]:
    """Return the class of sizes and the cohesion of each community of two features or more."""
    size_Y = np.bincount(label_F[label_F >= 0], minlength=len(cohesion_Y))
    return [
        (min(SIZE_CLASSES - 1, int(size).bit_length() - 1), cohesion)
        for size, cohesion in zip(size_Y.tolist(), cohesion_Y.tolist(), strict=True)
        if size > 1
    ]


def largest_of(communities: Sequence[tuple[int, float]]) -> Floats:
    """Return the largest cohesion of a community of at least 2^k features, for each k; -inf if there is none."""
    largest_by_class = np.full(SIZE_CLASSES, -np.inf)
    for size_class, cohesion in communities:
        largest_by_class[size_class] = max(largest_by_class[size_class], cohesion)
    found: Floats = np.maximum.accumulate(largest_by_class[::-1])[::-1]
    return found


def max_p(largest: Sequence[Floats], communities: Sequence[Sequence[tuple[int, float]]]) -> Floats:
    """Return the adjusted p of each community of the first run, given the same of all runs."""
    largest_by_run = np.stack(largest, axis=1)
    exists_by_run = np.isfinite(largest_by_run)
    least_by_class = np.where(exists_by_run, largest_by_run, np.inf).min(axis=1)
    least_by_class = np.where(np.isfinite(least_by_class), least_by_class, 0.0)
    largest_by_run = np.where(
        exists_by_run, largest_by_run, least_by_class[:, None]
    )  # a run without one has the least of the others
    low_by_class, median_by_class, high_by_class = np.quantile(largest_by_run, (0.25, 0.5, 0.75), axis=1)
    deviation_by_class = (high_by_class - low_by_class) / _QUARTILES
    deviation_by_class[2 * exists_by_run.sum(axis=1) < len(largest)] = 0.0
    scores = [_scores(own, median_by_class, deviation_by_class) for own in communities]
    best_by_run = np.array([own.max(initial=-np.inf) for own in scores])
    found: Floats = (best_by_run[None, :] >= scores[0][:, None]).mean(axis=1)
    return found


def _scores(communities: Sequence[tuple[int, float]], median_by_class: Floats, deviation_by_class: Floats) -> Floats:
    """Return the score of each community, -inf if no class of sizes up to its own has a deviation."""
    if not communities:
        return np.zeros(0)
    size_class, cohesion = (np.array(column) for column in zip(*communities, strict=True))
    above = cohesion[:, None] - median_by_class[None, :]
    deviations = np.divide(
        above, deviation_by_class[None, :], out=np.full(above.shape, -np.inf), where=deviation_by_class > 1e-12
    )
    deviations[np.arange(SIZE_CLASSES)[None, :] > size_class[:, None].astype(np.int64)] = -np.inf
    found: Floats = deviations.max(axis=1)
    return found


def find_levels(edges: ClusterEdges, make_graph: MakeGraph, settings: CommunitySettings) -> list[Level]:
    """Return the partition of each resolution, with its runs. The same edges and settings give the same result."""
    levels, of_seeds = observed_levels(edges, make_graph, settings)
    labels = [level.label_F for level in levels]
    add_runs(levels, of_seeds)
    add_runs(levels, (do_run(edges, make_graph, settings, labels, *run) for run in planned_runs(settings)))
    return levels


def add_runs(levels: Sequence[Level], outcomes: Iterable[Sequence[Outcome]]) -> None:
    """Let levels take in what runs say of each of them."""
    for of_levels in outcomes:
        for level, outcome in zip(levels, of_levels, strict=True):
            level.add(outcome)


def planned_runs(settings: CommunitySettings) -> list[tuple[str, int]]:
    """Return the kind and the number of each run on other edges, in the order in which levels take them in."""
    counts = {_BOOTSTRAP: settings.bootstraps, **dict.fromkeys(SHUFFLES, settings.shuffles)}
    return [(kind, number) for kind, count in counts.items() for number in range(count)]


def observed_levels(
    edges: ClusterEdges, make_graph: MakeGraph, settings: CommunitySettings
) -> tuple[list[Level], list[list[Outcome]]]:
    """Return the partition of each resolution, and what each of the other seeds says of each level."""
    graph = make_graph(edges, np.ones(edges.num_clusters))
    levels: list[Level] = []
    of_seeds: list[list[Outcome]] = [[] for _ in range(settings.seeds - 1)]
    for resolution in settings.resolutions:
        tried = _partitions(graph, resolution, settings)
        best = _best(tried)
        label_F, quality = tried[best]
        levels.append(Level(resolution, label_F, quality, *graph.fit(label_F)))
        others = [(number, *other) for number, other in enumerate(tried) if number != best]
        for outcomes, (number, other_F, other_quality) in zip(of_seeds, others, strict=True):
            outcomes.append(_compared(label_F, _SEED, number, graph, other_F, other_quality))
    return levels, of_seeds


def do_run(
    edges: ClusterEdges,
    make_graph: MakeGraph,
    settings: CommunitySettings,
    labels: Sequence[Ints],
    kind: str,
    number: int,
) -> list[Outcome]:
    """Return what a run of `planned_runs` says of each level, given the labels [F] of the levels.

    Its random numbers depend on the seed of the settings, its kind and its number alone.
    """
    equal_by_cluster = np.ones(edges.num_clusters)
    rng = np.random.default_rng((settings.seed, KINDS_OF_RUNS.index(kind), number))
    if kind != _BOOTSTRAP:
        own = make_graph(shuffled(edges, kind, rng), equal_by_cluster)
        return [
            _shuffled_outcome(label_F, kind, number, own, _partitions(own, resolution, settings))
            for resolution, label_F in zip(settings.resolutions, labels, strict=True)
        ]
    drawn = rng.integers(0, edges.num_clusters, edges.num_clusters)
    own = make_graph(edges, np.bincount(drawn, minlength=edges.num_clusters).astype(np.float64))
    found = []
    for resolution, label_F in zip(settings.resolutions, labels, strict=True):
        other_F = leiden(own.adjacency, resolution, settings.seed + number)
        quality = modularity(own.adjacency, other_F, resolution)
        found.append(_compared(label_F, kind, number, own, other_F, quality))
    return found


def _partitions(graph: CommunityGraph, resolution: float, settings: CommunitySettings) -> list[tuple[Ints, float]]:
    labels = [leiden(graph.adjacency, resolution, settings.seed + seed) for seed in range(settings.seeds)]
    return [(label_F, modularity(graph.adjacency, label_F, resolution)) for label_F in labels]


def _best(tried: Sequence[tuple[Ints, float]]) -> int:
    return int(np.argmax([-np.inf if np.isnan(quality) else quality for _, quality in tried]))


def _run(label_F: Ints, kind: str, number: int, other_F: Ints, quality: float, among: npt.NDArray[np.bool_]) -> Run:
    size = np.bincount(other_F[other_F >= 0])
    return Run(
        kind,
        number,
        int(np.count_nonzero(size > 1)),
        int(size.max(initial=0)),
        quality,
        rand_index(label_F[among], other_F[among]),
        normalised_information(label_F[among], other_F[among]),
    )


def _compared(label_F: Ints, kind: str, number: int, graph: CommunityGraph, other_F: Ints, quality: float) -> Outcome:
    overlap_Y, match_Y = best_matches(label_F, other_F, graph.present_F)
    seen_F = (label_F >= 0) & graph.present_F
    kept_F = seen_F & (other_F >= 0)
    kept_F[kept_F] = match_Y[label_F[kept_F]] == other_F[kept_F]
    return Outcome(_run(label_F, kind, number, other_F, quality, graph.present_F), overlap_Y, kept_F, seen_F)


def _shuffled_outcome(
    label_F: Ints, kind: str, number: int, graph: CommunityGraph, tried: Sequence[tuple[Ints, float]]
) -> Outcome:
    """Return what the best of the partitions of a graph of shuffled edges says."""
    other_F, quality = tried[_best(tried)]
    run = _run(label_F, kind, number, other_F, quality, graph.present_F)
    none = np.zeros(0, dtype=bool)
    return Outcome(run, np.zeros(0), none, none, of_communities(other_F, graph.fit(other_F)[0]))
