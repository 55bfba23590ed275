"""Stores made of random graphs, through the same interfaces that workers and drivers use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from random_graphs import assert_same

from distributed_tracer.config import StoreConfig
from distributed_tracer.graph.graph import Graph
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.part_manifest import PartManifest
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.store.writer import PartWriter

RUN_INFO = {"identity": {"model": "tiny", "trace": {"round_size": 4}}, "versions": {"numpy": "2"}}


def write_part(url: str, graphs: Iterable[Graph], **options: Any) -> PartManifest:
    """Write a part that is not committed."""
    writer = PartWriter(url, StoreConfig(url, **{"retry_seconds": 0.0, **options}))
    for graph in graphs:
        writer.add(graph)
    manifest = writer.flush()
    assert manifest is not None
    return manifest


def make_store(url: str, *parts: Iterable[Graph], **options: Any) -> Store:
    """Make a store with these parts and open it."""
    ledger = Ledger(url)
    ledger.create_or_check(RUN_INFO)
    for graphs in parts:
        ledger.commit(write_part(url, graphs, **options))
    return open_store(url)


def whole(url: str, graphs: Iterable[Graph]) -> int:
    """Check that a store is undamaged and holds the true graphs, and return its number of prompts.

    Every object must be as it was written, and every graph must equal the one of `graphs` with its id.
    """
    assert not verify(open_backend(url)).damages
    store, truth = open_store(url), {graph.prompt_id: graph for graph in graphs}
    found = list(store.graphs())
    for graph in found:
        assert_same(graph, truth[graph.prompt_id])
    assert {graph.prompt_id for graph in found} == set(store) <= Ledger(url).done()
    return len(found)
