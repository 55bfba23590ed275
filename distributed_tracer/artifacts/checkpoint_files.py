"""Checkpoint files: reads headers and index of a folder's .safetensors files, and finds damage, without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from ..documents.json_text import parse_json
from ..documents.safetensors_header import Stored, safetensors_header
from ..documents.text import MAX_INDEX_BYTES, read_text, shortened
from ..errors import ModelError
from ..names import is_elsewhere
from ..text import and_more

INDEX = "model.safetensors.index.json"
_POINTER = b"version https://git-lfs"
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16}
_BITS |= {"U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64}
_NAMED = 3
_LONGEST = 200


def layout(file: BinaryIO) -> tuple[int, dict[str, Stored]]:
    """Return the offset at which a .safetensors file's data begin, and its tensors by name.

    Raises ModelError if the file has no valid header.
    """
    return safetensors_header(file, ModelError)


def shards(index: Path) -> dict[str, str]:
    """Return the name of the file that holds each tensor, read from the index of a checkpoint in several files.

    Raises ModelError if the index cannot be read, or if it names a file that may be outside its directory.
    """
    try:
        found = parse_json(read_text(index, ModelError, MAX_INDEX_BYTES), ModelError)
    except ModelError as error:
        raise ModelError(f"{index.name} cannot be read: {error}") from error
    shard_of = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(shard_of, dict) or not all(isinstance(name, str) for name in shard_of.values()):
        raise ModelError(f"{index.name} cannot be read: expected a weight_map from tensors to names of files")
    if outside := sorted(name for name in set(shard_of.values()) if is_elsewhere(name)):
        raise ModelError(f"{index.name} names {shortened(outside[0])}, which may be outside its directory")
    return shard_of


def is_pointer(path: Path) -> bool:
    """Whether git-lfs has left only a pointer in place of the file."""
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def check_safetensors(path: Path) -> str:
    """Return why a .safetensors file cannot be complete; empty if file and tensors have the sizes that its header
    states."""
    return _read(path)[0]


def damaged(folder: Path, names: Sequence[str]) -> list[str]:
    """Return sentences on what is damaged among the files of a model or of transcoders.

    They cover pointers of git-lfs, truncated files, missing shards and missing tensors.
    """
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
    """Return the names of tensors with integer elements: they are not weights, except as codes of quantized weights."""
    found = []
    for path in sorted(folder.glob("*.safetensors")):
        _, tensors = _read(path)
        found += [name for name, tensor in tensors.items() if tensor.dtype[0] in "IU"]
    return found


def _read(path: Path) -> tuple[str, Mapping[str, Stored]]:
    """Return why the file is not complete, empty if it is, and the tensors that its header lists."""
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            start, tensors = layout(file)
        except ModelError as error:
            return f"{path.name} ({size:,} bytes) has no safetensors header: {error}", {}
    wanted = start + max((tensor.end for tensor in tensors.values()), default=0)
    if size != wanted:
        return f"{path.name} has {size:,} bytes; its header says {wanted:,}", tensors
    for name, tensor in tensors.items():
        if (bits := _BITS.get(tensor.dtype)) is None:
            continue  # a dtype that later versions of the format added
        count = math.prod(tensor.shape)
        given, needed = tensor.end - tensor.begin, bits * count // 8
        if given != needed:
            shown = f"{tensor.dtype} {list(tensor.shape)}"
            return f"{path.name}: {name} has {given:,} bytes; {shown} needs {needed:,}", tensors
    return "", tensors


def _index_damage(index: Path, there: Mapping[str, Mapping[str, Stored]]) -> list[str]:
    """Return sentences on what the index names and is missing: shards or, if all are there, tensors in them."""
    try:
        shard_of = shards(index)
    except ModelError as error:
        return [str(error)]
    named = set(shard_of.values())
    absent = sorted(named - set(there))
    if absent:
        return [f"{len(absent)} of {len(named)} shards are missing, first {absent[0][:_LONGEST]}"]
    whole = {shard: tensors for shard, tensors in there.items() if tensors}  # the others are reported already
    lost = sorted(name for name, shard in shard_of.items() if shard in whole and name not in whole[shard])
    if lost:
        return [f"{len(lost)} of {len(shard_of)} tensors are not in the shard that {index.name} names: {_some(lost)}"]
    return []


def _some(names: Sequence[str]) -> str:
    return ", ".join(name[:_LONGEST] for name in names[:_NAMED]) + and_more(len(names) - _NAMED)
