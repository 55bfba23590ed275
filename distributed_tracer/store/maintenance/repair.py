"""Repair: removes from a store everything that cannot be relied on, and nothing else; `trace` then computes it again.

The prompts of a damaged part that can be read completely move to a new part, bitwise unchanged. Its commit has the
number of the damaged commit, so that it takes the same place in the order. Only after the new commit exists are the
indexes removed that name the damaged commit, the oldest first, and then the damaged commit. Thus a crash at any moment
leaves a store that says at least what it said before, and another repair continues. Parts without a commit are left to
`gc`.

No index is fixed or written: an index says nothing that the commits do not say, and `compact` makes a new one when it
is wanted.

A commit that cannot be read, or that contradicts its part, is removed together with all its prompts; nothing is
inferred.
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
from ..object_names import commit_name, number_of
from ..part import Part
from ..writer import PartWriter
from .damage import Damage
from .salvage import read_intact_rows
from .verify import Progress, verify

_INDEXED = ("commits/", "index/")


@dataclass(frozen=True)
class Repaired:
    """Result of a repair, or of a dry run: the damage, and what was, or would be, done about it."""

    damages: tuple[Damage, ...]
    dropped: tuple[str, ...]
    """Ids of prompts that were in the store and were removed, as far as they are known, sorted."""
    num_moved: int
    """Number of prompts of damaged parts that were moved to new parts."""
    num_unknown: int
    """Number of commits that were removed without anyone knowing which prompts they named."""


def repair(url: str, dry_run: bool = False, progress: Progress | None = None) -> Repaired:
    """Remove all damage from a store.

    It may be stopped at any time and run again, also while others read the store or runs write to it. Until these open
    the store again, they meet the damage or miss a commit. Raises StoreNotFound, StoreVersionError, StoreUnavailable,
    and StoreCorrupt if run.json is damaged: only a copy of run.json helps then, and nothing is done.
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
    """Commit the readable prompts of a damaged part as a new part, which takes the place of the damaged one."""
    name = damage.key.removeprefix("commits/")
    old = read_commit(root, name)
    part = Part(root, old)
    writer = PartWriter(root.url, StoreConfig(root.url, weight_bits=MANTISSA_BITS, store_active=part.keeps_active))
    for row, columns in read_intact_rows(part, damage.whole):
        writer.keep(old.prompts[row], columns)
    new = writer.flush()
    if new is not None:
        commit_part(root, commit_name(number_of(name), new.part), new.to_json(old.created, old.run), new)


def _remove_indexes(root: Backend) -> None:
    """Remove all indexes, the oldest first.

    A later index covers everything that an earlier one covers, while an earlier one may name what was removed since.
    """
    for name in index_names(root):
        root.remove(f"index/{name}")
