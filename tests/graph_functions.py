"""Functions of a graph that other processes can import."""

from __future__ import annotations

import os
import time

from distributed_tracer.graph.graph import Graph


class Choosy(Exception):
    """Cannot be made again from its message: pickling loses it."""

    def __init__(self, graph: Graph, why: str) -> None:
        super().__init__(f"{why} {len(graph.nodes)}")


def process_and_edges(graph: Graph) -> tuple[int, int]:
    """Who looked at it, and its size."""
    time.sleep(0.02)
    return os.getpid(), graph.num_edges


def no_p7(graph: Graph) -> int:
    """Fails for one prompt."""
    if graph.prompt_id == "p7":
        raise ValueError("seven")
    return graph.num_edges


def choosy(graph: Graph) -> int:
    """Fails in a way that cannot travel."""
    raise Choosy(graph, "too large:")


def dies(graph: Graph) -> None:
    """Ends the process."""
    os._exit(3)
