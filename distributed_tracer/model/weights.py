"""A model folder's .safetensors files without their weights: headers, index, and what is damaged. No torch here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..names import is_elsewhere

INDEX = "model.safetensors.index.json"
_MAX_HEADER_BYTES = 100 * 2**20  # safetensors' own limit
_POINTER = b"version https://git-lfs"
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16}
_BITS |= {"U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64}
_NAMED = 3


@dataclass(frozen=True)
class Stored:
    """One tensor as a header describes it. Offsets count bytes from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def layout(file: BinaryIO) -> tuple[int, dict[str, Stored]]:
    """Where a .safetensors file's data begin, and its tensors by name.

    Raises ValueError, KeyError, TypeError, AttributeError or RecursionError where that is no such header.
    """
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > _MAX_HEADER_BYTES:
        raise ValueError(f"{length} bytes long")
    header = json.loads(file.read(length))
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = Stored(str(entry["dtype"]), tuple(map(int, entry["shape"])), int(begin), int(end))
    return 8 + length, tensors


def is_pointer(path: Path) -> bool:
    """Whether git-lfs has left a note here in place of the file."""
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def damage_of(path: Path) -> str:
    """Why a .safetensors file cannot be whole; empty if its length and its tensors' are what its header says."""
    return _read(path)[0]


def damaged(folder: Path, names: Sequence[str]) -> list[str]:
    """Sentences about the files of a model or of transcoders: pointers, truncated files, absent shards and tensors."""
    pointers = [name for name in names if is_pointer(folder / name)]
    if pointers:
        return [
            f"{_some(pointers)} {'are' if len(pointers) > 1 else 'is'} not there: git-lfs has left only a pointer; "
            "`git lfs pull` in that folder fetches the content"
        ]
    if not any(name.endswith((".safetensors", ".npz")) for name in names):
        return [f"no .safetensors or .npz file in {folder}"]
    read = {name: _read(folder / name) for name in names if name.endswith(".safetensors")}
    sentences = [why for why, _ in read.values() if why]
    if INDEX in names:
        sentences += _index_damage(folder / INDEX, {name: tensors for name, (_, tensors) in read.items()})
    return sentences


def integer_tensors(folder: Path) -> list[str]:
    """Names of tensors whose elements are whole numbers: no weights, unless as the codes of quantised ones."""
    found = []
    for path in sorted(folder.glob("*.safetensors")):
        _, tensors = _read(path)
        found += [name for name, tensor in tensors.items() if tensor.dtype[0] in "IU"]
    return found


def _read(path: Path) -> tuple[str, Mapping[str, Stored]]:
    """Why the file is not whole, and what its header says that it holds."""
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            start, tensors = layout(file)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, IndexError) as error:
            return f"{path.name} ({size:,} bytes) has no safetensors header: {type(error).__name__}: {error}", {}
    wanted = start + max((tensor.end for tensor in tensors.values()), default=0)
    if size != wanted:
        return f"{path.name} has {size:,} bytes; its header says {wanted:,}", tensors
    for name, tensor in tensors.items():
        if (bits := _BITS.get(tensor.dtype)) is None:
            continue  # a later type
        count = math.prod(tensor.shape)
        given, needed = tensor.end - tensor.begin, bits * count // 8
        if given != needed:
            shown = f"{tensor.dtype} {list(tensor.shape)}"
            return f"{path.name}: {name} has {given:,} bytes; {shown} needs {needed:,}", tensors
    return "", tensors


def _index_damage(index: Path, shards: Mapping[str, Mapping[str, Stored]]) -> list[str]:
    """What the index names and is not there: whole shards, else tensors in the shards that are."""
    try:
        shard_of: dict[str, str] = dict(json.loads(index.read_text("utf-8"))["weight_map"])
        named = set(shard_of.values())
        absent = sorted(named - set(shards))
        if outside := [name for name in absent if is_elsewhere(name)]:
            return [f"{index.name} names {outside[0]!r}, which may be outside the directory"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{index.name} cannot be read: {error}"]
    if absent:
        return [f"{len(absent)} of {len(named)} shards are missing, first {absent[0]}"]
    whole = {shard: tensors for shard, tensors in shards.items() if tensors}  # of others it is said already
    lost = sorted(name for name, shard in shard_of.items() if shard in whole and name not in whole[shard])
    if lost:
        return [f"{len(lost)} of {len(shard_of)} tensors are not in the shard that {index.name} names: {_some(lost)}"]
    return []


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
