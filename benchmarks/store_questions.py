"""Queries of graphs, whatever the form in which they are stored; and this program's own store as one of the forms.

Answers are reduced to what can be compared between forms: the number of nodes or edges per prompt.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from distributed_tracer.config import StoreConfig
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.query.cooccurrence import cooccurring
from distributed_tracer.query.feature_edges import edges_into, edges_out_of
from distributed_tracer.store.format.part_manifest import PartManifest
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.store.writer import PartWriter

Site = tuple[int, int]
"""Layer and feature."""
ByPrompt = Counter[str]
_EDGES = ("edges/source", "edges/weight")


class Reader(Protocol):
    """Stored graphs that can be queried."""

    def graph(self, prompt: str) -> int:
        """Read one graph, and return its number of edges."""
        ...

    def occurrences(self, site: Site) -> ByPrompt:
        """Return how many nodes of each prompt are this feature."""
        ...

    def edges_into(self, site: Site) -> ByPrompt:
        """Return how many edges of each prompt lead into this feature's nodes; weights are read too."""
        ...

    def edges_out_of(self, site: Site) -> ByPrompt:
        """Return how many edges of each prompt lead out of this feature's nodes."""
        ...

    def cooccurring(self, site: Site, top: int) -> list[int]:
        """Return, for the `top` features that share most prompts with it, the number of shared prompts, most first."""
        ...

    def num_prompts(self) -> int:
        """Read what is known of every prompt, and return the number of prompts."""
        ...

    def scan(self) -> int:
        """Read all edges, sources and weights, and count them."""
        ...


class Form(Protocol):
    """A way of storing graphs."""

    name: str

    def write(self, graphs: Sequence[Graph]) -> None:
        """Add graphs durably."""
        ...

    def open(self) -> Reader: ...


class OurStore:
    """This program's store at a path or URL."""

    def __init__(self, url: str, name: str = "this store", weight_bits: int = 23) -> None:
        self.name, self.url = name, url
        self._ledger = Ledger(url)
        self._ledger.create_or_check({"identity": {"made by": "benchmarks/store.py"}})
        self._writer = PartWriter(url, StoreConfig(url, weight_bits=weight_bits))
        self.manifests: list[PartManifest] = []
        """Part manifests of all parts that were written."""

    def write(self, graphs: Sequence[Graph]) -> None:
        for graph in graphs:
            self.add(graph)
        self.flush()

    def add(self, graph: Graph) -> None:
        """Add a graph as a worker does: a part is written when it is full."""
        self._writer.add(graph)
        if self._writer.full:
            self.flush()

    def flush(self) -> None:
        """Write and commit what is left."""
        if manifest := self._writer.flush():
            self._ledger.commit(manifest)
            self.manifests.append(manifest)

    def open(self) -> OurReader:
        return OurReader(open_store(self.url))


class OurReader:
    """Queries that a store and `query` answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def graph(self, prompt: str) -> int:
        return self._store.graph(prompt).num_edges

    def occurrences(self, site: Site) -> ByPrompt:
        return Counter(self._store.occurrences(*site)["prompt"].tolist())

    def edges_into(self, site: Site) -> ByPrompt:
        return Counter(edges_into(self._store, *site)["prompt"].tolist())

    def edges_out_of(self, site: Site) -> ByPrompt:
        return Counter(edges_out_of(self._store, *site)["prompt"].tolist())

    def cooccurring(self, site: Site, top: int) -> list[int]:
        counts: list[int] = cooccurring(self._store, *site, top)["prompts"].tolist()
        return counts

    def num_prompts(self) -> int:
        return len(self._store.prompts)

    def scan(self) -> int:
        count = 0
        for commit in range(len(self._store.catalogue.commits)):
            rows = self._store.catalogue.rows(commit)
            for _, body in self._store.part(commit).bodies(rows, _EDGES) if rows else ():
                count += len(body["edges/weight"])
        return count


def frequent_sites(graphs: Sequence[Graph]) -> list[Site]:
    """Return features by the number of graphs that have them, most first."""
    counts: Counter[Site] = Counter()
    for graph in graphs:
        counts.update(sites_of(graph))
    return [site for site, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def sites_of(graph: Graph) -> set[Site]:
    features = graph.nodes.where(NodeKind.FEATURE)
    return set(zip(graph.nodes.layer_N[features].tolist(), graph.nodes.feature_N[features].tolist(), strict=True))


def timed(question: Callable[[], object], repeats: int = 1) -> list[float]:
    """Return the seconds that each of several tries took."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        question()
        seconds.append(time.perf_counter() - started)
    return seconds


def forget(folder: Path) -> None:
    """Drop a folder's files from the system's cache, so that the next read is from the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def size_of(folder: Path) -> tuple[int, int]:
    """Return the number of files and of bytes."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Return median and 99th percentile, in milliseconds."""
    median, high = np.percentile(seconds, [50, 99]) * 1000
    return float(median), float(high)
