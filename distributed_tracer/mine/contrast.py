"""Contrast: which features differ between two sets of prompts, tested over clusters of prompts.

A value is a feature's influence or activation in a prompt, summed over positions. It is zero where the feature is not
active, because it then contributes nothing. It is unknown where the feature is active but some of its positions are no
nodes of the stored graph, because pruning or the budget of nodes left them out: absent is not zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..names import unknown
from ..store.reader import Store, prompt_list
from ..table import Table
from ..text import and_more, counted, listed
from .feature_values import FeatureValues, read_feature_values
from .permutation import PermutationTest, exchange_labels, exchange_presence, flip_signs, p_of_largest
from .prompt_sets import FEW_CLUSTERS, PromptSets, prompt_sets
from .prompt_tokens import share_of_differing_tokens, token_shares
from .statistics import (
    Floats,
    MeanTest,
    halves,
    known_mean,
    paired_t,
    q_values,
    replicated_share,
    two_part,
    welch,
)

_MEASURES = ("influence", "activation")
_TESTS = ("both", "welch")
_ELEMENTS = 1 << 22
_LEAST_CHOSEN = 10


@dataclass(frozen=True, eq=False)
class ContrastResult:
    """The differences between two sets of prompts, feature by feature, and what limits them."""

    features: Table
    """A row per tested feature, the smallest p first; docs/contrast.md describes the columns."""
    tokens: Table
    """A row per token that a larger share of the prompts of one set has: token, share_a, share_b, only_in."""
    warnings: tuple[str, ...]
    """What makes these numbers less certain than they look."""
    facts: Mapping[str, Any]
    """Numbers of prompts, clusters, tests and assignments, and the settings."""

    @property
    def found(self) -> Table:
        """The rows of the features with a q-value of at most q."""
        return self.features.where(self.features["q"] <= self.facts["q"])

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items())
        warnings = "".join(f"\nwarning: {text}" for text in self.warnings)
        return f"{facts}{warnings}\n{self.features.format(10)}"


def contrast_features(
    store: Store,
    a_ids: str | Iterable[str],
    b_ids: str | Iterable[str],
    *,
    cluster: str | Mapping[str, str] | None = None,
    paired: str | Mapping[str, str] | None = None,
    measure: Literal["influence", "activation"] = "influence",
    test: Literal["both", "welch"] = "both",
    q: float = 0.05,
    min_clusters: int = 3,
    permutations: int = 9_999,
    seed: int = 0,
) -> ContrastResult:
    """Return which features differ between the prompts of set a and of set b, with tests over clusters.

    `cluster` names the metadata key, or maps prompt ids to the names, of what prompts share: a template, a document, a
    subject. Without it each prompt is a cluster, and the result warns. `paired` likewise names what a prompt of a and
    one of b have in common; the tests are then over the differences within pairs. Features that are present in fewer
    than `min_clusters` clusters of both sets together are not tested, a choice that does not see which set a prompt is
    in. The p-value of magnitude is the larger one of Welch's test and of a permutation test (`test="both"`), or Welch's
    alone (`test="welch"`), which relies on the means of clusters being normally distributed.

    Raises PromptNotFound, and ConfigError for sets that overlap or are empty, for a prompt without a cluster or pair,
    for settings out of range, for influence that is not known, and for prompts stored without active features.
    """
    for name, value, known in (("measure", measure, _MEASURES), ("test", test, _TESTS)):
        if value not in known:
            raise ConfigError(unknown(name, value, known))
    if not 0 < q < 1:
        raise ConfigError(f"q is a false discovery rate between 0 and 1, not {q!r}")
    for name, number, least in (("min_clusters", min_clusters, 1), ("permutations", permutations, 99)):
        if not isinstance(number, int) or number < least:
            raise ConfigError(f"{name} must be an integer of at least {least}, not {number!r}")
    sets = prompt_sets(store, _two_sets(a_ids, b_ids), cluster, paired)
    read = read_feature_values(store, sets.ids, sets.clusters, measure, min_clusters)
    found = [
        _Block.of(sets, read, columns, test, permutations, seed)
        for columns in np.array_split(
            np.arange(len(read.keys)), max(1, -(-len(read.keys) * len(sets.ids) // _ELEMENTS))
        )
    ]
    columns = {name: np.concatenate([block.columns[name] for block in found]) for name in found[0].columns}
    p_max = p_of_largest([block.magnitude for block in found])
    columns["p_max"] = np.where(np.isnan(columns["p_permutation"]), np.nan, p_max)
    columns |= {"q": q_values(columns["p"]), "q_by": q_values(columns["p"], "by")}
    tokens = token_shares(store, sets)
    order = np.lexsort((read.feature, read.layer, -np.abs(np.nan_to_num(columns["g"])), columns["p"]))
    features = Table(
        {
            "layer": read.layer[order],
            "feature": read.feature[order],
            **{name: columns[name][order] for name in COLUMNS},
            "differing_tokens": share_of_differing_tokens(read, tokens)[order],
        }
    )
    num_tested, num_found = int((~np.isnan(columns["p"])).sum()), int((columns["q"] <= q).sum())
    assignments = found[0].magnitude
    facts = {
        "measure": measure,
        "test": test,
        "paired": paired is not None,
        **{f"{of}_{name}": n for name, is_in in (("a", sets.is_a), ("b", ~sets.is_a)) for of, n in sets.sizes(is_in)},
        "tested": num_tested,
        "not_tested": len(features) - num_tested,
        "too_rare": read.num_rare,
        "found": num_found,
        "q": q,
        "assignments": len(assignments.largest),
        "exact": assignments.is_exact,
        "replicated": replicated_share(columns["half_1"], columns["half_2"], max(_LEAST_CHOSEN, num_found)),
    }
    warnings = [*sets.warnings, *_warnings(facts, int(read.is_unknown.sum()))]
    return ContrastResult(features, tokens, tuple(warnings), facts)


COLUMNS = (
    *("mean_a", "mean_b", "difference", "low", "high", "g", "g_low", "g_high", "half_1", "half_2"),
    *("p", "q", "q_by", "p_max", "p_welch", "p_permutation", "p_presence", "t", "df"),
    *("presence_a", "presence_b", "clusters_a", "clusters_b", "prompts_a", "prompts_b", "unknown_a", "unknown_b"),
)
"""The columns of results between the feature and `differing_tokens`."""


@dataclass(frozen=True, eq=False)
class _Block:
    """Results of some features, as many as fit into memory as a matrix [prompts, features]."""

    columns: dict[str, npt.NDArray[Any]]
    magnitude: PermutationTest

    @classmethod
    def of(
        cls, sets: PromptSets, read: FeatureValues, columns: npt.NDArray[np.intp], test: str, draws: int, seed: int
    ) -> _Block:
        value, present = read.matrices(len(sets.ids), columns)
        a, b, names_a, names_b = sets.by_unit(value)
        share_a, share_b, *_ = sets.by_unit(present)
        tests: MeanTest
        if sets.pairs is None:
            tests = welch(a, b)
            is_a = np.arange(len(a) + len(b)) < len(a)
            magnitude = exchange_labels(np.concatenate([a, b]), is_a, draws, seed)
            presence = exchange_presence(np.concatenate([share_a, share_b]), is_a, draws, seed)
        else:
            tests = paired_t(a, b)
            magnitude = flip_signs(a - b, draws, seed)
            presence = flip_signs(share_a - share_b, draws, seed)
        enough = (tests.units_a > 1) & (tests.units_b > 1)
        p_magnitude = np.maximum(tests.p, magnitude.p) if test == "both" else tests.p
        first_a, first_b = halves(names_a, seed), halves(names_b, seed)
        of_prompts = {
            f"{name}_{end}": counts[mask].sum(0).astype(np.int64)
            for end, mask in (("a", sets.is_a), ("b", ~sets.is_a))
            for name, counts in (("prompts", present), ("unknown", np.isnan(value)))
        }
        return cls(
            {
                **{name: getattr(tests, name) for name in _OF_TESTS},
                "clusters_a": tests.units_a,
                "clusters_b": tests.units_b,
                "half_1": _difference(a[first_a], b[first_b], sets.pairs is not None),
                "half_2": _difference(a[~first_a], b[~first_b], sets.pairs is not None),
                "p": np.where(enough, two_part(p_magnitude, presence.p), np.nan),
                "p_welch": tests.p,
                "p_permutation": np.where(enough, magnitude.p, np.nan),
                "p_presence": np.where(enough, presence.p, np.nan),
                "presence_a": known_mean(share_a),
                "presence_b": known_mean(share_b),
                **of_prompts,
            },
            magnitude,
        )


_OF_TESTS = ("mean_a", "mean_b", "difference", "low", "high", "g", "g_low", "g_high", "t", "df")


def _two_sets(a_ids: str | Iterable[str], b_ids: str | Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the ids of both sets without repetitions. Raises ConfigError for a prompt in both, and an empty set."""
    a, b = (list(dict.fromkeys(prompt_list(ids))) for ids in (a_ids, b_ids))
    if common := sorted({*a} & {*b}):
        raise ConfigError(f"in both sets are {listed(common[:3])}{and_more(len(common) - 3)}: leave them out of one")
    for name, ids in (("a", a), ("b", b)):
        if not ids:
            raise ConfigError(f"set {name} has no prompts")
    return a, b


