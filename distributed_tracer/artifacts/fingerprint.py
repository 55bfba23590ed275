"""Digest of a weight file that tells copies apart, without reading all of it where it has many GB.

A large file is sampled: its length, first and last MiB, and 16 KiB in the middle of every tensor of a .safetensors
file (with its whole header), or at 256 places evenly apart in any other. That sees a file that was cut, another
format, another model, and any change of a whole tensor, as training makes; it does not see a single flipped bit.
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
"""Smaller files are read whole."""
_END_BYTES = 2**20
_SAMPLE_BYTES = 16 * 2**10
_NUM_SAMPLES = 256


def digest_of(path: Path, full: bool = False) -> tuple[str, bool]:
    """`bytes:sha256` of the whole file or of samples of it, and which of the two."""
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
    """Offset and length of every sample of a file larger than all of them."""
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
    """None: not on this node."""
    missing: str = ""
    """Why not."""
    on_hub: bool = False
    """A hub id that is not in this node's cache: with a network, it can be downloaded."""
    digests: Mapping[str, str] | None = None
    """Size and hash by name."""
    num_bytes: int = 0
    num_sampled: int = 0
    """So many of the files, the large ones, were not read whole."""
    damaged: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    """Of the digests: those of a config.yaml that names files, perhaps elsewhere, and of these files."""

    @property
    def fingerprint(self) -> str:
        """Eight digits, the same on nodes with the same files."""
        return hashlib.sha256(json.dumps(self.digests, sort_keys=True).encode()).hexdigest()[:8]
