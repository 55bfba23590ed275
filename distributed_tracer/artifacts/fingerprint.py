"""Fingerprint: a digest of a weight file that distinguishes versions, without reading all of a file of many GB.

A large file is sampled. The digest covers its length, its first and last MiB, and 16 KiB in the middle of every tensor
of a .safetensors file (with its whole header), or at 256 evenly spaced offsets of any other file. This detects a file
that was cut, another format, another model, and any change of a whole tensor, as training makes it. It does not detect
a single flipped bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .checkpoint_files import check_safetensors, layout

WHOLE_BYTES = 64 * 2**20
"""Files of at most this size are read completely."""
_END_BYTES = 2**20
_SAMPLE_BYTES = 16 * 2**10
_NUM_SAMPLES = 256


def digest_of(path: Path, full: bool = False) -> tuple[str, bool]:
    """Return the digest `bytes:sha256` of a file, and whether it was sampled instead of read completely.

    The digest of a sampled file has the form `bytes:sampled:sha256`. `full` reads a file of any size completely.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if full or size <= WHOLE_BYTES:
            return f"{size}:{hashlib.file_digest(file, 'sha256').hexdigest()}", False
        sha = hashlib.sha256()
        for offset, length in _places(path, file, size):
            file.seek(offset)
            sha.update(file.read(length))
    return f"{size}:sampled:{sha.hexdigest()}", True


def _places(path: Path, file: BinaryIO, size: int) -> list[tuple[int, int]]:
    """Return offset and length of every sample of a file that is larger than all samples together."""
    places = [(0, _END_BYTES), (size - _END_BYTES, _END_BYTES)]
    if path.suffix == ".safetensors" and not check_safetensors(path):
        start, tensors = layout(file)
        middles = sorted(start + (tensor.begin + tensor.end) // 2 for tensor in tensors.values())
        return [*places, (0, start), *((max(0, middle - _SAMPLE_BYTES // 2), _SAMPLE_BYTES) for middle in middles)]
    return [*places, *((size * n // _NUM_SAMPLES, _SAMPLE_BYTES) for n in range(_NUM_SAMPLES))]


@dataclass(frozen=True)
class Files:
    """The files of a model or of transcoders on one node."""

    source: str
    folder: str | None
    """Folder of the files; None if they are not on this node."""
    missing: str = ""
    """Reason why the files are not on this node; empty if they are."""
    on_hub: bool = False
    """Whether this is a hub id that is not in this node's cache: with a network, it can be downloaded."""
    digests: Mapping[str, str] | None = None
    """Digest of each file, with its size, by name."""
    num_bytes: int = 0
    num_sampled: int = 0
    """Number of files that were sampled because they are large, and not read completely."""
    damaged: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    """Keys of `digests` that belong to a config.yaml that names files, perhaps elsewhere, and to these files."""

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that are the same on nodes with the same files."""
        return hashlib.sha256(json.dumps(self.digests, sort_keys=True).encode()).hexdigest()[:8]
