"""Zarr encoding: the columns of a part or an index, compressed as a Zarr v3 group in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
import zarr.api.asynchronous
from zarr.codecs import BloscCodec, ZstdCodec
from zarr.storage import MemoryStore

from .schema import COLUMNS, FORMAT_VERSION, POINTER_COLUMN, POINTERS, Column, Columns

_NARROW_NODES = 65_536
_ONE_BLOCK = 1 << 20
_CHUNKS_AT_ONCE = 8


def encode_part(
    prompts: Sequence[Columns], weight_bits: int, store_active: bool, provenance: Mapping[str, Any] | None = None
) -> dict[str, bytes]:
    """Return the objects of a part, by key.

    `prompts` are the results of `columns_of` for each prompt, in the order of the part; `provenance` is the result of
    `provenance_of`.
    """
    kept = [
        column
        for column in COLUMNS.values()
        if (store_active or column.axis != "active")
        and (not column.added or any(column.name in columns for columns in prompts))
    ]
    arrays = [(column, _concatenated(column, prompts, weight_bits)) for column in kept]
    return encode_group("part", [*arrays, (POINTER_COLUMN, pointers_of(prompts))], provenance)


def encode_group(
    kind: str, arrays: Sequence[tuple[Column, npt.NDArray[Any]]], provenance: Mapping[str, Any] | None = None
) -> dict[str, bytes]:
    """Return the objects of a Zarr group, by key. The group's attributes record its `kind` and the provenance."""
    attributes = {**(provenance or {}), "format": f"distributed_tracer {kind}", "format_version": FORMAT_VERSION}
    objects: dict[str, Any] = {}
    with ThreadPoolExecutor(1) as pool:  # because a notebook's event loop is running already in its own thread
        pool.submit(asyncio.run, _put_all(MemoryStore(objects), attributes, arrays)).result()
    encoded = {key: objects[key].to_bytes() for key in sorted(objects)}
    return {**encoded, "zarr.json": _consolidated(encoded)}


@dataclass(frozen=True)
class ArrayStream:
    """An array that is encoded while it is made."""

    column: Column
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    blocks: Callable[[], Iterator[npt.NDArray[Any]]]
    """Yields its rows in order, in blocks of any lengths."""


