"""Ways to read and write the chunks of a part: this package's own, zarr's stores and pipelines, obstore, zarrs.

    python benchmarks/part_pipelines.py STORE [--s3 20] [--repeats 5] [--json FILE]

It uses the first part of a local store, and a copy of it on an S3 server on this machine with `--s3` milliseconds added
to every answer.

one graph   the rows of one prompt, all 20 arrays of nodes, edges and active features, with arrays opened before
edges       both arrays of edges, whole
objects     every object of the part as bytes, without decoding
upload      the same objects written anew, each durable

`this store` compares every object with its SHA-256; the others check nothing. All others read the arrays at the same
time. zarrs decodes on its own threads; it supports local directories and obstore, and falls back to zarr's pipeline
with s3fs. This benchmark needs zarrs, which is not a dependency of the package.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zarr
import zarr.api.asynchronous
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, ObjectStore

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import obstore
from latency import Delayed, delayed
from obstore.store import LocalStore as RustLocal
from obstore.store import S3Store
from s3 import s3_server
from store_questions import timed

from distributed_tracer.store.backend.base import Backend
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.part_manifest import PartManifest
from distributed_tracer.store.format.schema import BODY
from distributed_tracer.store.format.zarr_decode import Rows
from distributed_tracer.store.part import Part
from distributed_tracer.store.reader import open_store
from distributed_tracer.table import Table

Wanted = dict[str, Rows]
Tries = dict[str, Callable[[], object]]
PIPELINES = {
    "zarr": "zarr.core.codec_pipeline.BatchedCodecPipeline",
    "zarrs": "zarrs.ZarrsCodecPipeline",
}


def wanted_of(part: Part) -> dict[str, Wanted]:
    """Return rows of arrays: those of the prompt in the middle, and all edges."""
    middle = len(part.manifest.prompts) // 2
    ends = {column.name: part.pointers(column) for column in BODY}
    graph: Wanted = {name: slice(int(end[middle]), int(end[middle + 1])) for name, end in ends.items()}
    edges: Wanted = {name: slice(0, int(ends[name][-1])) for name in ("edges/source", "edges/weight")}
    return {"one graph": graph, "edges": edges}


async def _open(store: Any, names: Mapping[str, Rows]) -> dict[str, zarr.AsyncArray[Any]]:
    return {name: await zarr.api.asynchronous.open_array(store=store, path=name, zarr_format=3) for name in names}


async def _read(arrays: Mapping[str, zarr.AsyncArray[Any]], wanted: Wanted) -> list[Any]:
    return await asyncio.gather(*(arrays[name].getitem(rows) for name, rows in wanted.items()))


def through_zarr(store: Any, part: Part) -> Tries:
    """Return reads of arrays that are opened in one of zarr's stores, with both pipelines."""
    tries: Tries = {}
    wanted = wanted_of(part)
    for pipeline, path in PIPELINES.items():
        with zarr.config.set({"codec_pipeline.path": path, "async.concurrency": 64}), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarrs warns that it does not support this kind of store
            arrays = sync(_open(store, wanted["one graph"]))
        for question, rows in wanted.items():
            tries[f"{question}, {pipeline}"] = lambda arrays=arrays, rows=rows: sync(_read(arrays, rows))  # type: ignore[misc]
    return tries


def through_obstore(store: Any, folder: str, manifest: PartManifest, objects: Mapping[str, bytes]) -> Tries:
    """Return reads and writes of the part's objects without decoding."""

    async def get() -> list[bytes]:
        answers = await asyncio.gather(*(obstore.get_async(store, f"{folder}/{key}") for key in manifest.objects))
        return [bytes(data) for data in await asyncio.gather(*(answer.bytes_async() for answer in answers))]

    async def put() -> None:
        new = f"upload/{uuid.uuid4().hex}"
        await asyncio.gather(*(obstore.put_async(store, f"{new}/{key}", data) for key, data in objects.items()))

    return {"objects": lambda: asyncio.run(get()), "upload": lambda: asyncio.run(put())}


