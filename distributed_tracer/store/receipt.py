"""Receipt: what a part holds, in a few kilobytes. A worker returns it; as a commit it says that the part exists."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import StoreCorrupt
from .schema import FORMAT_VERSION, OBJECT_KEY, PART_NAME


@dataclass(frozen=True)
class PromptEntry:
    """One prompt of a part. A score that is not finite is None here; the part has it exactly."""

    id: str
    num_tokens: int
    num_targets: int
    num_nodes: int
    num_edges: int
    num_active: int
    replacement: float | None
    completeness: float | None
    asked: str = ""
    """Hash of the prompt's token ids and targets, by which a rerun notices that an id now asks something else."""


@dataclass(frozen=True)
class Receipt:
    """One part: its id, its prompts in the part's order, and size in bytes and SHA-256 of each of its objects."""

    part: str
    prompts: tuple[PromptEntry, ...]
    objects: Mapping[str, tuple[int, str]]

    @property
    def num_bytes(self) -> int:
        """What the part takes in the store."""
        return sum(size for size, _ in self.objects.values())

    def to_json(self, created: str) -> bytes:
        """The commit object; `created` is the time of the commit and means nothing to readers."""
        rows = [asdict(entry) for entry in self.prompts]
        document = {
            "format": "distributed_tracer commit",
            "format_version": FORMAT_VERSION,
            "part": self.part,
            "created": created,
            "prompts": {field.name: [row[field.name] for row in rows] for field in fields(PromptEntry)},
            "objects": self.objects,
        }
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Receipt:
        """The receipt in a commit object. Raises StoreCorrupt naming `where` if it is not one."""
        try:
            return cls._from_document(json.loads(data))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreCorrupt(f"{where} is not a commit of this format: {type(error).__name__}: {error}") from error

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> Receipt:
        columns = (document["prompts"][field.name] for field in fields(PromptEntry))
        objects = {key: (int(size), str(digest)) for key, (size, digest) in document["objects"].items()}
        if not PART_NAME.fullmatch(document["part"]):
            raise ValueError(f"part {document['part']!r}")
        if strange := [key for key in objects if not OBJECT_KEY.fullmatch(key)]:
            raise ValueError(f"object {strange[0]!r}")
        return cls(document["part"], tuple(PromptEntry(*row) for row in zip(*columns, strict=True)), objects)


def finite(score: float) -> float | None:
    """A score as a receipt holds it: JSON has no NaN."""
    return score if math.isfinite(score) else None
