"""Verifying an index: its objects, and whether it says of commits what they say themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...errors import StoreCorrupt
from ..backend.base import Backend
from ..format.part_manifest import PartManifest, PromptSummary
from ..index import Index, index_names, newest_index, read_index
from .damage import Damage


class CheckedIndex:
    """An index whose objects are all as noted."""

    def __init__(self, index: Index) -> None:
        self._catalogue, self._name = index.catalogue, index.name
        self._where = index.objects.where
        self.num_objects, self.num_bytes = index.objects.num_objects, index.objects.num_bytes
        self._commits = {entry.name: number for number, entry in enumerate(self._catalogue.commits)}
        self._superseded = {entry.name for entry in self._catalogue.superseded}

    def placed(self, damage: Damage, name: str) -> Damage:
        """The damage of a commit with what the index knows about that."""
        if name in self._superseded:
            return replace(damage, prompts=(), superseded=True)
        if damage.prompts is None and name in self._commits:
            return replace(damage, prompts=self._prompts_of(name))
        return damage

    def disagreement(self, name: str, receipt: PartManifest) -> list[Damage]:
        """Whether the index has the prompts of a commit where they are."""
        if name not in self._commits:
            return []
        commit = self._commits[name]
        if not self._catalogue.agrees(commit, receipt):
            return [Damage(f"index/{self._name}", (f"{self._where} has other prompts than commits/{name}",))]
        rows = zip(self._catalogue.numbers(commit), self._catalogue.rows(commit), strict=True)
        if any(_sizes(self._catalogue.entry(number)) != _sizes(receipt.prompts[row]) for number, row in rows):
            return [Damage(f"index/{self._name}", (f"{self._where} has other sizes than commits/{name}",))]
        return []

    def gone(self, root: Backend, names: Iterable[str]) -> list[Damage]:
        """Commits that the index reads prompts from and that are not there, unless another index counts by now."""
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
    return entry.num_tokens, entry.num_targets, entry.num_nodes, entry.num_edges, entry.num_active


def check_indexes(root: Backend) -> tuple[CheckedIndex | None, list[Damage]]:
    """The newest index, if it can be used, and what is wrong with any: `gc` goes by earlier ones too."""
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
    """An index of which all can be read, or what is wrong with it."""
    try:
        index = read_index(root, name)
        problems = tuple(index.objects.damaged().values())
        if not problems:
            index.check()
        return (None if problems else index), problems
    except StoreCorrupt as error:
        return None, (str(error),)
