"""Halves: the clusters that findings are made from, and those that are held out to test them.

A hash of the cluster's value decides, so that a cluster is in the same half whatever other prompts there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ConfigError
from ..mine.prompts import ChosenPrompts, choose_prompts
from ..store.read.conditions import kind_of
from ..store.read.select import ID, metadata_columns
from ..store.read.where import rows_meeting
from ..store.reader import Store
from ..table import Table
from ..text import and_more, counted, short

_LISTED = 8


@dataclass(frozen=True, eq=False)
class Halves:
    """Both halves of the prompts of a store that meet some conditions."""

    store: Store
    field: str | None
    """Metadata whose equal values make prompts a cluster; None if each prompt is one."""
    where: tuple[str, ...]
    """Conditions that the prompts of both halves meet."""
    share: float
    discovery: ChosenPrompts
    held_out: ChosenPrompts

    @property
    def key(self) -> str:
        """What the halves are divided by: the field, or the ids of the prompts."""
        return ID if self.field is None else self.field

    @property
    def of_discovery(self) -> tuple[str, ...]:
        """Conditions that the prompts of the discovery half meet."""
        return (*self.where, f"split({self.key})<={_digits(self.share)}")

    @property
    def of_held_out(self) -> tuple[str, ...]:
        """Conditions that the prompts of the held-out half meet."""
        return (*self.where, f"split({self.key})>={_digits(self.share)}")

    def table(self, half: ChosenPrompts) -> Table:
        """Return the rows of a half in the table of prompts, in the order of their ids."""
        prompts, ids = self.store.prompts, {*half.ids}
        return prompts.where([prompt in ids for prompt in prompts["id"].tolist()])

    def warnings(self) -> list[str]:
        """Return what makes all findings less certain than they look, as sentences for people."""
        found = []
        if self.field is None:
            found.append(
                "no clusters are named, so that each prompt counts as independent evidence: prompts that share a "
                "template, a document or a subject are in both halves, and findings look more certain than they are. "
                + _possible_clusters(self.store.prompts)
            )
        return found


def divide(store: Store, field: str | None, where: Sequence[str], share: float) -> Halves:
    """Return both halves. Reads no graphs.

    Raises ConfigError for a field or a condition that names nothing, and if a half has no prompts.
    """
    if not len(store):
        raise ConfigError(f"{store.url} has no graphs to mine")
    own = metadata_columns(store.prompts)
    if field is None and ID in own:
        raise ConfigError(
            "the prompts have metadata that is called id, so that their own ids cannot be clusters: "
            "name metadata with --cluster"
        )
    empty = Halves(store, field, tuple(where), share, *(ChosenPrompts(store, [], None),) * 2)
    halves = []
    for name, conditions in (("discovery", empty.of_discovery), ("held-out", empty.of_held_out)):
        if not rows_meeting(store.prompts, conditions).any():
            raise ConfigError(
                f"the {name} half has no prompts: none of {counted(len(store), 'prompt')} meets {' '.join(conditions)}"
            )
        halves.append(choose_prompts(store, conditions, empty.key))
    return Halves(store, field, tuple(where), share, *halves)


def _possible_clusters(prompts: Table) -> str:
    """Return which metadata could be clusters: those in which some prompts are equal, and some are not."""
    found = []
    for key, column in metadata_columns(prompts).items():
        values = [(kind_of(value), str(value)) for value in prompts[column].tolist() if value is not None]
        if 2 <= (number := len({*values})) < len(values):
            found.append((number, f"{short(key)} ({counted(number, 'value')})"))
    if not found:
        return "No metadata could be clusters: none has equal values for some prompts and others for the rest."
    ordered = [text for _, text in sorted(found, key=lambda one: -one[0])]
    return f"Metadata that could be clusters: {', '.join(ordered[:_LISTED])}{and_more(len(ordered) - _LISTED)}."


def _digits(share: float) -> str:
    """Return a share as a condition has it."""
    return f"{share:.15f}".rstrip("0")
