"""Verifies indexes: their objects, and whether they agree with the commits that they cover."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...errors import StoreCorrupt
from ..backend.base import Backend
from ..format.part_manifest import PartManifest, PromptSummary
from ..format.schema import SIZES
from ..index import Index, index_names, newest_index, read_index
from .damage import Damage


class CheckedIndex:
    """An index whose objects all agree with their recorded sizes and hashes."""

    def __init__(self, index: Index) -> None:
        self._catalogue, self._name = index.catalogue, index.name
        self._where = index.objects.where
        self.num_objects, self.num_bytes = index.objects.num_objects, index.objects.num_bytes
        self._commits = {entry.name: number for number, entry in enumerate(self._catalogue.commits)}
        self._superseded = {entry.name for entry in self._catalogue.superseded}

    def placed(self, damage: Damage, name: str) -> Damage:
        """Return the damage of a commit, completed by what the index knows about the commit."""
        if name in self._superseded:
            return replace(damage, prompts=(), superseded=True)
        if damage.prompts is None and name in self._commits:
            return replace(damage, prompts=self._prompts_of(name))
        return damage

    def disagreement(self, name: str, manifest: PartManifest) -> list[Damage]:
        """Return the damage if the index and a commit disagree about prompts, rows or sizes; else an empty list."""
        if name not in self._commits:
            return []
        commit = self._commits[name]
        if not self._catalogue.agrees(commit, manifest):
            return [Damage(f"index/{self._name}", (f"{self._where} has other prompts than commits/{name}",))]
        rows = zip(self._catalogue.numbers(commit), self._catalogue.rows(commit), strict=True)
        if any(_sizes(self._catalogue.entry(number)) != _sizes(manifest.prompts[row]) for number, row in rows):
            return [Damage(f"index/{self._name}", (f"{self._where} has other sizes than commits/{name}",))]
        return []

    def gone(self, root: Backend, names: Iterable[str]) -> list[Damage]:
        """Return the missing commits from which the index reads prompts, unless a newer index counts meanwhile."""
        absent = self._commits.keys() - set(names)
        newest = newest_index(root) if absent else None
        if newest is None or newest.name != self._name:
            return []
        says = "is gone, and the index names it"
        return [
            Damage(f"commits/{name}", (f"{root.url}/commits/{name} {says}",), self._prompts_of(name))
            for name in sorted(absent)
        ]

    def _prompts_of(self, name: str) -> tuple[str, ...]:
        return tuple(self._catalogue.ids[number] for number in self._catalogue.numbers(self._commits[name]))


def _sizes(entry: PromptSummary) -> tuple[int, ...]:
    return tuple(getattr(entry, size) for size in SIZES)


def check_indexes(root: Backend) -> tuple[CheckedIndex | None, list[Damage]]:
    """Return the newest index, if it can be used, and the damage of all indexes: `gc` uses the earlier ones, too."""
    names = index_names(root)
    newest, damages = None, []
    for name in names:
        index, problems = _checked(root, name)
        if index and name == names[-1]:
            newest = CheckedIndex(index)
        if problems and name in index_names(root):
            damages.append(Damage(f"index/{name}", problems, superseded=name != names[-1]))
    return newest, damages


def _checked(root: Backend, name: str) -> tuple[Index | None, tuple[str, ...]]:
    """Return an index that can be read completely, or None and what is wrong with it."""
    try:
        index = read_index(root, name)
        problems = tuple(index.objects.damaged().values())
        if not problems:
            index.check()
        return (None if problems else index), problems
    except StoreCorrupt as error:
        return None, (str(error),)
