"""Two sets of prompts, with the cluster or the pair of each prompt, and what is doubtful about them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from ..errors import ConfigError
from ..names import unknown
from ..store.read.prompt_table import METADATA
from ..store.read.select import metadata_columns
from ..store.reader import Store, prompt_list
from ..table import Table
from ..text import and_more, counted, listed, short
from .prompts import ChosenPrompts
from .statistics import Floats, Mask, cluster_means

FEW_CLUSTERS = 8
"""Below this number of clusters in a set, results come with a warning."""


@dataclass(frozen=True, eq=False)
class PromptSets:
    """The prompts of both sets, sorted by id."""

    ids: list[str]
    is_a: Mask
    clusters: list[str]
    pairs: list[str] | None
    """The name of each prompt's pair, if the sets are compared within pairs. Each pair has prompts of both sets."""
    warnings: tuple[str, ...]

    def by_unit(self, values: Floats) -> tuple[Floats, Floats, list[str], list[str]]:
        """Return the means of values [prompts, columns] in the clusters of a and of b, with the names of the clusters.

        With pairs these are the same clusters: a cluster's means are those over its pairs of which both sides are
        known, of the means within each side of a pair.
        """
        if self.pairs is None:
            (names_a, a), (names_b, b) = (
                cluster_means(values[mask], list(compress(self.clusters, mask)), list(compress(self.ids, mask)))
                for mask in (self.is_a, ~self.is_a)
            )
            return a, b, names_a, names_b
        (pairs, a), (_, b) = (
            cluster_means(values[mask], list(compress(self.pairs, mask)), list(compress(self.ids, mask)))
            for mask in (self.is_a, ~self.is_a)
        )
        either = np.isnan(a) | np.isnan(b)
        cluster_of = dict(zip(self.pairs, self.clusters, strict=True))
        clusters = [cluster_of[pair] for pair in pairs]
        (names, a), (_, b) = (cluster_means(np.where(either, np.nan, x), clusters, pairs) for x in (a, b))
        return a, b, names, names

    def sizes(self, is_in: Mask) -> tuple[tuple[str, int], ...]:
        """Return the numbers of prompts and of clusters of one set."""
        return ("prompts", int(is_in.sum())), ("clusters", len({*compress(self.clusters, is_in)}))


def prompts_of(store: Store, sets: PromptSets) -> ChosenPrompts:
    """Return the prompts of both sets with the numbers of their clusters."""
    clusters = np.unique(np.array(sets.clusters, dtype=object), return_inverse=True)[1].astype(np.int32)
    return ChosenPrompts(store, sets.ids, clusters)


