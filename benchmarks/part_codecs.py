"""Other codecs for a store's arrays: bytes per value, and speed.

    python benchmarks/part_codecs.py STORE [--arrays edges/source ...] [--values 4000000] [--json FILE]

For each array, zarr encodes the first values of the store in memory with each codec in turn, in chunks as the format
has them; the best of three tries counts. Only core codecs of Zarr v3 are candidates, because every reader must know
them. `delta` means the same after taking differences, which no core codec does: it shows what the format would gain by
it. `*` marks the store's present codec. MB/s refer to the values' own bytes, on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import BloscCodec, ZstdCodec
from zarr.storage import MemoryStore

from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.schema import COLUMNS
from distributed_tracer.store.part import Part
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.table import Table

ARRAYS = (
    "edges/source",
    "edges/weight",
    "active/position",
    "active/feature",
    "active/activation",
    "nodes/position",
    "nodes/feature",
    "nodes/in_degree",
    "nodes/influence",
    "prompts/error_share",
)
_TRIES = 3
_AXES = {"edges": "num_edges", "active": "num_active", "nodes": "num_nodes"}


def blosc(cname: str, level: int, shuffle: str, values: npt.NDArray[Any], blocksize: int = 0) -> BloscCodec:
    size = values.dtype.itemsize
    return BloscCodec(cname=cname, clevel=level, shuffle=shuffle, typesize=size, blocksize=blocksize)  # type: ignore[arg-type]


def candidates(values: npt.NDArray[Any]) -> Iterator[tuple[str, Any, npt.NDArray[Any]]]:
    """Yield name, codec, and the values to encode."""
    for level in (1, 3, 6, 9):
        yield f"zstd {level}", ZstdCodec(level=level), values
    for shuffle in ("shuffle", "bitshuffle"):
        for level in (1, 3, 6):
            yield f"blosc zstd {level} {shuffle}", blosc("zstd", level, shuffle, values), values
            yield f"blosc zstd {level} {shuffle}, one block", blosc("zstd", level, shuffle, values, 1 << 20), values
        yield f"blosc lz4 5 {shuffle}", blosc("lz4", 5, shuffle, values), values
    if values.dtype.kind in "iu":
        differences = np.diff(values, prepend=values.dtype.type(0))
        yield "delta, zstd 3", ZstdCodec(level=3), differences
        yield "delta, blosc zstd 3 shuffle", blosc("zstd", 3, "shuffle", values), differences


def measure(codec: Any, values: npt.NDArray[Any], chunk_rows: int) -> tuple[int, float, float]:
    """Return the bytes, and the seconds to encode and to decode."""
    encode, decode, size = [], [], 0
    for _ in range(_TRIES):
        objects: dict[str, Any] = {}
        shape = (min(chunk_rows, len(values)),)
        array = zarr.create_array(
            MemoryStore(objects), shape=values.shape, dtype=values.dtype, chunks=shape, compressors=codec, fill_value=0
        )
        started = time.perf_counter()
        array[:] = values
        encode.append(time.perf_counter() - started)
        started = time.perf_counter()
        same = array[:]
        decode.append(time.perf_counter() - started)
        if not np.array_equal(same, values, equal_nan=values.dtype.kind == "f"):
            raise SystemExit(f"{codec} does not give back what it was given")
        size = sum(len(data) for key, data in objects.items() if not key.endswith("zarr.json"))
    return size, min(encode), min(decode)


def values_of(store: Store, name: str, count: int) -> npt.NDArray[Any]:
    """Return the first values of an array, across parts."""
    root, found, left = open_backend(store.url), [], count
    for manifest in store.manifests:
        if left <= 0:
            break
        part = Part(root, manifest)
        rows = (
            sum(getattr(entry, _AXES[name.partition("/")[0]]) for entry in manifest.prompts)
            if name.partition("/")[0] in _AXES
            else int(part.pointers(COLUMNS[name])[-1])
        )
        found.append(part.read({name: slice(0, min(rows, left))})[name])
        left -= len(found[-1])
    return np.concatenate(found)


def compare(store: Store, name: str, count: int) -> list[dict[str, Any]]:
    """Return a row for each codec."""
    values = values_of(store, name, count)
    now = f"blosc zstd {1 if values.dtype.kind == 'f' else 3} shuffle, one block"
    rows = []
    for codec_name, codec, given in candidates(values):
        size, encode, decode = measure(codec, given, COLUMNS[name].chunk_rows)
        rows.append(
            {
                "array": name,
                "values": len(values),
                "codec": codec_name + ("*" if codec_name == now else ""),
                "B/value": size / len(values),
                "encode MB/s": values.nbytes / encode / 1e6,
                "decode MB/s": values.nbytes / decode / 1e6,
            }
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--arrays", nargs="+", default=ARRAYS)
    parser.add_argument("--values", type=int, default=4_000_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    store, found = open_store(args.store), []
    for name in args.arrays:
        rows = compare(store, name, args.values)
        print(Table({key: [row[key] for row in rows] for key in rows[0]}).format(len(rows)), end="\n\n", flush=True)
        found += rows
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
