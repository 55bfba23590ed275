"""Files for circuit-tracer, read by circuit-tracer itself: its `Graph.from_pt`, `prune_graph` and `create_graph_files`.

    python benchmarks/peer_exchange.py --peer CHECKOUT --peer-python ENV/bin/python [--store STORE] [--prompts 20]
        [--cases NAME ...] [--out FOLDER] [--json out.json]

The peer and its environment are those of versus_peer.py. Each of the reference cases of tests/cases is traced and
exported whole as .pt, and pruned as the viewer's JSON. Then circuit-tracer reads the .pt, prunes it by the case's
thresholds and writes its own JSON of it. The table says for each case whether these are equal:

- `matrix`: every bit of the matrix, active features, targets and probabilities that `from_pt` returns and ours;
- `pruned`: the nodes and the edges that `prune_graph` keeps of our file, and those of our own pruned graph;
- `recorded`: the nodes that it keeps of our file, and those that the case has on record of its own graph;
- `JSON`: nodes (by type, layer, position and number), edges and weights of `create_graph_files` and of our JSON;
- `influence`: the largest difference of a node's influence in both JSON files, up to the threshold; theirs is a sum in
  float32, ours in float64.

Prompts of a store are pruned already. Their .pt and JSON are read in the same way; `create_graph_files` prunes them
once more, so that its nodes are among ours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from oracle.test_same_as_circuit_tracer import REFERENCES, graph_of

from distributed_tracer import open_store
from distributed_tracer.export.formats import export_graph
from distributed_tracer.graph.context import GraphContext
from distributed_tracer.graph.graph import Graph

READER = Path(__file__).with_name("peer_exchange_reader.py")
COLUMNS = ("case", "nodes", "edges", "matrix", "pruned", "recorded", "JSON", "influence")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="checkout of circuit-tracer")
    parser.add_argument("--peer-python", required=True, help="Python of its environment")
    parser.add_argument("--store", help="store whose prompts are exported as well")
    parser.add_argument("--prompts", type=int, default=20, help="number of prompts of the store")
    parser.add_argument("--cases", nargs="*", help="names of cases, such as gpt2_relu_plt; all by default")
    parser.add_argument("--out", type=Path, help="folder to keep the files in")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        jobs = [export_case(path, folder) for path in REFERENCES if options.cases in (None, [path.parent.name])]
        jobs += export_prompts(options.store, options.prompts, folder) if options.store else []
        (folder / "jobs.json").write_text(json.dumps(jobs))
        command = [options.peer_python, "-E", str(READER), options.peer, str(folder)]
        answers = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    results = [json.loads(line) for line in answers if line.startswith("{")]
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))
    sys.exit(any(False in result.values() for result in results))


def export_case(reference: Path, folder: Path) -> dict[str, Any]:
    """Trace one case and export it; return what the peer is asked about it."""
    name, case = f"{reference.parent.name}-{reference.stem}", np.load(reference)
    node_threshold, edge_threshold = map(float, case["prune_thresholds"])
    dense = graph_of(reference)
    whole, pruned = dense.whole(), dense.pruned(node_threshold, edge_threshold)
    context = GraphContext(
        model=str(reference.parent / "model"),
        transcoders=str(reference.parent / "transcoders"),
        node_threshold=node_threshold,
        edge_threshold=edge_threshold,
    )
    return {
        **export(name, whole, pruned, context, folder),
        "thresholds": [node_threshold, edge_threshold],
        "recorded": np.flatnonzero(case["prune_node_mask"]).tolist(),
    }


def export_prompts(path: str, count: int, folder: Path) -> list[dict[str, Any]]:
    """Export prompts of a store, whose graphs are pruned."""
    store = open_store(path)
    chosen = list(store)[:: max(1, len(store) // count)][:count]
    return [export(f"store-{one}", store.graph(one), None, store.context(one), folder) for one in chosen]


def export(name: str, whole: Graph, pruned: Graph | None, context: GraphContext, folder: Path) -> dict[str, Any]:
    """Export a graph whole as .pt and pruned as JSON, with arrays to compare with beside them."""
    kept = pruned or whole
    export_graph(whole, folder / f"{name}.pt", context=context)
    export_graph(kept, folder / f"{name}.json", "viewer", context)
    place = kept.dense_index_N()
    if pruned:  # its places are those of its own matrix: the whole graph's have all features
        place = _places_in(whole, kept)
    np.savez(
        folder / f"{name}.npz",
        matrix=whole.adjacency(),
        kept=place,
        edges=np.stack([place[kept.target_E()], place[kept.source_E]], 1),
        targets=np.array([target.weight for target in whole.targets], np.float32),
    )
    return {"case": name, "nodes": len(kept.nodes), "edges": kept.num_edges}


def _places_in(whole: Graph, pruned: Graph) -> np.ndarray:
    """Return the place in the dense order of the whole graph of each node of the pruned one."""

    def keys(graph: Graph) -> list[tuple[int, ...]]:
        nodes = graph.nodes
        columns = (nodes.kind_N, nodes.layer_N, nodes.position_N, nodes.feature_N)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    place_of = dict(zip(keys(whole), whole.dense_index_N().tolist(), strict=True))
    return np.array([place_of[key] for key in keys(pruned)])


def table(results: list[dict[str, Any]]) -> str:
    """Return the results as Markdown."""
    cell = {True: "same", False: "**different**", None: ""}
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for result in results:
        values = [result.get(name) for name in COLUMNS]
        lines.append(f"| {' | '.join(cell[v] if v is None or isinstance(v, bool) else str(v) for v in values)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