def stream_group(
    kind: str,
    arrays: Iterable[ArrayStream],
    put: Callable[[dict[str, bytes]], None],
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Encode a Zarr group as `encode_group` does, to the byte, but pass its objects to `put` a few chunks at a time.

    The root's zarr.json comes last.
    """
    attributes = {**(provenance or {}), "format": f"distributed_tracer {kind}", "format_version": FORMAT_VERSION}
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _stream(attributes, arrays, put)).result()


async def _stream(
    attributes: dict[str, Any], arrays: Iterable[ArrayStream], put: Callable[[dict[str, bytes]], None]
) -> None:
    objects: dict[str, Any] = {}
    group = await zarr.api.asynchronous.create_group(store=MemoryStore(objects), attributes=attributes)
    for one in arrays:
        array = await _created(group, one.column, one.shape, one.dtype)
        first = 0
        for block in _of_length(one.blocks(), array.chunks[0] * _CHUNKS_AT_ONCE):
            await array.setitem(slice(first, first + len(block)), block)
            first += len(block)
            chunks = [key for key in objects if not key.endswith("zarr.json")]
            put({key: objects.pop(key).to_bytes() for key in chunks})
        assert first == one.shape[0], f"{one.column.name} has {first} rows, not {one.shape[0]}"
    encoded = {key: objects[key].to_bytes() for key in sorted(objects)}
    put({**encoded, "zarr.json": _consolidated(encoded)})


def _of_length(blocks: Iterable[npt.NDArray[Any]], num_rows: int) -> Iterator[npt.NDArray[Any]]:
    """Yield the rows of all blocks in blocks of `num_rows` rows each, except the last."""
    waiting: list[npt.NDArray[Any]] = []
    total = 0
    for block in blocks:
        waiting.append(block)
        total += len(block)
        while total >= num_rows:
            joined = np.concatenate(waiting) if len(waiting) > 1 else waiting[0]
            yield joined[:num_rows]
            waiting, total = [joined[num_rows:]], total - num_rows
    if total:
        yield np.concatenate(waiting)


def pointers_of(prompts: Sequence[Columns]) -> npt.NDArray[np.int64]:
    """Return where each prompt's rows begin on each axis, and where the last ones end: int64 [prompts + 1, axes]."""
    one_of = {column.axis: name for name, column in COLUMNS.items() if not column.added}
    sizes = [[len(columns[one_of[axis]]) for axis in POINTERS] for columns in prompts]
    return np.concatenate([np.zeros((1, len(POINTERS)), dtype=np.int64), np.cumsum(sizes, axis=0, dtype=np.int64)])


def _concatenated(column: Column, prompts: Sequence[Columns], weight_bits: int) -> npt.NDArray[Any]:
    if column.added:
        return _with_unknown(column, prompts)
    values = np.concatenate([columns[column.name] for columns in prompts])
    if column.name == "edges/weight":
        return round_weights(values, weight_bits)
    if column.name == "edges/source" and has_narrow_nodes(len(columns["nodes/kind"]) for columns in prompts):
        return values.astype(np.uint16)
    return values


def has_narrow_nodes(num_nodes: Iterable[int]) -> bool:
    """Whether the sources of edges fit into 16 bits, given the number of nodes of each prompt."""
    return all(number < _NARROW_NODES for number in num_nodes)


def _with_unknown(column: Column, prompts: Sequence[Columns]) -> npt.NDArray[Any]:
    """Return an array that some of the prompts may lack, with `column.unknown` in place of unknown values.

    An array `by_layer` has as many columns as the prompt with the most layers needs.
    """
    length_of = "active/layer" if column.axis == "active" else "tokens/token"
    ends = np.cumsum([0, *(len(columns[length_of]) for columns in prompts)]).tolist()
    known = [
        (slice(*ends[i : i + 2]), columns[column.name]) for i, columns in enumerate(prompts) if column.name in columns
    ]
    row_shape = (max(values.shape[1] for _, values in known),) if column.by_layer else ()
    found = np.full((ends[-1], *row_shape), column.unknown, dtype=column.dtype)
    for rows, values in known:
        found[(rows, *map(slice, values.shape[1:]))] = values
    return found


async def _put_all(
    store: MemoryStore, attributes: dict[str, Any], arrays: Sequence[tuple[Column, npt.NDArray[Any]]]
) -> None:
    """Write all arrays concurrently.

    If they were written one after another from outside zarr's event loop, most of the time would be spent waking
    threads.
    """
    group = await zarr.api.asynchronous.create_group(store=store, attributes=attributes)
    await asyncio.gather(*(_put(group, column, values) for column, values in arrays))


async def _put(group: zarr.AsyncGroup, column: Column, values: npt.NDArray[Any]) -> None:
    array = await _created(group, column, values.shape, values.dtype)
    if values.size:
        await array.setitem(Ellipsis, values)


async def _created(
    group: zarr.AsyncGroup, column: Column, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> zarr.AsyncArray[Any]:
    rows = column.chunk_rows // shape[1] if column.by_layer else column.chunk_rows
    return await group.create_array(
        column.name,
        shape=shape,
        dtype=dtype,
        chunks=(min(rows, max(1, shape[0])), *shape[1:]),
        compressors=_compressor(dtype),
        fill_value=column.fill_value,
        dimension_names=column.dimension_names,
        attributes={"columns": list(column.names)} if column.names else None,
        config={"write_empty_chunks": True},  # a missing chunk is then always damage
    )


def _compressor(dtype: np.dtype[Any]) -> BloscCodec | ZstdCodec:
    """Return the compressor for a dtype: zstd on byte planes (the first bytes of all values, then the second, ...).

    zstd builds one entropy table per 128 KiB. With a whole chunk as one blosc block, the byte planes are longer than
    that, so each plane gets its own tables. Mantissas hold nothing that repeats, and searching for repetitions, as
    higher levels do, makes floats larger. docs/store.md has the measurements.
    """
    if dtype.itemsize == 1:
        return ZstdCodec(level=3)
    level = 1 if dtype.kind == "f" else 3
    return BloscCodec(cname="zstd", clevel=level, shuffle="shuffle", typesize=dtype.itemsize, blocksize=_ONE_BLOCK)


def _consolidated(objects: Mapping[str, bytes]) -> bytes:
    """Return the root's zarr.json with the metadata of everything below, so that readers need only one request."""
    ending = "/zarr.json"
    keys = sorted(key for key in objects if key.endswith(ending))  # zarr expects group members side by side
    below = {key.removesuffix(ending): json.loads(objects[key]) for key in keys}
    root = json.loads(objects["zarr.json"])
    root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": below}
    return json.dumps(root, separators=(",", ":")).encode()


MANTISSA_BITS = 23


def round_weights(weight_E: npt.NDArray[np.float32], bits: int) -> npt.NDArray[np.float32]:
    """Return weights with `bits` of the 23 mantissa bits, rounded half to even; with 23, return the argument itself.

    NaN and infinities stay as they are. A finite weight never becomes infinite: it is truncated instead.
    """
    if bits == MANTISSA_BITS:
        return weight_E
    dropped = MANTISSA_BITS - bits
    pattern_E = weight_E.view(np.uint32)
    keep = np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    last_kept_bit_E = pattern_E >> np.uint32(dropped) & np.uint32(1)
    rounded_E = pattern_E + (np.uint32((1 << dropped - 1) - 1) + last_kept_bit_E) & keep
    result_E = rounded_E.view(np.float32)
    overflow_E = ~np.isfinite(result_E)
    result_E[overflow_E] = (pattern_E[overflow_E] & keep).view(np.float32)
    special_E = ~np.isfinite(weight_E)
    result_E[special_E] = weight_E[special_E]
    return result_E
