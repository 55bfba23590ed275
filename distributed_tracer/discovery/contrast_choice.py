"""Which contrasts to make: one value of metadata against the others, where both sets have enough clusters.

A field is compared if it has from two to MOST_VALUES different texts, numbers or booleans in the discovery half. With
two values, one is compared with the other; with more, each is compared with all others. Prompts without the field are
in neither set. Each set needs `min_clusters` clusters in the discovery half, and enough in the held-out half for a
test over clusters to have a p-value of alpha. Nothing of a graph is looked at, so that the choice favours no finding.

Axes: I prompt of a half.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..names import unknown
from ..store.read.conditions import kind_of
from ..store.read.prompt_table import METADATA
from ..store.read.select import metadata_columns
from ..store.read.where import rows_meeting
from ..table import Table
from ..text import counted, printable
from .halves import Halves

MOST_VALUES = 20
"""Fields with more values are not compared: they name prompts rather than classes of them."""
_PRESENT = {"text": ">=", "numbers": ">=-1e99"}
"""Conditions that all values of a kind meet, and no missing one."""
_LONGEST = 40
"""Longest name or value that is shown."""
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ContrastChoice:
    """A contrast that could be made, and why it is not, if so."""

    name: str
    a: tuple[str, ...] = ()
    """Conditions of set a; `b` likewise, empty for all prompts that are not in a."""
    b: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    """Conditions that the prompts of both sets meet, beside those of the half."""
    is_paired: bool = False
    """Whether the sets are compared within clusters."""
    clusters: tuple[int, int] = (0, 0)
    """Clusters of sets a and b in the discovery half."""
    held_out: tuple[int, int] = (0, 0)
    why_not: str = ""
    sets: frozenset[bytes] = field(default=frozenset(), repr=False)
    """The prompts of both sets, to recognise contrasts that are the same."""

    def describe(self) -> str:
        """Return a line for people."""
        sizes = "{:,} and {:,} clusters to mine, {:,} and {:,} held out".format(*self.clusters, *self.held_out)
        return f"{self.name}: {sizes}{', within clusters' if self.is_paired else ''}"


def choose_contrasts(
    halves: Halves, most: int, min_clusters: int, alpha: float, by: Sequence[str] = ()
) -> list[ContrastChoice]:
    """Return the contrasts to make, the best first, then those that are left out, each with the reason.

    `by` names the metadata to compare; by default all are looked at. Contrasts of different fields take turns, those
    with the largest smaller set first; of contrasts with the same prompts the first is made, and at most `most` are.
    Raises ConfigError for a field that no prompt has.
    """
    of_half = (
        _Half(halves.table(halves.discovery), halves.discovery.clusters),
        _Half(halves.table(halves.held_out), halves.held_out.clusters),
    )
    own = metadata_columns(of_half[0].prompts)
    for key in by:
        if key.removeprefix(METADATA) not in own:
            raise ConfigError(unknown("metadata", key, own))
    of_clusters = halves.key.removeprefix(METADATA)
    keys = [key.removeprefix(METADATA) for key in by] or [key for key in own if key != of_clusters]
    needed = min_clusters, math.ceil(math.log2(1 / alpha))
    of_fields: list[list[ContrastChoice]] = []
    refused: list[ContrastChoice] = []
    for key in sorted(dict.fromkeys(keys)):
        found = list(_of_field(key, own[key], of_half, needed, halves.field is not None))
        able = sorted((one for one in found if not one.why_not), key=lambda one: (-min(one.clusters), one.name))
        of_fields.append(able)
        refused += [one for one in found if one.why_not]
    return [*_limited(of_fields, most), *refused]


def _limited(of_fields: Iterable[Sequence[ContrastChoice]], most: int) -> Iterator[ContrastChoice]:
    """Yield the contrasts of all fields in turns; those with the same prompts as another and those beyond `most` come
    with the reason."""
    ordered = sorted(filter(None, of_fields), key=lambda found: (-min(found[0].clusters), found[0].name))
    kept: dict[frozenset[bytes], ContrastChoice] = {}
    left_out = []
    for one in (one for turn in zip_longest(*ordered) for one in turn if one is not None):
        if one.sets in kept:
            left_out.append(replace(one, why_not=f"its sets are those of {kept[one.sets].name}"))
        elif len(kept) >= most:
            left_out.append(replace(one, why_not=f"more than {counted(most, 'contrast')}"))
        else:
            kept[one.sets] = one
    yield from (*kept.values(), *left_out)


@dataclass(frozen=True, eq=False)
class _Half:
    prompts: Table
    cluster_I: npt.NDArray[np.int32] | None

    def clusters(self, is_in_I: Mask) -> set[int]:
        """Return the numbers of the clusters that some prompts are in."""
        assert self.cluster_I is not None
        return {*self.cluster_I[is_in_I].tolist()} - {-1}


def _of_field(
    key: str, column: str, halves: tuple[_Half, _Half], needed: tuple[int, int], may_pair: bool
) -> Iterator[ContrastChoice]:
    """Yield the contrasts of a field: one for each value, or one of two values; or one that says why there are none."""
    held = [(kind_of(value), value) for value in halves[0].prompts[column].tolist()]
    name, kinds = _shown(key), {kind for kind, _ in held}
    if "lists or objects" in kinds:
        yield ContrastChoice(name, why_not="it holds lists or objects")
        return
    counts = Counter(_text(value) for kind, value in held if kind != "missing")
    if not 2 <= len(counts) <= MOST_VALUES:
        why = f"it has {counted(len(counts), 'value')}: from 2 to {MOST_VALUES} are compared"
        yield ContrastChoice(name, why_not=why)
        return
    rarest = min(sorted(counts), key=counts.__getitem__)
    for text in [rarest] if len(counts) == 2 else sorted(counts):
        others = [other for other in counts if other != text]
        is_pair = len(others) == 1
        about = ContrastChoice(
            f"{name}={_shown(text)} against {_shown(others[0]) if is_pair else 'all others'}",
            (f"{column}={text}",),  # the column is `metadata.KEY` where other columns have the name of the key
            (f"{column}={others[0]}",) if is_pair else (),
            () if is_pair or "missing" not in kinds else _present(column, kinds - {"missing"}),
        )
        yield _judged(about, halves, needed, may_pair, [_text(value) == text for _, value in held])


def _present(column: str, kinds: set[str]) -> tuple[str, ...]:
    """Return the condition that exactly the prompts with a value meet; of several kinds of values there is none."""
    return tuple(f"{column}{_PRESENT[kind]}" for kind in kinds if kinds <= _PRESENT.keys() and len(kinds) == 1)


def _judged(
    one: ContrastChoice,
    halves: tuple[_Half, _Half],
    needed: tuple[int, int],
    may_pair: bool,
    is_value_I: Sequence[bool],
) -> ContrastChoice:
    """Return a contrast with its sizes, and why it cannot be made, if so.

    `is_value_I` says which prompts of the discovery half have the value.
    """
    try:
        masks = [_masks(one, half.prompts) for half in halves]
    except ConfigError as error:
        return replace(one, why_not=f"no condition selects it: {error}")
    if masks[0][0].tolist() != is_value_I:
        return replace(one, why_not="a condition with this value selects other prompts, too")
    (a, b), (held_a, held_b) = (
        [half.clusters(is_in) for is_in in own] for half, own in zip(halves, masks, strict=True)
    )
    is_paired = may_pair and len(a & b) >= max(needed[0], min(len(a), len(b)) / 2)
    clusters = (len(a & b),) * 2 if is_paired else (len(a), len(b))
    ids = halves[0].prompts["id"]
    sets = frozenset("\0".join(ids[is_in].tolist()).encode("utf-8", "surrogatepass") for is_in in masks[0])
    held_out = len(held_a), len(held_b)
    sized = replace(one, is_paired=is_paired, clusters=clusters, held_out=held_out, sets=sets)
    for numbers, least, what in zip((clusters, held_out), needed, ("to mine", "that are held out"), strict=True):
        if min(numbers) < least:
            return replace(sized, why_not=f"a set has {counted(min(numbers), 'cluster')} {what}: {least} are needed")
    return sized


def _shown(text: str) -> str:
    """Return a text of metadata for people."""
    return printable(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _masks(one: ContrastChoice, prompts: Table) -> tuple[Mask, Mask]:
    """Return which prompts are in set a and in set b."""
    is_there = rows_meeting(prompts, one.where)
    is_a = is_there & rows_meeting(prompts, one.a)
    return is_a, is_there & (rows_meeting(prompts, one.b) if one.b else ~is_a)


def _text(value: object) -> str:
    """Return a value as a condition has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
