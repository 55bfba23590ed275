"""Headers of .safetensors files, which give the place of each tensor without reading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, TypeGuard

from .json_text import parse_json
from .text import Refuse, shortened

MAX_HEADER_BYTES = 32 * 2**20
"""Largest header that is read: the index of all files of the largest model has half of this size."""
_MAX_AXES = 16


@dataclass(frozen=True)
class Stored:
    """Description of one tensor in a header. Offsets count bytes from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def safetensors_header(file: BinaryIO, refuse: Refuse) -> tuple[int, dict[str, Stored]]:
    """Return the offset in bytes at which the data of a .safetensors file begin, and its tensors by name.

    Raises `refuse` for a header that is too long, cut short or malformed.
    """
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER_BYTES:
        raise refuse(f"its header would have {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read")
    data = file.read(length)
    if len(data) < length:
        raise refuse(f"its header would have {length:,} bytes; the file holds {len(data):,}")
    header = parse_json(data, refuse)
    if not isinstance(header, dict):
        raise refuse(f"its header is no object, but {shortened(header)}")
    return 8 + length, {name: _stored(name, entry, refuse) for name, entry in header.items() if name != "__metadata__"}


def _stored(name: str, entry: object, refuse: Refuse) -> Stored:
    if isinstance(entry, dict):
        dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
        if isinstance(dtype, str) and _are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2:
            return Stored(dtype, tuple(shape), *offsets)
    raise refuse(f"its header says of {shortened(name)} no dtype, shape and data_offsets, but {shortened(entry)}")


def _are_sizes(value: object) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= _MAX_AXES
        and all(type(size) is int and 0 <= size < 2**63 for size in value)
    )
