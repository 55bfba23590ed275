"""Select: which prompts meet conditions on their small data: metadata, scores, sizes, targets, tokens, nodes.

Edges are not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError, StoreCorrupt
from ...graph.nodes import NodeKind
from ...names import hint, unknown
from ...table import Table
from ..format.schema import COLUMNS
from ..part import Part
from .conditions import Conditions, check_kinds, kind_of, meets, wanted_values
from .prompt_table import METADATA

_PARTS_AT_ONCE = 8


def rows_where(prompts: Table, metadata: Conditions, bounds: Mapping[str, float]) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows of the table of prompts with such metadata, and scores and sizes within the bounds.

    `metadata` may have conditions on other columns too: a key is one of metadata if there is such metadata, else a
    column, and `metadata.<key>` always is one of metadata. `bounds` are named `min_<column>` and `max_<column>`. A
    score that is NaN is within no bounds. Raises ConfigError for a column that does not exist, a value of a kind that
    no prompt has there, and a bound that is not a number.
    """
    mask = np.ones(len(prompts), dtype=bool)
    if not isinstance(metadata, Mapping):
        raise ConfigError(f"conditions on metadata are a mapping such as {{'topic': 'capitals'}}, not {metadata!r}")
    own = metadata_columns(prompts)
    named = {**own, **{name: name for name in prompts.columns if name not in own and name not in own.values()}}
    column_of = {**{f"{METADATA}{key}": column for key, column in own.items()}, **named}
    for key, condition in metadata.items():
        if key not in column_of:
            raise ConfigError(unknown("metadata, score or size", key, named))
        values = prompts[column_of[key]]
        if not callable(condition):
            check_kinds(key, wanted_values(condition), {kind_of(value) for value in values.tolist()} - {"missing"})
        mask &= meets(values, condition)
    numeric = [name for name in prompts.columns if prompts[name].dtype != object]
    for bound, value in bounds.items():
        which, _, name = bound.partition("_")
        if which not in ("min", "max") or name not in numeric:
            close = hint(bound, [f"{end}_{of}" for end in ("min", "max") for of in numeric])
            raise ConfigError(f"no bound {bound!r}; min_ and max_ go with {', '.join(numeric)}{close}")
        if not isinstance(value, Real) or isinstance(value, bool) or np.isnan(float(value)):
            raise ConfigError(f"{bound} must be a number, not {value!r}")
        mask &= prompts[name] >= value if which == "min" else prompts[name] <= value
    return mask


def metadata_columns(prompts: Table) -> dict[str, str]:
    """Return the name of the column in the table of prompts for each metadata key."""
    return {column.removeprefix(METADATA): column for column in prompts.columns[prompts.columns.index("part") + 1 :]}


ID = "id"
"""Name by which the ids of prompts are the clusters, one for each prompt, unless metadata has this name."""


def cluster_column(prompts: Table, key: str) -> str:
    """Return the column in the table of prompts whose equal values make prompts a cluster.

    `key` is one of metadata; `id` are the ids of the prompts if no metadata has this name. Raises ConfigError.
    """
    own = metadata_columns(prompts)
    name = key.removeprefix(METADATA)
    if name not in own and key != ID:
        raise ConfigError(unknown("metadata", key, own))
    return own.get(name, ID)


PartPredicate = Callable[[Part], npt.NDArray[np.bool_]]
"""A function that returns a mask of the prompts of a part that have some property."""


def prompts_with(parts: Iterable[tuple[Part, list[int]]], has: PartPredicate) -> set[str]:
    """Return the ids of those of the given prompts for which the predicate `has` is true."""

    def of_part(part: Part, numbers: list[int]) -> list[str]:
        """Return the ids for one part."""
        having = has(part)
        return [part.manifest.prompts[number].id for number in numbers if having[number]]

    with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
        found = list(pool.map(lambda both: of_part(*both), parts))
    return {prompt_id for of_one in found for prompt_id in of_one}


def predicates(token: str | int | None, target: str | int | None, layer: int | None) -> list[PartPredicate]:
    """Return the predicates for the given conditions; None means no condition.

    Raises ConfigError for a token or target that is neither an id nor a text.
    """
    found = [] if token is None else [has_token(_id_or_text("token", token))]
    found += [] if target is None else [has_target(_id_or_text("target", target))]
    return found + ([] if layer is None else [has_layer(layer)])


def _id_or_text(name: str, given: str | int) -> str | int:
    """Return a token id as a Python int, or a text unchanged. Raises ConfigError for anything else."""
    if isinstance(given, bool) or not isinstance(given, str | Integral):
        raise ConfigError(f"{name} is an id or a text, not {given!r}")
    return given if isinstance(given, str) else int(given)


def has_token(token: str | int) -> PartPredicate:
    """Return a predicate for prompts that have a token with this id or this text; see `_spellings`."""
    if isinstance(token, int):
        return partial(_has_value, "tokens/token", token)
    return partial(_has_text, "tokens/string", "tokens/string_size", token)


def has_target(target: str | int) -> PartPredicate:
    """Return a predicate for prompts with a target that is this token's logit or has this label; see `_spellings`."""
    if isinstance(target, int):
        return partial(_has_value, "targets/token_id", target)
    return partial(_has_text, "targets/label", "targets/label_size", target)


def has_layer(layer: int) -> PartPredicate:
    """Return a predicate for prompts that have a feature of this layer among their nodes."""

    def has(part: Part) -> npt.NDArray[np.bool_]:
        nodes = part.nodes(["kind", "layer"])
        return _any_of(part, "nodes/kind", (nodes["kind"] == NodeKind.FEATURE) & (nodes["layer"] == layer))

    return has


def _has_value(name: str, value: int, part: Part) -> npt.NDArray[np.bool_]:
    return _any_of(part, name, _all_rows(part, name) == value)


def _has_text(texts: str, sizes: str, text: str, part: Part) -> npt.NDArray[np.bool_]:
    """Return a mask of the prompts that have this text in an array of concatenated texts.

    Only texts of the right length are compared.
    """
    data, size = _all_rows(part, texts), _all_rows(part, sizes)
    if size.sum(dtype=np.int64) != len(data):
        raise StoreCorrupt(f"{part.objects.where}: {texts} are not as long as {sizes} say")
    first = np.cumsum(size) - size
    mask = np.zeros(len(size), dtype=bool)
    for wanted in _spellings(text):
        bytes_ = np.frombuffer(wanted.encode("utf-8", "surrogatepass"), dtype=np.uint8)
        candidates = np.flatnonzero(size == len(bytes_))
        mask[candidates] |= (data[first[candidates, None] + np.arange(len(bytes_))] == bytes_).all(axis=1)
    return _any_of(part, sizes, mask)


def _spellings(text: str) -> tuple[str, ...]:
    """Return the texts that match: with and without a leading space, or exactly one text.

    A text that begins with a space matches exactly; of a text in double quotes, what is inside them matches exactly.
    """
    if len(text) > 2 and text[0] == text[-1] == '"':
        return (text[1:-1],)
    return (text,) if text.startswith(" ") else (text, f" {text}")


def _all_rows(part: Part, name: str) -> npt.NDArray[Any]:
    if name in part.head:
        return part.head[name]
    return part.read({name: slice(0, int(part.pointers(COLUMNS[name])[-1]))})[name]


def _any_of(part: Part, name: str, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return for each prompt of a part whether the mask is true for at least one of its rows of an array."""
    before = np.concatenate([[0], np.cumsum(mask)])
    pointers = part.pointers(COLUMNS[name])
    return before[pointers[1:]] > before[pointers[:-1]]
