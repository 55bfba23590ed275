"""Contrast of edges: which edges differ between two sets of prompts, tested over clusters of prompts.

The value of an edge in a prompt is its share of the row that it belongs to: the sum of its weights over positions,
divided by the sum of |edge| into its target. It is zero where the target's row was computed and the graph has no such
edge. It is unknown where the target has no row: there is no edge to measure. So means are those over prompts in which
the target's row was computed. Presence needs no row: a graph has an edge or has none.

Axes: I site.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from ..errors import ConfigError
from ..graph.columns import KINDS
from ..names import unknown
from ..store.reader import Store
from ..table import Table
from ..tasks.phases import Phases
from ..text import counted
from .contrast import Contrast
from .contrast_columns import EDGE_COLUMNS, TOKEN_COLUMNS
from .contrast_tasks import ContrastPhases
from .findings import phases_of_memory
from .prompt_sets import PromptSets, prompt_sets, prompts_of, two_sets
from .prompt_tokens import differing_tokens, token_shares
from .set_tests import COLUMNS, ContrastSettings, by_p
from .statistics import Floats

EDGE_MEASURES = ("share",)
OF_TARGET = ("rows_a", "rows_b", "row_share_a", "row_share_b", "missing_a", "missing_b")
"""The columns that only contrasts of edges have, after COLUMNS."""
_MUCH_MISSING = 0.1
_DEFAULT_GB = 2.0


class EdgeContrastResult(Contrast):
    """The differences between two sets of prompts, edge by edge, and what limits them."""

    COLUMNS: ClassVar = {"edges": EDGE_COLUMNS, "tokens": TOKEN_COLUMNS}

    @property
    def edges(self) -> Table:
        """A row per tested edge, the smallest p first."""
        return self.rows


def contrast_edges(
    store: Store,
    a_ids: str | Iterable[str],
    b_ids: str | Iterable[str],
    *,
    cluster: str | Mapping[str, str] | None = None,
    paired: str | Mapping[str, str] | None = None,
    test: Literal["both", "welch"] = "both",
    q: float = 0.05,
    min_clusters: int = 3,
    permutations: int = 9_999,
    seed: int = 0,
    memory_gb: float = _DEFAULT_GB,
    folder: str | Path | None = None,
) -> EdgeContrastResult:
    """Return which edges differ between the prompts of set a and of set b, with tests over clusters.

    The two ends of an edge are features, errors, tokens or targets, without positions. The arguments and the errors are
    those of `contrast_features`. `memory_gb` bounds, in 10^9 bytes, what is read at once; blocks of values, the labels
    that are exchanged and the rows of the result (about 1 kB per edge that enough clusters have) are beyond it. What
    does not fit is kept in temporary files in `folder`, or where the system has such files. The result depends neither
    on memory nor on how the store is divided into parts.
    """
    settings = ContrastSettings(test, q, min_clusters, permutations, seed)
    sets = prompt_sets(store, two_sets(a_ids, b_ids), cluster, paired)
    with phases_of_memory(prompts_of(store, sets), {"memory_gb": memory_gb}, folder) as phases:
        return edges_of_sets(phases, store, sets, "share", settings)


def edges_of_sets(
    phases: Phases, store: Store, sets: PromptSets, measure: str, settings: ContrastSettings
) -> EdgeContrastResult:
    """Do what `contrast_edges` does, for sets that are made already; phases of tasks do the long work.

    They are given `memory_gb`.
    """
    if measure not in EDGE_MEASURES:
        raise ConfigError(unknown("measure", measure, EDGE_MEASURES))
    tokens = token_shares(store, sets)
    work = ContrastPhases.begin(phases, store, sets, settings, differing_tokens(tokens))
    reader, found, tests = work.edges()
    target, source = np.divmod(found.key, len(reader.sites) or 1)
    columns = tests.columns()
    num_prompts = {"a": int(sets.is_a.sum()), "b": int((~sets.is_a).sum())}
    columns |= {f"rows_{end}": number - columns[f"unknown_{end}"] for end, number in num_prompts.items()}
    order, differing = by_p(columns, columns["difference"], target, source), found.differing_tokens
    sites = reader.sites
    ends = {
        f"{side}_{name}": values
        for side, site in (("source", source[order]), ("target", target[order]))
        for name, values in {
            "kind": np.array(KINDS, dtype=object)[sites.kind_I[site]],
            "layer": sites.layer_I[site],
            "feature": sites.feature_I[site],
            "token": np.array([reader.name_of(one) for one in site.tolist()], dtype=object),
        }.items()
    }
    edges = Table(
        {
            **ends,
            **{name: columns[name][order] for name in (*COLUMNS, *OF_TARGET)},
            "differing_tokens": differing[order],
        }
    )
    facts = tests.facts(columns, measure, found.num_rare, differing)
    is_found = columns["q"] <= settings.q
    facts["found_by_presence_alone"] = int(np.count_nonzero(is_found & np.isnan(columns["p_welch"])))
    return EdgeContrastResult(edges, tokens, (*tests.warnings(facts, "edges"), *_warnings(columns, facts)), facts)


def _warnings(columns: Mapping[str, Floats], facts: Mapping[str, object]) -> list[str]:
    """Return warnings about what the graphs lack."""
    found = []
    missing, rows = (np.concatenate([columns[f"{name}_a"], columns[f"{name}_b"]]) for name in ("missing", "rows"))
    known = missing[~np.isnan(missing)]
    if len(known) < np.count_nonzero(rows):
        found.append("for some edges it is not known how much of their targets' rows the graphs lack (imported graphs)")
    if len(known) and (typical := float(np.median(known))) > _MUCH_MISSING:
        found.append(
            f"the graphs lack {typical:.0%} of the absolute edges into the target of a typical edge (pruning, the "
            "budget of nodes, --keep-row-mass): an absent edge counts as 0 and may be as large as that; see missing_a "
            "and missing_b"
        )
    if number := facts["found_by_presence_alone"]:
        found.append(
            f"{counted(int(str(number)), 'edge')} are found by presence alone, as their targets have rows in one set "
            "only: the difference may be one of the target, not of the edge"
        )
    return found
