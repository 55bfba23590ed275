"""Compact: turns many small parts into a few large ones, and writes an index of all prompts and features.

Nothing is removed, and everything stays readable at every moment. Larger parts are committed like any other part, and
readers ignore the second commit of a prompt. Only then does an index say which parts are superseded. Readers that
opened the store earlier go on reading the superseded parts; `gc` removes them later.

Axes: I prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...config import StoreConfig
from ..catalogue import Catalogue, CommitInfo
from ..format.part_manifest import PartManifest
from ..index_builder import write_index
from ..joined_part import write_joined_part
from ..ledger import Ledger
from ..part import Part
from ..reader import Store, open_store

PART_PROMPTS = 16_384
PART_EDGES = 32_000_000
"""Maximum number of edges of a large part."""


@dataclass(frozen=True)
class Compacted:
    """Result of a compaction."""

    num_prompts: int
    parts_before: int
    parts_after: int
    index: int | None
    """Number of the new index; None if nothing had changed since the last one."""

    def describe(self) -> str:
        """Return the result as one line of text."""
        parts = "1 part" if self.parts_after == 1 else f"{self.parts_after:,} parts"
        if self.index is None:
            return f"{self.num_prompts:,} prompts in {parts}; nothing has changed since the last time"
        before = f" instead of {self.parts_before:,}" if self.parts_before != self.parts_after else ""
        return f"{self.num_prompts:,} prompts in {parts}{before}; index {self.index} knows all of them"


def compact(url: str, part_prompts: int = PART_PROMPTS, part_edges: int = PART_EDGES) -> Compacted:
    """Combine parts that are less than half full, as far as both limits allow, and write an index.

    Does nothing if nothing has changed. It may be stopped at any time and run again, also while runs write to the
    store: their later parts will be in the next index. Raises StoreError if another compaction finishes first.
    """
    store, ledger = open_store(url), Ledger(url)
    old, merged = store.catalogue, {}
    for commits in _groups(store, part_prompts, part_edges):
        manifest = _merged(store, commits)
        (name,) = ledger.commit(manifest)
        merged[tuple(commits)] = name, manifest
    last = store.index.number if store.index else 0
    if store.index and not merged and len(old.commits) == store.num_indexed:
        return Compacted(len(store), len(old.commits), len(old.commits), None)
    new, manifests = _rearranged(store, merged)
    write_index(store.root, last + 1, new, [Part(store.root, manifest) for manifest in manifests])
    return Compacted(len(store), len(old.commits), len(new.commits), last + 1)


def _groups(store: Store, part_prompts: int, part_edges: int) -> Iterator[list[int]]:
    """Yield groups of commits, by number, whose parts are to be combined into one part."""
    catalogue, keeps_active = store.catalogue, False
    group: list[int] = []
    num_prompts = num_edges = 0
    for commit in range(len(catalogue.commits)):
        numbers = catalogue.numbers(commit)
        edges = int(catalogue.columns["num_edges"][numbers.start : numbers.stop].sum())
        if not numbers or 2 * len(numbers) > part_prompts or 2 * edges > part_edges:
            continue
        full = num_prompts + len(numbers) > part_prompts or num_edges + edges > part_edges
        if group and (full or store.part(commit).keeps_active != keeps_active):
            yield from [group] if len(group) > 1 else []
            group, num_prompts, num_edges = [], 0, 0
        keeps_active = store.part(commit).keeps_active
        group, num_prompts, num_edges = [*group, commit], num_prompts + len(numbers), num_edges + edges
    if len(group) > 1:
        yield group


def _merged(store: Store, commits: list[int]) -> PartManifest:
    """Write one part with the prompts of several parts, their graphs bitwise unchanged, and return its manifest."""
    sources = [(store.part(commit), store.catalogue.rows(commit)) for commit in commits]
    return write_joined_part(store.root, sources, StoreConfig(store.url).retry_seconds)


def _rearranged(
    store: Store, merged: dict[tuple[int, ...], tuple[str, PartManifest]]
) -> tuple[Catalogue, list[PartManifest]]:
    """Return the catalogue with the new location of each prompt, and the part manifests of its commits."""
    old, gone = store.catalogue, {commit for commits in merged for commit in commits}
    commits: list[CommitInfo] = []
    manifests: list[PartManifest] = []
    numbers, rows = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for commit, entry in enumerate(old.commits):
        if commit not in gone and old.numbers(commit):
            commits.append(entry)
            manifests.append(store.manifest(commit))
            numbers.append(np.array(old.numbers(commit)))
            rows.append(np.array(old.rows(commit)))
        else:
            gone.add(commit)
    for of, (name, manifest) in merged.items():
        commits.append(CommitInfo.of(name, manifest))
        manifests.append(manifest)
        numbers.append(np.concatenate([np.array(old.numbers(commit)) for commit in of]))
        rows.append(np.arange(len(manifest.prompts)))
    superseded = (*old.superseded, *(old.commits[commit] for commit in sorted(gone)))
    commit_I = np.repeat(np.arange(len(commits)), [len(of_commit) for of_commit in rows[1:]])
    placed = old.relocated(np.concatenate(numbers), commit_I, np.concatenate(rows))
    return replace(placed, commits=tuple(commits), superseded=superseded), manifests
