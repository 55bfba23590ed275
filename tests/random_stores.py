"""Stores made of random graphs, through the same doors that workers and drivers use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distributed_tracer.config import StoreConfig
from distributed_tracer.graph.graph import Graph
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.store.receipt import Receipt
from distributed_tracer.store.writer import PartWriter

RUN_INFO = {"identity": {"model": "tiny", "trace": {"round_size": 4}}, "versions": {"numpy": "2"}}


def write_part(url: str, graphs: Iterable[Graph], **options: Any) -> Receipt:
    """A part that nobody has committed yet."""
    writer = PartWriter(url, StoreConfig(url, **options))
    for graph in graphs:
        writer.add(graph)
    receipt = writer.flush()
    assert receipt is not None
    return receipt


def make_store(url: str, *parts: Iterable[Graph], **options: Any) -> Store:
    """A store with these parts, opened."""
    ledger = Ledger(url)
    ledger.create_or_check(RUN_INFO)
    for graphs in parts:
        ledger.commit(write_part(url, graphs, **options))
    return open_store(url)
