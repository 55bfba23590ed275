"""Contrast: which features differ between two sets of prompts, tested over clusters of prompts.

A value is a feature's influence or activation in a prompt, summed over positions. It is zero where the feature is not
active, because it then contributes nothing. It is unknown where the feature is active but some of its positions are no
nodes of the stored graph, because pruning or the budget of nodes left them out: absent is not zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ..errors import ConfigError
from ..names import unknown
from ..store.reader import Store
from ..table import Table
from ..tasks.phases import Phases
from ..text import counted
from .contrast_columns import FEATURE_COLUMNS, TOKEN_COLUMNS
from .contrast_tasks import ContrastPhases
from .findings import InMemoryResult, phases_of_memory
from .prompt_sets import PromptSets, prompt_sets, prompts_of, two_sets
from .prompt_tokens import differing_tokens, token_shares
from .set_tests import COLUMNS, ContrastSettings, by_p

FEATURE_MEASURES = ("influence", "activation")


@dataclass(frozen=True, eq=False, repr=False)
class Contrast(InMemoryResult):
    """The differences between two sets of prompts, and what limits them."""

    rows: Table
    """A row per tested quantity, the smallest p first; docs/contrast.md describes the columns."""
    tokens: Table
    """A row per token that a larger share of the prompts of one set has: token, share_a, share_b, only_in."""
    warnings: tuple[str, ...]
    """What makes these numbers less certain than they look."""
    facts: Mapping[str, Any]
    """Numbers of prompts, clusters, tests and assignments, and the settings."""

    @property
    def found(self) -> Table:
        """The rows with a q-value of at most q."""
        return self.rows.where(self.rows["q"] <= self.facts["q"])


class ContrastResult(Contrast):
    """The differences between two sets of prompts, feature by feature, and what limits them."""

    COLUMNS: ClassVar = {"features": FEATURE_COLUMNS, "tokens": TOKEN_COLUMNS}

    @property
    def features(self) -> Table:
        """A row per tested feature, the smallest p first."""
        return self.rows


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
    settings = ContrastSettings(test, q, min_clusters, permutations, seed)
    sets = prompt_sets(store, two_sets(a_ids, b_ids), cluster, paired)
    with phases_of_memory(prompts_of(store, sets)) as phases:
        return features_of_sets(phases, store, sets, measure, settings)


def features_of_sets(
    phases: Phases, store: Store, sets: PromptSets, measure: str, settings: ContrastSettings
) -> ContrastResult:
    """Do what `contrast_features` does, for sets that are made already; phases of tasks do the long work."""
    if measure not in FEATURE_MEASURES:
        raise ConfigError(unknown("measure", measure, FEATURE_MEASURES))
    tokens = token_shares(store, sets)
    work = ContrastPhases.begin(phases, store, sets, settings, differing_tokens(tokens))
    read, num_rare, tests = work.features(measure)
    columns, differing = tests.columns(), read.differing_tokens
    order = by_p(columns, columns["g"], read.layer, read.feature)
    features = Table(
        {
            "layer": read.layer[order],
            "feature": read.feature[order],
            **{name: columns[name][order] for name in COLUMNS},
            "differing_tokens": differing[order],
        }
    )
    facts = tests.facts(columns, measure, num_rare, differing)
    warnings = tests.warnings(facts, "features")
    if measure == "influence" and (num_unknown := int(read.is_unknown.sum())):
        warnings.append(
            f"influence is not known for {counted(num_unknown, 'pair')} of a prompt and a feature: the feature is "
            "active without being a node of the stored graph (pruning, or the budget of nodes). These are left out; "
            "means are those of prompts in which features matter enough to be kept; measure='activation' has no gaps"
        )
    return ContrastResult(features, tokens, tuple(warnings), facts)
