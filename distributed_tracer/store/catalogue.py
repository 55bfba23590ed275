"""Catalogue: every prompt of a store with its location, sizes and scores, as the commits record them.

It is stored as columns because a store can have very many prompts.

Axes: I prompt, X column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from ..text import counted
from .format.part_manifest import PartManifest, PromptSummary, finite
from .format.schema import SIZES, Columns
from .object_names import committed_part

_INTEGERS = ("commit", "row", "run", *SIZES)
_SCORES = ("replacement", "completeness")
_sizes_of, _scores_of = attrgetter(*SIZES), attrgetter(*_SCORES)


@dataclass(frozen=True)
class CommitInfo:
    """Properties of a committed part that are known without reading its commit."""

    name: str
    """File name of the commit."""
    num_bytes: int
    num_objects: int
    created: str = ""
    """Time of the commit (UTC, ISO 8601); empty where it is not known."""
    run: str = ""
    """Run that made the commit; empty where it is not known."""

    @property
    def part(self) -> str:
        """Name of the part."""
        return committed_part(self.name)

    @classmethod
    def of(cls, name: str, manifest: PartManifest) -> CommitInfo:
        """Return what the part manifest `manifest`, which was found in the commit `name`, says about the part."""
        return cls(name, manifest.num_bytes, len(manifest.objects), manifest.created, manifest.run)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Prompts in the order of their commits, each one once: if several commits name a prompt, the first one counts."""

    commits: tuple[CommitInfo, ...] = ()
    """Commits whose parts hold the prompts."""
    superseded: tuple[CommitInfo, ...] = ()
    """Commits whose prompts are all in `commits` too; their parts are not read any more."""
    ids: list[str] = field(default_factory=list)
    content_hashes: Sequence[str] = ()
    runs: tuple[str, ...] = ()
    columns: Columns = field(default_factory=lambda: _columns([]))
    """Columns with one entry per prompt.

    They are the number of the prompt's commit, its row in that part, the number of the run that traced it (-1 if not
    known), its sizes, and its scores (NaN if not finite).
    """

    def __repr__(self) -> str:
        return f"<Catalogue: {counted(len(self), 'prompt')} in {counted(len(self.commits), 'part')}>"

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def number_of(self) -> dict[str, int]:
        """Index of each prompt in the columns, by id."""
        return dict(zip(self.ids, range(len(self.ids)), strict=True))

    @cached_property
    def id_I(self) -> npt.NDArray[np.object_]:
        """Ids of all prompts, in the order of the columns: object [prompts]."""
        ids = np.empty(len(self.ids), dtype=object)
        ids[:] = self.ids
        return ids

    @cached_property
    def rank_I(self) -> npt.NDArray[np.int64]:
        """Rank of each prompt in the sorted order of ids: int64 [prompts]."""
        rank_I = np.empty(len(self.ids), dtype=np.int64)
        rank_I[sorted(range(len(self.ids)), key=self.ids.__getitem__)] = np.arange(len(self.ids))
        return rank_I

    def entry(self, number: int) -> PromptSummary:
        """Return the sizes and scores of one prompt."""
        found: dict[str, Any] = {name: int(self.columns[name][number]) for name in SIZES}
        found |= {name: finite(float(self.columns[name][number])) for name in _SCORES}
        return PromptSummary(id=self.ids[number], asked=self.content_hashes[number], **found)

    def place(self, number: int) -> tuple[int, int]:
        """Return the number of a prompt's commit, and the prompt's row in that part."""
        return int(self.columns["commit"][number]), int(self.columns["row"][number])

    def numbers(self, commit: int) -> range:
        """Return the numbers of the prompts that are read from a commit's part, in the order of its rows."""
        commit_I = self.columns["commit"]
        bounds = np.array([commit, commit + 1], dtype=commit_I.dtype)  # other numbers would make a copy of the column
        first, end = np.searchsorted(commit_I, bounds).tolist()
        return range(first, end)

    def rows(self, commit: int) -> list[int]:
        """Return the rows, within a commit's part, of the prompts that are read from it."""
        numbers = self.numbers(commit)
        rows: list[int] = self.columns["row"][numbers.start : numbers.stop].tolist()
        return rows

    def agrees(self, commit: int, manifest: PartManifest) -> bool:
        """Whether the commit has the same prompts as this catalogue says. An index may be wrong, so this is checked."""
        numbers, rows = self.numbers(commit), self.rows(commit)
        if max(rows, default=-1) >= len(manifest.prompts):
            return False
        return self.ids[numbers.start : numbers.stop] == [manifest.prompts[row].id for row in rows]

    def with_commits(self, commits: Sequence[tuple[str, PartManifest]]) -> Catalogue:
        """Return this catalogue extended by the prompts of later commits."""
        if not commits:
            return self
        entries, seen, runs = list(self.commits), dict.fromkeys(self.ids), list(self.runs)
        content_hashes, found = list(self.content_hashes[:]), []
        for name, manifest in commits:
            entries.append(CommitInfo.of(name, manifest))
            run = _number(runs, manifest.run)
            for row, entry in enumerate(manifest.prompts):
                if entry.id not in seen:
                    seen[entry.id] = None
                    content_hashes.append(entry.asked)
                    found.append((len(entries) - 1, row, run, entry))
        added = _columns(found)
        columns = {name: np.concatenate([values, added[name]]) for name, values in self.columns.items()}
        return replace(
            self,
            commits=tuple(entries),
            ids=list(seen),
            content_hashes=content_hashes,
            runs=tuple(runs),
            columns=columns,
        )

    def relocated(
        self, number_I: npt.NDArray[np.int64], commit_I: npt.NDArray[np.int64], row_I: npt.NDArray[np.int64]
    ) -> Catalogue:
        """Return the prompts with these numbers, in this order, at other locations (commit and row)."""
        columns = {name: values[number_I] for name, values in self.columns.items()}
        ids, content_hashes = (
            [texts[number] for number in number_I.tolist()] for texts in (self.ids, self.content_hashes)
        )
        return replace(
            self, ids=ids, content_hashes=content_hashes, columns={**columns, "commit": commit_I, "row": row_I}
        )


def _number(runs: list[str], run: str) -> int:
    """Return the number of a run, appending the run to `runs` if it is new; -1 for an empty name."""
    if run and run not in runs:
        runs.append(run)
    return runs.index(run) if run else -1


def _columns(found: list[tuple[int, int, int, PromptSummary]]) -> Columns:
    """Return the columns of prompts that are given as (commit, row, run, entry)."""
    integers = [(*place, *_sizes_of(entry)) for *place, entry in found]
    scores = [[_float(score) for score in _scores_of(entry)] for *_, entry in found]
    integers_IX = np.array(integers, dtype=np.int64).reshape(-1, len(_INTEGERS))
    scores_IX = np.array(scores, dtype=np.float64).reshape(-1, len(_SCORES))
    return {**dict(zip(_INTEGERS, integers_IX.T, strict=True)), **dict(zip(_SCORES, scores_IX.T, strict=True))}


def _float(score: float | None) -> float:
    return float("nan") if score is None else score
