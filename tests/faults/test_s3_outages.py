"""An S3 that fails while a store is written, compacted, cleaned, repaired: a clear error or none, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from fault_points import GRAPHS, Work, write_all
from faulty_proxy import Fault, FaultyS3, Request, Spoil, at_random, faulty, nothing
from random_stores import make_store, whole, write_part
from s3 import S3Server, s3_server

from distributed_tracer.errors import StoreUnavailable
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.copy import copy_store
from distributed_tracer.store.maintenance.gc import collect_garbage
from distributed_tracer.store.maintenance.repair import repair
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow

GRAPHS_KEPT = [graph.prompt_id for graph in GRAPHS[:4]]
"""Those that a repair must keep."""
OUTAGE = 40
"""Requests that fail one after another: more than any client of one object tries."""


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(server: S3Server, request: pytest.FixtureRequest) -> Iterator[FaultyS3]:
    """For a client that asks once, in each of two rounds, unless the test says otherwise."""
    attempts = {"AWS_MAX_ATTEMPTS": str(getattr(request, "param", 1))}
    hasty = replace(server, environment={**server.environment, **attempts})
    with faulty(hasty) as s3, s3.server.used():
        yield s3


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_store(str(tmp_path_factory.mktemp("expected")), GRAPHS).digest()


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two parts in one with an index, a third since, and one that nobody committed."""
    path = tmp_path_factory.mktemp("before")
    make_store(str(path), GRAPHS[:2], GRAPHS[2:4])
    compact(str(path))
    make_store(str(path), GRAPHS[4:])
    write_part(str(path), GRAPHS[:1])
    return path


def hurt(path: Path, url: str) -> None:
    """The store at `url`, with a damaged chunk in the last part and in a superseded one; nobody else has the last."""
    put(path, url)
    for commit in (0, -1):
        name = open_backend(url).list_dir("commits")[commit]
        open_backend(url).put(f"parts/{name[11:43]}/edges/weight/c/0", b"damaged")


def put(path: Path, url: str) -> None:
    """A local store, object by object, on S3."""
    files = [file for file in path.rglob("*") if file.is_file()]
    open_backend(url).put_many({file.relative_to(path).as_posix(): file.read_bytes() for file in files})


def outage(method: str, place: str) -> tuple[Spoil, list[Request]]:
    """Nothing works from the first such request on, for `OUTAGE` requests; which these are."""
    failed: list[Request] = []

    def spoil(request: Request) -> Fault | None:
        if (failed or (request.method == method and place in request.path)) and len(failed) < OUTAGE:
            failed.append(request)
            return "error"
        return None

    return spoil, failed


sweep = partial(collect_garbage, grace_hours=-1.0)
MOMENTS: dict[str, tuple[Work, list[tuple[str, str]]]] = {
    "write": (write_all, [("PUT", "/runs/"), ("PUT", "/parts/"), ("PUT", "/commits/"), ("PUT", "/failures/")]),
    "compact": (compact, [("PUT", "/commits/"), ("PUT", "/index/")]),
    "gc": (sweep, [("GET", "/index/"), ("DELETE", "/commits/"), ("DELETE", "/parts/")]),
    "repair": (repair, [("GET", "/parts/"), ("DELETE", "/index/"), ("DELETE", "/commits/")]),
}
"""What is done, and at which requests it fails, one time after the other."""


@pytest.mark.parametrize("name", MOMENTS)
def test_whatever_fails_in_an_outage_says_so_and_the_same_again_completes(
    s3: FaultyS3, before: Path, digest: str, name: str
) -> None:
    url = s3.server.make_bucket(f"outage-{name}") + "/store"
    work, moments = MOMENTS[name]
    if name == "repair":
        hurt(before, url)
    elif name != "write":
        put(before, url)
    for moment in moments:
        s3.spoil, failed = outage(*moment)
        with pytest.raises(StoreUnavailable, match=url):
            work(url)
        assert failed, moment
        s3.spoil = nothing
        if name == "repair":
            assert set(GRAPHS_KEPT) <= set(open_store(url))
        elif name != "write":
            assert whole(url, GRAPHS) == len(GRAPHS), moment
    work(url)
    assert whole(url, GRAPHS) == len(GRAPHS_KEPT if name == "repair" else GRAPHS)
    write_all(url)
    assert open_store(url).digest() == digest


def test_a_compaction_outlives_an_outage_in_which_parts_cannot_be_written(
    s3: FaultyS3, before: Path, digest: str
) -> None:
    url = s3.server.make_bucket("outlived") + "/store"
    put(before, url)
    s3.spoil, failed = outage("PUT", "/parts/")
    compact(url)
    assert len(failed) == OUTAGE
    assert whole(url, GRAPHS) == len(GRAPHS)
    assert open_store(url).digest() == digest


@pytest.mark.parametrize("s3", [5], indirect=True)
def test_a_store_outlives_an_s3_that_spoils_a_twentieth_of_all_requests(
    s3: FaultyS3, before: Path, digest: str, tmp_path: Path
) -> None:
    """Compacted, cleaned, repaired, written again, copied."""
    faults: list[Fault] = ["slow down", "error", "reset", "lost answer", "cut"]
    url = s3.server.make_bucket("twentieth") + "/store"
    put(before, url)
    s3.counts.clear()
    s3.spoil = at_random(0.05, seed=3, faults=faults)
    compact(url)
    sweep(url)
    (name,) = open_backend(url).list_dir("commits")
    open_backend(url).put(f"parts/{name[11:43]}/edges/weight/c/0", b"damaged")
    assert len(repair(url).dropped) == len(GRAPHS)
    write_all(url)
    copy_store(url, str(tmp_path / "copy"))
    assert all(s3.counts[fault] >= 2 for fault in faults), s3.counts
    s3.spoil = nothing
    for place in (url, str(tmp_path / "copy")):
        assert whole(place, GRAPHS) == len(GRAPHS)
        assert open_store(place).digest() == digest
