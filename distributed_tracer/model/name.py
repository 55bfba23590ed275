"""What a model is called: a directory, or `org/name[@revision]` on the hub."""

from __future__ import annotations

from pathlib import Path


def split_revision(model: str) -> tuple[str, str | None]:
    """`org/name@revision` -> (name, revision); a path that exists is taken whole."""
    name, at, revision = model.rpartition("@")
    return (model, None) if not at or Path(model).exists() else (name, revision)


def is_path(name: str) -> bool:
    """Whether this can only be a directory: no hub id looks like it."""
    return name.startswith(("/", ".", "~")) or name.count("/") > 1
