"""Repairing: whatever cannot be relied on is taken out of a store, and nothing else; `trace` then does it again.

The prompts of a damaged part that can be read whole move to a new part, bit for bit, whose commit has the number of the
damaged one, so that it comes where that came. Only when it is there are indexes taken away that name the damaged
commit, the oldest first, and then that commit. So a crash at any moment leaves a store that says at least what it said
before, and another repair goes on. Parts without a commit are left to `gc`.

No index is mended or written: it tells nothing that commits do not tell, and `compact` makes another when it is wanted.

A commit that cannot be read, or that says other things than its part, is not guessed at: it goes, with all its prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...config import StoreConfig
from ..backend.base import Backend
from ..backend.open import open_backend
from ..commits import read_commit
from ..format.run_file import read_run
from ..format.zarr_encode import MANTISSA_BITS
from ..index import index_names
from ..ledger import commit_part
from ..part import Part
from ..writer import PartWriter
from .damage import Damage
from .salvage import read_intact_rows
from .verify import Progress, verify

_INDEXED = ("commits/", "index/")


@dataclass(frozen=True)
class Repaired:
    """What was done, or would be."""

    damages: tuple[Damage, ...]
    dropped: tuple[str, ...]
    """Ids of prompts that were in the store and are no more, as far as they are known, sorted."""
    num_moved: int
    """Prompts of damaged parts that are in new parts now."""
    num_unknown: int
    """Commits that were dropped without anyone knowing which prompts they named."""


def repair(url: str, dry_run: bool = False, progress: Progress | None = None) -> Repaired:
    """Take all damage out of a store.

    May be stopped at any time and run again, and beside readers and runs: these see damage, or miss a commit, until
    they open the store again.

    Raises StoreNotFound, StoreVersionError, StoreUnavailable, and StoreCorrupt where run.json is damaged: only a copy
    of it helps then, and nothing is done.
    """
    root = open_backend(url)
    read_run(root)
    found = verify(root, progress)
    commits = [damage for damage in found.damages if damage.key.startswith("commits/")]
    if not dry_run:
        for damage in commits:
            if damage.whole:
                _move(root, damage)
        if any(damage.key.startswith(_INDEXED) and not damage.superseded for damage in found.damages):
            _remove_indexes(root)
        for damage in found.damages:
            root.remove(damage.key)
    return Repaired(
        damages=found.damages,
        dropped=found.lost,
        num_moved=sum(len(damage.whole) for damage in commits),
        num_unknown=sum(damage.prompts is None for damage in commits),
    )


def _move(root: Backend, damage: Damage) -> None:
    """Commit what can be read of a damaged part as a part of its own, in the damaged one's place."""
    name = damage.key.removeprefix("commits/")
    old = read_commit(root, name)
    part = Part(root, old)
    writer = PartWriter(root.url, StoreConfig(root.url, weight_bits=MANTISSA_BITS, store_active=part.keeps_active))
    for row, columns in read_intact_rows(part, damage.whole):
        writer.keep(old.prompts[row], columns)
    new = writer.flush()
    if new is not None:
        commit_part(root, f"{name[:10]}-{new.part}.json", new.to_json(old.created, old.run), new)


def _remove_indexes(root: Backend) -> None:
    """All of them, the oldest first: those after it cover what it covers, while it may name what was removed since."""
    for name in index_names(root):
        root.remove(f"index/{name}")