def own(root: Backend, part: Part, objects: Mapping[str, bytes]) -> Tries:
    """Return reads and writes by this package."""
    keys = [f"parts/{part.manifest.part}/{key}" for key in part.manifest.objects]
    tries: Tries = {question: lambda rows=rows: part.read(rows) for question, rows in wanted_of(part).items()}  # type: ignore[misc]

    def upload() -> None:
        root.put_many({f"upload/{uuid.uuid4().hex}/{key}": data for key, data in objects.items()})

    return {**tries, "objects": lambda: root.read_many(keys), "upload": upload}


def measure(ways: Mapping[str, Tries], repeats: int) -> list[dict[str, Any]]:
    """Return median milliseconds. The ways take turns."""
    seconds: dict[tuple[str, str], list[float]] = {}
    for number in range(repeats + 1):
        for way, tries in ways.items():
            for question, read in tries.items():
                took = timed(read)
                seconds.setdefault((question, way), []).extend(took if number else [])  # the first warms up
    return [
        {"question": question, "way": way, "ms": 1000 * statistics.median(times)}
        for (question, way), times in sorted(seconds.items(), key=lambda item: item[0][0])
    ]


def local_ways(url: str, manifest: PartManifest, scratch: Path, objects: Mapping[str, bytes]) -> dict[str, Tries]:
    folder = f"{url}/parts/{manifest.part}"
    root = open_backend(str(scratch / "own"))
    part = Part(open_backend(url), manifest)
    reads = {name: read for name, read in own(open_backend(url), part, objects).items() if name != "upload"}
    rust, new = RustLocal(url), RustLocal(scratch, mkdir=True)
    return {
        "this store": {**reads, "upload": own(root, part, objects)["upload"]},
        "LocalStore": through_zarr(LocalStore(folder), part),
        "obstore": {
            **through_zarr(ObjectStore(RustLocal(folder)), part),
            "objects": through_obstore(rust, f"parts/{manifest.part}", manifest, objects)["objects"],
            "upload (without sync)": through_obstore(new, "", manifest, objects)["upload"],
        },
    }


def s3_ways(remote: Delayed, manifest: PartManifest, objects: Mapping[str, bytes]) -> dict[str, Tries]:
    url = remote.server.make_bucket("pipelines") + "/store"
    root, folder = open_backend(url), f"parts/{manifest.part}"
    root.put_many({f"{folder}/{key}": data for key, data in objects.items()})
    rust = {
        "endpoint": remote.server.endpoint,
        "access_key_id": remote.server.environment["AWS_ACCESS_KEY_ID"],
        "secret_access_key": remote.server.environment["AWS_SECRET_ACCESS_KEY"],
        "region": "us-east-1",
        "client_options": {"allow_http": True},
    }
    part = Part(root, manifest)
    part_store = S3Store("pipelines", prefix=f"store/{folder}", **rust)
    return {
        "this store": own(root, part, objects),
        "s3fs": through_zarr(FsspecStore.from_url(f"{url}/{folder}", storage_options={"asynchronous": True}), part),
        "obstore": {
            **through_zarr(ObjectStore(part_store), part),
            **through_obstore(S3Store("pipelines", prefix="store", **rust), folder, manifest, objects),
        },
    }


@contextmanager
def far_server(milliseconds: float) -> Iterator[Delayed]:
    with s3_server() as server, delayed(server, milliseconds / 1000) as remote, remote.server.used():
        yield remote


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=os.path.abspath)
    parser.add_argument("--s3", type=float, default=20.0, help="milliseconds added to every answer")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    manifest = open_store(args.store).manifest(0)
    objects = {key: Path(args.store, "parts", manifest.part, key).read_bytes() for key in manifest.objects}
    megabytes = manifest.num_bytes / 1e6
    print(f"a part of {len(manifest.prompts)} prompts, {len(objects)} objects, {megabytes:.1f} MB; milliseconds")
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        found["local"] = measure(local_ways(args.store, manifest, Path(scratch), objects), args.repeats)
    with far_server(args.s3) as remote:
        found[f"S3, {args.s3:g} ms away"] = measure(s3_ways(remote, manifest, objects), args.repeats)
    for where, rows in found.items():
        print(f"\n{where}\n{Table({name: [row[name] for row in rows] for name in rows[0]}).format(len(rows))}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
