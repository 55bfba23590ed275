"""Functions of a graph that other processes can import."""

from __future__ import annotations

import os
import time

from distributed_tracer.graph.graph import Graph


class Choosy(Exception):
    """An exception that cannot be rebuilt from its message, so that it does not survive pickling."""

    def __init__(self, graph: Graph, why: str) -> None:
        super().__init__(f"{why} {len(graph.nodes)}")


def process_and_edges(graph: Graph) -> tuple[int, int]:
    """Return the id of the process that looked at the graph, and the number of edges."""
    time.sleep(0.02)
    return os.getpid(), graph.num_edges


def no_p7(graph: Graph) -> int:
    """Return the number of edges, but fail for one prompt."""
    if graph.prompt_id == "p7":
        raise ValueError("seven")
    return graph.num_edges


def choosy(graph: Graph) -> int:
    """Fail with an exception that cannot be pickled."""
    raise Choosy(graph, "too large:")


def dies(graph: Graph) -> None:
    """End the process."""
    os._exit(3)
