"""Difference of each precision from float64: rows, influence and pruned nodes of the same prompts.

    python benchmarks/precision.py --model M --transcoders T [--tokens 10 30] [--tiny] [--json out.json]

It prints one line per forward and sweep precision; the reference is float64 throughout:
rows       Frobenius norm of the difference of all edges between common nodes, relative to the reference's
influence  Spearman's rank correlation of the influence of those nodes
chosen     share of the reference's feature nodes that were also chosen
pruned     share of the reference's nodes after pruning that are also left here
`--tiny` adds the random models of the tests, all architectures (mean over them); tf32 differs only on GPUs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from prose import prompt_tokens

from distributed_tracer import TraceConfig, attribute, load_model, load_transcoders, prune
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind, NodeTable
from distributed_tracer.model.model import Model

VARIANTS = (("float32", "float32"), ("float32", "tf32"), ("float32", "bfloat16"), ("bfloat16", "float32"))


@dataclass
class Difference:
    """Difference of one graph from the float64 one; the module's docstring defines the fields."""

    rows: float
    influence: float
    chosen: float
    pruned: float


def keys(nodes: NodeTable) -> list[tuple[int, int, int, int]]:
    """Return what identifies each node in another graph of the same prompt."""
    columns = (nodes.kind_N, nodes.layer_N, nodes.position_N, nodes.feature_N)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def difference(graph: Graph, reference: Graph) -> Difference:
    """Compare two graphs on the nodes that both have."""
    here, there = keys(graph.nodes), keys(reference.nodes)
    number = {key: n for n, key in enumerate(there)}
    ours = np.array([n for n, key in enumerate(here) if key in number])
    theirs = np.array([number[here[n]] for n in ours])
    order, edges = graph.dense_index_N(), graph.adjacency()
    order_there, edges_there = reference.dense_index_N(), reference.adjacency()
    a = edges[np.ix_(order[ours], order[ours])]
    b = edges_there[np.ix_(order_there[theirs], order_there[theirs])]
    ranks = [g.influence_N[n].argsort().argsort() for g, n in ((graph, ours), (reference, theirs))]
    features = reference.nodes.kind_N[theirs] == NodeKind.FEATURE
    left, left_there = set(keys(prune(graph).nodes)), set(keys(prune(reference).nodes))
    return Difference(
        rows=float(np.linalg.norm(a - b) / np.linalg.norm(b)),
        influence=float(np.corrcoef(*ranks)[0, 1]),
        chosen=float(features.sum() / (reference.nodes.kind_N == NodeKind.FEATURE).sum()),
        pruned=len(left & left_there) / len(left_there),
    )


def compare(model: str, transcoders: str, tokens: list[int], config: TraceConfig) -> Iterator[tuple[str, Difference]]:
    """Yield the difference of every variant on one prompt."""

    def graph(forward: str, sweep: str) -> Graph:
        settings = TraceConfig(config.max_feature_nodes, config.round_size, sweep_dtype=sweep)  # type: ignore[arg-type]
        return attribute(tokens, load_model(model, forward), load_transcoders(transcoders, forward), settings)

    reference = graph("float64", "float64")
    for forward, sweep in VARIANTS:
        yield f"{forward}/{sweep}", difference(graph(forward, sweep), reference)


def tiny(folder: Path) -> Iterator[tuple[str, Difference]]:
    """Yield the differences on the tests' models, saved, so that every precision starts from the same weights."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from frozen import FLAVOURS, TOKENS, applicable
    from tiny import ARCHITECTURES, save_transcoders, tiny_model

    def of(architecture: str, flavour: str, forward: str, sweep: str) -> Graph:
        source = save_transcoders(folder / flavour, **FLAVOURS[flavour])
        model: Model = tiny_model(architecture, getattr(torch, forward))
        config = TraceConfig(None, sweep_dtype=sweep)  # type: ignore[arg-type]
        graph: Graph = attribute(TOKENS, model, load_transcoders(str(source), forward), config)
        return graph

    for architecture in ARCHITECTURES:
        for flavour in filter(lambda flavour: applicable(architecture, flavour), FLAVOURS):
            reference = of(architecture, flavour, "float64", "float64")
            for forward, sweep in VARIANTS:
                yield f"{forward}/{sweep}", difference(of(architecture, flavour, forward, sweep), reference)


def table(title: str, found: list[tuple[str, Difference]]) -> list[dict[str, object]]:
    """Print the mean of every variant, and return the lines."""
    print(f"\n{title}\n{'forward/sweep':20} {'rows':>10} {'influence':>10} {'chosen':>8} {'pruned':>8}")
    lines: list[dict[str, object]] = []
    for variant in dict.fromkeys(name for name, _ in found):
        each = [list(asdict(difference).values()) for name, difference in found if name == variant]
        mean = np.mean(each, axis=0)
        print(f"{variant:20} {mean[0]:>10.1e} {mean[1]:>10.6f} {mean[2]:>8.2%} {mean[3]:>8.2%}")
        results = dict(zip(Difference.__annotations__, mean.tolist(), strict=True))
        lines.append({"on": title, "variant": variant, **results})
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--transcoders")
    parser.add_argument("--tokens", type=int, nargs="+", default=[10, 30])
    parser.add_argument("--max-feature-nodes", type=int, default=1024)
    parser.add_argument("--round-size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    lines = []
    if args.tiny:
        with tempfile.TemporaryDirectory() as folder:
            lines += table("random tiny models", list(tiny(Path(folder))))
    if args.model and args.transcoders:
        tokenizer = load_model(args.model).tokenizer
        config = TraceConfig(args.max_feature_nodes, args.round_size)
        for num_tokens in args.tokens:
            tokens = prompt_tokens(tokenizer, num_tokens)
            title = f"{Path(args.model).name}, {num_tokens} tokens"
            lines += table(title, list(compare(args.model, args.transcoders, tokens, config)))
    if args.json:
        Path(args.json).write_text(json.dumps(lines, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
