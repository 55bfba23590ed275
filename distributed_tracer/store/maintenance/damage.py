"""Damage: what was found wrong with a store, and which prompts it takes along."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Damage:
    """One record of a store that cannot be relied on, or whose part cannot."""

    key: str
    """Of a commit, an index, a failure, a run's record or run.json."""
    problems: tuple[str, ...]
    prompts: tuple[str, ...] | None = ()
    """Ids that cannot be read whole from there; None where nobody knows which it named."""
    whole: tuple[int, ...] = ()
    """Rows of the commit's part that can be read all the same."""
    superseded: bool = False
    """Of a commit that no reader needs, as an index says, or an index before the newest."""


@dataclass(frozen=True)
class Verified:
    """What was read, and all that was wrong with it."""

    url: str
    num_prompts: int
    """Prompts that can be read whole."""
    num_objects: int
    num_bytes: int
    damages: tuple[Damage, ...]
    lost: tuple[str, ...]
    """Ids of prompts that can be read whole nowhere, as far as they are known, sorted."""
