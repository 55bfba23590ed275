"""The active features of many prompts as one table of columns, whether they are nodes of the graphs or not.

Axes: A active feature, N node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError
from ...graph.columns import ACTIVE_COLUMNS, STRING_OF_TOKEN
from ...graph.graph import site_key
from ...graph.nodes import NodeKind
from ...table_stream import Batch, CategoricalColumn, TableStream
from ...text import counted, listed
from ..part import Part
from .conditions import Conditions, check_columns, column_names
from .node_batches import rows_meeting, with_tokens
from .part_range import PartRange, Size, part_ranges
from .prefetch import found_ahead

_AHEAD = 1
_KNOWN = {**ACTIVE_COLUMNS, **STRING_OF_TOKEN}
_SITE = ("layer", "position", "feature")
_STORED = {*_SITE, "activation"}
_NEEDS = {"is_node": {*_SITE}, "token": {"position"}}
"""The stored columns from which a column is made, for those that are not stored."""


def active_batches(
    parts: Callable[[], Iterable[tuple[Part, list[int]]]],
    columns: str | Sequence[str] | None,
    where: Conditions,
    url: str,
    if_none: Callable[[], None],
) -> TableStream:
    """Return the active features of the given prompts that meet all conditions, sorted as in `ActiveTable`.

    Raises ConfigError for columns and values that do not exist. `if_none` is called if nothing meets the conditions.
    """
    names = column_names(columns, ACTIVE_COLUMNS)
    check_columns("column of active features", names, where, _KNOWN)

    def read() -> Iterator[Batch]:
        sizes: list[Size] = ["num_active", *with_tokens("token" in {*names, *where})]
        sizes += ["num_nodes"] if "is_node" in {*names, *where} else []
        _check_kept(parts(), url)
        firing = ((part, _firing(part, numbers)) for part, numbers in parts())
        jobs = (partial(_batch, part_range, names, where) for part_range in part_ranges(firing, *sizes))
        return found_ahead(jobs, _AHEAD, if_none)

    return TableStream({name: _KNOWN[name] for name in names}, read)


def _firing(part: Part, numbers: Sequence[int]) -> list[int]:
    """Return those of some prompts of a part that have active features."""
    return [number for number in numbers if part.manifest.prompts[number].num_active]


def _check_kept(parts: Iterable[tuple[Part, list[int]]], url: str) -> None:
    """Raise ConfigError if parts lack the active features of some prompts.

    The objects that the commits list are looked at, so nothing else is read.
    """
    lacking: list[str] = []
    total = 0
    for part, numbers in parts:
        total += len(numbers)
        if not any(name.startswith("active/layer/") for name in part.manifest.objects):
            lacking += [part.manifest.prompts[number].id for number in _firing(part, numbers)]
    if lacking:
        raise ConfigError(
            f"{counted(len(lacking), 'prompt')} of {total} in {url} were stored without active features "
            f"(--no-store-active): {listed(lacking)}. Leave out these prompts, which fill whole parts (the column part "
            f"of the table of prompts), or read the features that are nodes: nodes(where={{'kind': 'feature'}})"
        )


def _batch(part_range: PartRange, names: Sequence[str], where: Conditions) -> Batch | None:
    """Return the wanted columns of a range's active features that meet the conditions; None if there are none."""
    if not where:
        return _columns(part_range, names)
    num_rows = int(part_range.sizes("num_active").sum())
    index = np.flatnonzero(rows_meeting(_columns(part_range, list(where)), where, num_rows))
    return _columns(part_range, names, index) if len(index) else None


def _columns(
    part_range: PartRange, names: Sequence[str], index: npt.NDArray[np.intp] | None = None
) -> dict[str, npt.NDArray[Any] | CategoricalColumn]:
    """Return columns of all active features of a part range, or of those at `index`, in ascending order."""
    wanted = {stored for name in names for stored in _NEEDS.get(name, {name} & _STORED)}
    rows = part_range.rows("num_active", index)
    read = part_range.part.read({f"active/{name}": rows for name in sorted(wanted)})
    stored = {name.removeprefix("active/"): values for name, values in read.items()}
    prompt_A = part_range.prompt_of_rows("num_active")[slice(None) if index is None else index]

    def column(name: str) -> npt.NDArray[Any] | CategoricalColumn:
        if name == "prompt":
            return CategoricalColumn(prompt_A, [entry.id for entry in part_range.entries])
        if name == "is_node":
            return _is_node(part_range, prompt_A, site_key(*(stored[of] for of in _SITE)))
        return part_range.tokens_at(prompt_A, stored["position"]) if name == "token" else stored[name]

    return {name: column(name) for name in names}


def _is_node(
    part_range: PartRange, prompt_A: npt.NDArray[np.int32], key_A: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Return whether each active feature is a node of its prompt's graph. `prompt_A` is in ascending order."""
    nodes = part_range.part.nodes(["kind", *_SITE], part_range.rows("num_nodes"))
    features = np.flatnonzero(nodes["kind"] == NodeKind.FEATURE)
    key_N = site_key(*(nodes[of][features] for of in _SITE))
    prompts = np.arange(len(part_range.entries) + 1)
    first_A = np.searchsorted(prompt_A, prompts)
    first_N = np.searchsorted(part_range.prompt_N[features], prompts)
    mask_A = np.zeros(len(key_A), dtype=bool)
    for prompt in np.unique(prompt_A):
        own = slice(first_A[prompt], first_A[prompt + 1])
        mask_A[own] = np.isin(key_A[own], key_N[first_N[prompt] : first_N[prompt + 1]])
    return mask_A
