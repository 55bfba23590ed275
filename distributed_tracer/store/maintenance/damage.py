"""Damage: a defect found in a store, with the prompts that it affects."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Damage:
    """One record of a store that cannot be relied on, or whose part cannot be relied on."""

    key: str
    """Key of a commit, an index, a failure, a run record, an evaluation record, or run.json."""
    problems: tuple[str, ...]
    prompts: tuple[str, ...] | None = ()
    """Ids that cannot be read completely from there; None if it is not known which prompts it named."""
    whole: tuple[int, ...] = ()
    """Rows of the commit's part that can still be read."""
    superseded: bool = False
    """Whether it is a commit that no reader needs according to an index, or an index that is not the newest."""


@dataclass(frozen=True)
class Verified:
    """Result of a verification: how much was read, and all damage that was found."""

    url: str
    num_prompts: int
    """Number of prompts that can be read completely."""
    num_objects: int
    num_bytes: int
    damages: tuple[Damage, ...]
    lost: tuple[str, ...]
    """Ids of prompts that can be read completely nowhere, as far as they are known, sorted."""
