"""Accuracy of the graphs: largest difference from every reference graph, largest closing error per architecture.

    python benchmarks/truth.py

It prints two tables; the tests check the same quantities against fixed tolerances.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from frozen import FLAVOURS, TOKENS, applicable
from oracle.test_same_as_circuit_tracer import REFERENCES, graph_of
from tiny import ARCHITECTURES, save_transcoders, tiny_model

from distributed_tracer import TraceConfig, attribute, load_transcoders


def references() -> None:
    """Print the difference of every edge, relative to the largest edge, and of the scores."""
    print(f"{'reference':44} {'nodes':>6} {'edges differ by':>16} {'scores by':>10}")
    for path in REFERENCES:
        expected, graph = np.load(path), graph_of(path)
        adjacency = expected["adjacency_matrix"]
        edges = np.abs(graph.adjacency() - adjacency).max() / np.abs(adjacency).max()
        scores = np.abs(
            np.array([graph.scores.replacement, graph.scores.completeness]) - expected["graph_scores"]
        ).max()
        print(f"{path.parent.name + '/' + path.stem[4:]:44} {len(adjacency):>6} {edges:>16.1e} {scores:>10.1e}")


def closing() -> None:
    """Print the largest closing error over the flavours of transcoders, in both precisions."""
    print(f"\n{'architecture':20} {'rows':>6} {'float32':>10} {'float64':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for architecture in ARCHITECTURES:
            worst, rows = {"float32": 0.0, "float64": 0.0}, 0
            for flavour, options in FLAVOURS.items():
                if not applicable(architecture, flavour):
                    continue
                source = save_transcoders(Path(folder) / flavour, **options)
                for dtype in worst:
                    model = tiny_model(architecture, getattr(torch, dtype))
                    transcoders = load_transcoders(str(source), dtype=dtype)
                    graph = attribute(TOKENS, model, transcoders, TraceConfig(max_feature_nodes=None))
                    worst[dtype] = max(worst[dtype], graph.scores.closing_error)
                rows += len(graph.active) + len(graph.targets)
            print(f"{architecture:20} {rows:>6} {worst['float32']:>10.1e} {worst['float64']:>10.1e}")


if __name__ == "__main__":
    references()
    closing()
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}))
