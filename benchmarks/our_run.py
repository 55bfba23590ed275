"""Our side of versus_peer.py, which starts it: traces the prompts that it receives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worker_loop import serve

from distributed_tracer import Graph, TraceConfig, load_model, load_transcoders
from distributed_tracer.config import StoreConfig
from distributed_tracer.export.npz import npz_arrays
from distributed_tracer.store.writer import PartWriter
from distributed_tracer.trace.attribute import attribute_dense
from distributed_tracer.trace.dense_graph import DenseGraph


class Ours:
    """Attributes, prunes, and writes a part of one graph, as a worker does for each prompt."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.config = TraceConfig(**options["trace"])
        self.model = load_model(options["model"])
        self.transcoders = load_transcoders(options["transcoders"])
        self.about: dict[str, Any] = {"trace": options["trace"]}

    def attribute(self, tokens: list[int]) -> DenseGraph:
        return attribute_dense(tokens, self.model, self.transcoders, self.config)

    def prune(self, graph: DenseGraph) -> Graph:
        if self.config.keep_all:
            return graph.whole()
        return graph.pruned(self.config.node_threshold, self.config.edge_threshold)

    def save(self, graph: DenseGraph, pruned: Graph, folder: Path) -> None:
        writer = PartWriter(str(folder), StoreConfig(store=str(folder)))
        writer.add(pruned)
        writer.flush()

    def arrays(self, graph: DenseGraph) -> dict[str, Any]:
        return npz_arrays(graph.whole())


if __name__ == "__main__":
    serve(Ours)