def _difference(a: Floats, b: Floats, is_paired: bool) -> Floats:
    """Return the difference of the means over some units; over those pairs of which both values are known if paired."""
    return known_mean(a - b) if is_paired else known_mean(a) - known_mean(b)


def _warnings(facts: Mapping[str, Any], num_unknown: int) -> list[str]:
    """Return warnings about the tests of one result."""
    found = []
    least = 1 / facts["assignments"]
    if facts["test"] == "both" and facts["exact"] and least * 2 * facts["tested"] > facts["q"] and not facts["found"]:
        found.append(
            f"with {counted(facts['assignments'], 'assignment')} of labels to clusters no p-value is below "
            f"{2 * least:.2g}, too large for {counted(facts['tested'], 'test')} at q = {facts['q']:g} unless many "
            "features differ: finding nothing says nothing here"
        )
    if facts["test"] == "welch" and min(facts["clusters_a"], facts["clusters_b"]) < FEW_CLUSTERS:
        found.append(
            "Welch's test alone, with few clusters, relies on normally distributed means of clusters: features that "
            "are present in some clusters only have none, and p-values may be far too small"
        )
    if facts["measure"] == "influence" and num_unknown:
        found.append(
            f"influence is not known for {counted(num_unknown, 'pair')} of a prompt and a feature: the feature is "
            "active without being a node of the stored graph (pruning, or the budget of nodes). These are left out; "
            "means are those of prompts in which features matter enough to be kept; measure='activation' has no gaps"
        )
    return found
