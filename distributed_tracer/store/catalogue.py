"""Catalogue: every prompt of a store with its place, sizes and scores, as commits say. Columns, for there are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .format.index_schema import SIZES
from .format.part_manifest import PartManifest, PromptSummary, finite
from .format.schema import Columns
from .object_names import committed_part

_INTEGERS = ("commit", "row", "run", *SIZES)
_SCORES = ("replacement", "completeness")


@dataclass(frozen=True)
class CommitInfo:
    """What is known of a committed part without its commit."""

    name: str
    """File name of the commit."""
    num_bytes: int
    num_objects: int
    created: str = ""
    """When it was committed (UTC, ISO 8601), and below by which run; empty where that is not known."""
    run: str = ""

    @property
    def part(self) -> str:
        """The part's name."""
        return committed_part(self.name)

    @classmethod
    def of(cls, name: str, receipt: PartManifest) -> CommitInfo:
        """What `receipt`, found in the commit `name`, says."""
        return cls(name, receipt.num_bytes, len(receipt.objects), receipt.created, receipt.run)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Prompts in the order of their commits, each once: of several commits of a prompt, the first counts."""

    commits: tuple[CommitInfo, ...] = ()
    """Those whose parts hold the prompts."""
    superseded: tuple[CommitInfo, ...] = ()
    """Those whose prompts are all in `commits` too; nobody reads their parts."""
    ids: list[str] = field(default_factory=list)
    asked: Sequence[str] = ()
    runs: tuple[str, ...] = ()
    columns: Columns = field(default_factory=lambda: _columns([]))
    """By prompt: number of its commit, its row in that part, number of the run that traced it (-1: not known), sizes
    and scores (NaN: not finite)."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def number_of(self) -> dict[str, int]:
        """Each prompt's place in the columns, by id."""
        return dict(zip(self.ids, range(len(self.ids)), strict=True))

    @cached_property
    def id_N(self) -> npt.NDArray[np.object_]:
        """Ids of all prompts, by number."""
        ids = np.empty(len(self.ids), dtype=object)
        ids[:] = self.ids
        return ids

    @cached_property
    def rank_N(self) -> npt.NDArray[np.int64]:
        """Each prompt's place in the order of ids."""
        rank_N = np.empty(len(self.ids), dtype=np.int64)
        rank_N[sorted(range(len(self.ids)), key=self.ids.__getitem__)] = np.arange(len(self.ids))
        return rank_N

    def entry(self, number: int) -> PromptSummary:
        """Sizes and scores of one prompt."""
        found: dict[str, Any] = {name: int(self.columns[name][number]) for name in SIZES}
        found |= {name: finite(float(self.columns[name][number])) for name in _SCORES}
        return PromptSummary(id=self.ids[number], asked=self.asked[number], **found)

    def place(self, number: int) -> tuple[int, int]:
        """Number of a prompt's commit, and its row in the part."""
        return int(self.columns["commit"][number]), int(self.columns["row"][number])

    def numbers(self, commit: int) -> range:
        """The prompts that are read from a commit's part, in the order of its rows."""
        first, end = np.searchsorted(self.columns["commit"], [commit, commit + 1]).tolist()
        return range(first, end)

    def rows(self, commit: int) -> list[int]:
        """Their rows."""
        numbers = self.numbers(commit)
        rows: list[int] = self.columns["row"][numbers.start : numbers.stop].tolist()
        return rows

    def agrees(self, commit: int, receipt: PartManifest) -> bool:
        """Whether a commit says what is said here of its prompts: an index may lie."""
        numbers, rows = self.numbers(commit), self.rows(commit)
        if max(rows, default=-1) >= len(receipt.prompts):
            return False
        return self.ids[numbers.start : numbers.stop] == [receipt.prompts[row].id for row in rows]

    def with_commits(self, commits: Sequence[tuple[str, PartManifest]]) -> Catalogue:
        """This, and what later commits add."""
        if not commits:
            return self
        entries, seen, runs = list(self.commits), dict.fromkeys(self.ids), list(self.runs)
        asked, found = list(self.asked[:]), []
        for name, receipt in commits:
            entries.append(CommitInfo.of(name, receipt))
            run = _number(runs, receipt.run)
            for row, entry in enumerate(receipt.prompts):
                if entry.id not in seen:
                    seen[entry.id] = None
                    asked.append(entry.asked)
                    found.append((len(entries) - 1, row, run, entry))
        added = _columns(found)
        columns = {name: np.concatenate([values, added[name]]) for name, values in self.columns.items()}
        return replace(self, commits=tuple(entries), ids=list(seen), asked=asked, runs=tuple(runs), columns=columns)

    def relocated(
        self, number_N: npt.NDArray[np.int64], commit_N: npt.NDArray[np.int64], row_N: npt.NDArray[np.int64]
    ) -> Catalogue:
        """The prompts with these numbers, in this order, at other places."""
        columns = {name: values[number_N] for name, values in self.columns.items()}
        ids, asked = ([texts[number] for number in number_N.tolist()] for texts in (self.ids, self.asked))
        return replace(self, ids=ids, asked=asked, columns={**columns, "commit": commit_N, "row": row_N})


def _number(runs: list[str], run: str) -> int:
    """A run's number, a new one if need be; -1 for none."""
    if run and run not in runs:
        runs.append(run)
    return runs.index(run) if run else -1


def _columns(found: list[tuple[int, int, int, PromptSummary]]) -> Columns:
    """Columns of (commit, row, run, entry)."""
    integers = [(*place, *(getattr(entry, name) for name in SIZES)) for *place, entry in found]
    scores = [[_float(getattr(entry, name)) for name in _SCORES] for *_, entry in found]
    integers_NC = np.array(integers, dtype=np.int64).reshape(-1, len(_INTEGERS))
    scores_NC = np.array(scores, dtype=np.float64).reshape(-1, len(_SCORES))
    return {**dict(zip(_INTEGERS, integers_NC.T, strict=True)), **dict(zip(_SCORES, scores_NC.T, strict=True))}


def _float(score: float | None) -> float:
    return float("nan") if score is None else score
