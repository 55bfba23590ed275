"""Mine a store: write tables of recurring features and edges, and of what the transcoders leave unexplained.

python jobs/mine.py                                          on this machine; needs no GPU
distributed-tracer submit jobs/mine.py                       on a cluster, through its head node
"""

from __future__ import annotations

from pathlib import Path

from distributed_tracer import dark_matter, feature_counts, open_store, recurring_edges

SHARED = "/shared"


def main(store_url: str, out: Path) -> None:
    """Write the tables to `out` and print their first rows. Compact a large store first, so that it answers faster."""
    store = open_store(store_url)
    tables = {
        "features": feature_counts(store),
        "edges": recurring_edges(store, top=10_000, min_prompts=max(2, len(store) // 100)),
        "dark_matter": dark_matter(store),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        path = out / f"{name}.csv"
        table.write_csv(path)
        print(f"{path}: {len(table):,} rows\n{table.format(10)}\n")


if __name__ == "__main__":
    main(f"{SHARED}/graphs", Path(f"{SHARED}/mined"))