def two_sets(a_ids: str | Iterable[str], b_ids: str | Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the ids of both sets without repetitions. Raises ConfigError for a prompt in both, and an empty set."""
    a, b = (list(dict.fromkeys(prompt_list(ids))) for ids in (a_ids, b_ids))
    if common := sorted({*a} & {*b}):
        raise ConfigError(
            f"in both sets are {listed(common[:3])}{and_more(len(common) - 3)} ({counted(len(a), 'prompt')} in a, "
            f"{len(b):,} in b): leave them out of one"
        )
    for name, ids in (("a", a), ("b", b)):
        if not ids:
            raise ConfigError(f"set {name} has no prompts")
    return a, b


def prompt_sets(
    store: Store,
    sets: tuple[Sequence[str], Sequence[str]],
    cluster: str | Mapping[str, str] | None,
    paired: str | Mapping[str, str] | None,
) -> PromptSets:
    """Return the two sets with their clusters and pairs.

    Prompts whose pair has no prompt in the other set are left out. Raises PromptNotFound, and ConfigError for a column
    that does not exist, for a prompt without a value there, for pairs across clusters, and if no pair is left.
    """
    in_a = {*sets[0]}
    prompts = store.prompt_table(sorted([*sets[0], *sets[1]]))
    ids: list[str] = prompts["id"].tolist()
    is_a = np.fromiter((prompt in in_a for prompt in ids), dtype=bool, count=len(ids))
    pairs = None if paired is None else _names(prompts, paired, "pair")
    clusters = _names(prompts, cluster, "cluster") if cluster is not None else pairs or ids
    texts = prompts["text"].tolist()
    warnings = []
    if pairs is not None:
        both = {*compress(pairs, is_a)} & {*compress(pairs, ~is_a)}
        if not both:
            raise ConfigError("no pair has prompts in both sets: the values that name pairs must be equal in both")
        kept = [pair in both for pair in pairs]
        if not all(kept):
            left_out = counted(kept.count(False), "prompt")
            warnings.append(f"{left_out} are left out, as their pairs have no prompts in the other set")
        ids, clusters, pairs, texts = (list(compress(values, kept)) for values in (ids, clusters, pairs, texts))
        is_a = is_a[np.array(kept)]
        _check_pairs(pairs, clusters)
    warnings += _doubts(is_a, clusters, texts, cluster is not None, pairs is not None)
    return PromptSets(ids, is_a, clusters, pairs, tuple(warnings))


def _names(prompts: Table, field: str | Mapping[str, str], what: str) -> list[str]:
    """Return the name of each prompt's cluster or pair."""
    ids = prompts["id"].tolist()
    if isinstance(field, Mapping):
        values, where = [field.get(prompt) for prompt in ids], "the given mapping"
    else:
        own = metadata_columns(prompts)
        column = field if field in prompts else own.get(field.removeprefix(METADATA), "")
        if not column:
            raise ConfigError(
                unknown(f"column or metadata that names a {what}", field, [*own.values(), *prompts.columns])
            )
        values, where = prompts[column].tolist(), short(field)
    if lacking := [prompt for prompt, value in zip(ids, values, strict=True) if value is None or value != value]:
        raise ConfigError(
            f"no {what} in {where} for {counted(len(lacking), 'prompt')}: {listed(lacking)}. Leave them out of the sets"
        )
    return [value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str) for value in values]


def _check_pairs(pairs: Sequence[str], clusters: Sequence[str]) -> None:
    """Raise ConfigError for a pair whose prompts are in several clusters."""
    clusters_of = defaultdict(set)
    for pair, cluster in zip(pairs, clusters, strict=True):
        clusters_of[pair].add(cluster)
    if wrong := [pair for pair in sorted(clusters_of) if len(clusters_of[pair]) > 1]:
        raise ConfigError(
            f"the prompts of pair {short(wrong[0])} are in the clusters {listed(sorted(clusters_of[wrong[0]]))}"
            f"{and_more(len(wrong) - 1, '; so are those of other pairs, ')}: a pair must be in one cluster"
        )


def _doubts(
    is_a: Mask, clusters: Sequence[str], texts: Sequence[str | None], is_named: bool, is_paired: bool
) -> list[str]:
    """Return warnings about clusters that are too few, too small, or not independent."""
    found = []
    of_sets = {"a": [*compress(clusters, is_a)], "b": [*compress(clusters, ~is_a)]}
    if not is_named:
        found.append(
            f"no clusters are named, so that each {'pair' if is_paired else 'prompt'} counts as independent evidence: "
            "if prompts share templates, documents or subjects, p-values are too small"
        )
    elif all(len({*names}) == len(names) for names in of_sets.values()):
        found.append("each cluster has one prompt per set: what prompts of different clusters share is not considered")
    for name, names in of_sets.items():
        number = len({*names})
        if number < 2:
            found.append(
                f"set {name} is one cluster, {short(names[0])}: nothing is tested, because whatever makes this cluster "
                "special looks like a difference of the sets"
            )
        elif number < FEW_CLUSTERS:
            found.append(f"set {name} has only {number} clusters: intervals are wide and effect sizes uncertain")
    common = sorted({*of_sets["a"]} & {*of_sets["b"]})
    if common and not is_paired:
        found.append(
            f"in both sets are {counted(len(common), 'cluster')} ({listed(common)}), which are taken as independent: "
            "compare within them, as pairs"
        )
    clusters_of = defaultdict(set)
    for text, cluster in zip(texts, clusters, strict=True):
        clusters_of[text].add(cluster)
    if repeated := [text for text, names in clusters_of.items() if text is not None and len(names) > 1]:
        found.append(f"in several clusters are {counted(len(repeated), 'text')}, such as {short(sorted(repeated)[0])}")
    return found
