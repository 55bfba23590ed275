"""Size of a store relative to circuit-tracer's files of the same graphs. It needs a store made with `trace --keep-all`.

    python benchmarks/peer_size.py STORE [--json FILE]

Each graph is written as circuit-tracer writes it, a dense float32 matrix over all nodes with every active feature, and
the file is measured. Then all graphs are written into new stores, whole and as default pruning leaves them, with exact
weights and with 10 bits of them. The peer's file holds the whole graph in both cases: it prunes when it exports JSON,
and the file stays. Files and stores are temporary. The peer's real file has a few kilobytes more of the model's
configuration than the one written here.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

from store_questions import OurStore, size_of
from store_rivals import DenseFiles

from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.prune import prune
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.table import Table

KEPT: dict[str, Callable[[Graph], Graph]] = {"every edge": lambda graph: graph, "default pruning": prune}
BITS = {"exact": 23, "10 bits": 10}


def compare(store: Store, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each way to store the graphs."""
    stores = {
        (kept, bits): OurStore(str(folder / f"{number}"), weight_bits=BITS[bits])
        for number, (kept, bits) in enumerate(product(KEPT, BITS))
    }
    theirs, edges = 0, dict.fromkeys(KEPT, 0)
    for number, graph in enumerate(store.graphs()):
        dense = DenseFiles(folder / f"dense-{number}")
        dense.write([graph])
        (file,) = (folder / f"dense-{number}").iterdir()
        theirs += file.stat().st_size
        file.unlink()
        for kept, keep in KEPT.items():
            mine = keep(graph)
            edges[kept] += mine.num_edges
            for bits in BITS:
                stores[kept, bits].add(mine)
    rows = []
    for (kept, bits), ours in stores.items():
        ours.flush()
        size = size_of(Path(ours.url))[1]
        row = {"kept": kept, "weights": bits, "graphs": len(store), "edges/graph": edges[kept] / len(store)}
        sizes = {"KB/graph": size / len(store) / 1e3, "B/edge": size / edges[kept]}
        rows.append(row | sizes | {"its KB/graph": theirs / len(store) / 1e3, "smaller by": theirs / size})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(open_store(args.store), Path(folder))
    print(Table({key: [row[key] for row in rows] for key in rows[0]}))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
