"""PartManifest: what a part holds, in a few kilobytes.

A worker returns it; written as a commit, it makes the part count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ...errors import StoreCorrupt
from ...text import counted
from ..object_names import PART_NAME
from .checksummed_json import LARGEST, MALFORMED, dump_checksummed, load_checksummed, objects_of
from .schema import FORMAT_VERSION, SIZES

_FORMAT = "distributed_tracer commit"


@dataclass(frozen=True)
class PromptSummary:
    """One prompt of a part. A score that is not finite is None here; the part itself has the exact value."""

    id: str
    num_tokens: int
    num_targets: int
    num_nodes: int
    num_edges: int
    num_active: int
    replacement: float | None
    completeness: float | None
    asked: str = ""
    """Hash of the prompt's token ids and targets; it shows a rerun that an id now stands for another prompt."""


@dataclass(frozen=True)
class PartManifest:
    """One part: its id, its prompts in the order of the part, and size in bytes and SHA-256 of each of its objects."""

    part: str
    prompts: tuple[PromptSummary, ...]
    objects: Mapping[str, tuple[int, str]]
    created: str = field(default="", compare=False)
    """Time of the commit (UTC, ISO 8601); empty before the commit, or where the time is not known."""
    run: str = field(default="", compare=False)
    """Run that made the commit; empty before the commit, or where the run is not known."""

    def __repr__(self) -> str:
        return f"<PartManifest {self.part}: {counted(len(self.prompts), 'prompt')}, {self.num_bytes:,} bytes>"

    @property
    def prompt_ids(self) -> tuple[str, ...]:
        """Ids of the prompts, in the order of the part."""
        return tuple(entry.id for entry in self.prompts)

    @property
    def num_bytes(self) -> int:
        """Size of the part in the store, in bytes."""
        return sum(size for size, _ in self.objects.values())

    def to_json(self, created: str, run: str = "") -> bytes:
        """Return the bytes of the commit object, with the time of the commit and the run that makes it."""
        rows = [asdict(entry) for entry in self.prompts]
        return dump_checksummed(
            {
                "format": _FORMAT,
                "format_version": FORMAT_VERSION,
                "part": self.part,
                "created": created,
                **({"run": run} if run else {}),
                "prompts": {entry.name: [row[entry.name] for row in rows] for entry in fields(PromptSummary)},
                "objects": self.objects,
            }
        )

    @classmethod
    def from_json(cls, data: bytes, where: str) -> PartManifest:
        """Return the part manifest in a commit object.

        Raises StoreCorrupt, which names `where`, if the bytes are not a commit or were altered.
        """
        try:
            return cls._from_document(load_checksummed(data))
        except MALFORMED as error:
            raise StoreCorrupt(f"{where} is not a commit of this format: {type(error).__name__}: {error}") from error

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> PartManifest:
        if (document["format"], document["format_version"]) != (_FORMAT, FORMAT_VERSION):
            raise ValueError(f"format {document['format']!r}, version {document['format_version']!r}")
        columns = {entry.name: list(document["prompts"][entry.name]) for entry in fields(PromptSummary)}
        objects = objects_of(document)
        if not PART_NAME.fullmatch(document["part"]):
            raise ValueError(f"part {document['part']!r}")
        entries = tuple(PromptSummary(*row) for row in zip(*columns.values(), strict=True))
        if not _are_usual(columns):
            for entry in entries:
                _check(entry)
        return cls(document["part"], entries, objects, str(document.get("created", "")), str(document.get("run", "")))


def _are_usual(columns: Mapping[str, list[Any]]) -> bool:
    """Whether `_check` would accept all entries, as it does nearly always; a look at whole columns takes a tenth."""
    kinds = {name: {*map(type, values)} for name, values in columns.items()}
    scores = [score for name in ("replacement", "completeness") for score in columns[name] if score is not None]
    return (
        all(kinds[name] <= {str} for name in ("id", "asked"))
        and all(kinds[size] <= {int} for size in SIZES)
        and all(min(columns[size]) >= 0 and max(columns[size]) < LARGEST for size in SIZES if columns[size])
        and {*map(type, scores)} <= {float}
        and all(map(math.isfinite, scores))
    )


def _check(entry: PromptSummary) -> None:
    """Raise ValueError for values of the wrong type: JSON guarantees no types, and the values are used in sums."""
    counts = tuple(getattr(entry, size) for size in SIZES)
    if not (isinstance(entry.id, str) and isinstance(entry.asked, str)):
        raise ValueError(f"prompt {entry.id!r} that asks {entry.asked!r}")
    if not all(type(count) is int and 0 <= count < LARGEST for count in counts):
        raise ValueError(f"counts {counts} of prompt {entry.id!r}")
    if not all(score is None or _is_score(score) for score in (entry.replacement, entry.completeness)):
        raise ValueError(f"scores of prompt {entry.id!r}")


def _is_score(score: object) -> bool:
    """Whether a JSON number is a finite float64. JSON has numbers that no float64 holds, and Python parses NaN, too."""
    return (type(score) is int and abs(score) < LARGEST) or (type(score) is float and math.isfinite(score))


def finite(score: float) -> float | None:
    """Return a score as a part manifest holds it: None unless it is finite, because JSON has no NaN."""
    return score if math.isfinite(score) else None
