"""Two groups of prompts compared, feature by feature.

This describes the prompts of both groups and tests nothing: with thousands of features, large differences between
small groups arise by chance too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..names import unknown
from ..store.reader import Store, prompt_list
from ..table import Table
from ..text import and_more, listed
from .sum_by_key import KeyedSums, as_keys, as_values, merge_sums, site_columns, sum_by_key

_COLUMNS = ("prompt", "layer", "feature", "influence", "activation")
_ORDERS = ("share", "influence")


def compare_groups(
    store: Store,
    a_ids: str | Iterable[str],
    b_ids: str | Iterable[str],
    by: Literal["share", "influence"] = "share",
    top: int | None = None,
) -> Table:
    """Return how often and how strongly each feature is a node in the graphs of group a and of group b.

    Columns: layer, feature; and, with the ending `_a` or `_b`: prompts (whose graphs have the feature), share (of the
    group's prompts), influence (summed over positions; mean over all prompts of the group, 0 where the feature is no
    node), activation (mean over its nodes, NaN if there are none). The differences a - b are share_difference and
    influence_difference. Rows are ordered by the size of the difference in `by`, then of the other one. The differences
    only describe these prompts; they are no test. Raises PromptNotFound, and ConfigError for a group without prompts,
    for a prompt that is in both groups, for an unknown `by`, and for `by="influence"` with imported graphs whose
    influence is not known, which is NaN otherwise.
    """
    if by not in _ORDERS:
        raise ConfigError(unknown("order", by, _ORDERS))
    groups = [list(dict.fromkeys(prompt_list(ids))) for ids in (a_ids, b_ids)]
    if common := sorted(set(groups[0]).intersection(groups[1])):
        raise ConfigError(f"in both groups are {listed(common[:3])}{and_more(len(common) - 3)}: leave them out of one")
    for name, group in zip("ab", groups, strict=True):
        if not group:
            raise ConfigError(f"group {name} has no prompts")
    keys, sums = _sums(store, groups)
    prompts, share, influence, activation = {}, {}, {}, {}
    for name, group, (num_prompts, num_nodes, influences, activations) in zip(
        "ab", groups, (sums[:, :4].T, sums[:, 4:].T), strict=True
    ):
        prompts[name], share[name] = num_prompts.astype(np.int64), num_prompts / len(group)
        influence[name] = influences / len(group)
        activation[name] = np.divide(activations, num_nodes, out=np.full(len(keys), np.nan), where=num_nodes > 0)
    differences = {"share": share["a"] - share["b"], "influence": influence["a"] - influence["b"]}
    if by == "influence" and np.isnan(differences[by]).any():
        raise ConfigError("the influence of features is not known for some of these graphs: try by='share'")
    other = differences["influence" if by == "share" else "share"]
    best = np.lexsort((*keys.T[::-1], -np.abs(other), -np.abs(differences[by])))[:top]
    columns: dict[str, npt.NDArray[Any]] = {f"prompts_{name}": prompts[name] for name in "ab"}
    columns |= {f"{of}_difference": values for of, values in differences.items()}
    measures = {"share": share, "influence": influence, "activation": activation}
    columns |= {f"{of}_{name}": measures[of][name] for of in measures for name in "ab"}
    return Table({**site_columns(keys[best]), **{name: values[best] for name, values in columns.items()}})


def _sums(store: Store, groups: list[list[str]]) -> KeyedSums:
    """Return sums by (layer, feature): prompts, nodes, influence, activation of group a, then of group b."""
    numbers = {prompt: number for number, prompt in enumerate([*groups[0], *groups[1]])}
    totals: KeyedSums = (np.zeros((0, 2), np.int64), np.zeros((0, 8)))
    for table in store.nodes(list(numbers), _COLUMNS, {"kind": "feature"}):  # each prompt is in one of the tables
        number = np.fromiter((numbers[prompt] for prompt in table["prompt"]), np.int64, len(table))
        own = as_values(np.ones(len(table)), table["influence"], table["activation"])
        keys, values = sum_by_key(as_keys(table["layer"], table["feature"], number), own)
        values = np.column_stack([np.ones(len(keys)), values])
        in_b = keys[:, 2:] >= len(groups[0])
        both = np.concatenate([np.where(in_b, 0.0, values), np.where(in_b, values, 0.0)], axis=1)
        totals = merge_sums(totals, sum_by_key(keys[:, :2], both))
    return totals
