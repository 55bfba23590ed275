"""Digest of a weight file that tells copies apart, without reading all of it where it has many GB.

A large file is sampled: its length, first and last MiB, and 16 KiB in the middle of every tensor of a .safetensors
file (with its whole header), or at 256 places evenly apart in any other. That sees a file that was cut, another
format, another model, and any change of a whole tensor, as training makes; it does not see a single flipped bit.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import BinaryIO

WHOLE_BYTES = 64 * 2**20
"""Smaller files are read whole."""
_END_BYTES = 2**20
_SAMPLE_BYTES = 16 * 2**10
_NUM_SAMPLES = 256
_MAX_HEADER_BYTES = 100 * 2**20  # safetensors' own limit


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


def damage_of(path: Path) -> str:
    """Why a .safetensors file cannot be whole; empty if its length is what its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            start, tensors = _layout(file)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return f"{path.name} ({size:,} bytes) has no safetensors header: {type(error).__name__}: {error}"
    wanted = start + max((end for _, end in tensors), default=0)
    return "" if size == wanted else f"{path.name} has {size:,} bytes; its header says {wanted:,}"


def _layout(file: BinaryIO) -> tuple[int, list[tuple[int, int]]]:
    """Where a .safetensors file's data begin, and beginning and end of each tensor from there."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > _MAX_HEADER_BYTES:
        raise ValueError(f"{length} bytes long")
    header = json.loads(file.read(length))
    spans = (entry["data_offsets"] for name, entry in header.items() if name != "__metadata__")
    return 8 + length, [(int(begin), int(end)) for begin, end in spans]


def _places(path: Path, file: BinaryIO, size: int) -> list[tuple[int, int]]:
    """Offset and length of every sample of a file larger than all of them."""
    places = [(0, _END_BYTES), (size - _END_BYTES, _END_BYTES)]
    if path.suffix == ".safetensors" and not damage_of(path):
        start, tensors = _layout(file)
        middles = sorted(start + (begin + end) // 2 for begin, end in tensors)
        return [*places, (0, start), *((max(0, middle - _SAMPLE_BYTES // 2), _SAMPLE_BYTES) for middle in middles)]
    return [*places, *((size * n // _NUM_SAMPLES, _SAMPLE_BYTES) for n in range(_NUM_SAMPLES))]
