"""Mine a store: write an atlas of its graphs, and tables of recurring features and edges and of what the transcoders
leave unexplained.

python jobs/mine.py                                          on this machine; needs no GPU
distributed-tracer submit jobs/mine.py                       on a cluster, through its head node
"""

from __future__ import annotations

from pathlib import Path

from distributed_tracer import (
    RunConfig,
    dark_matter,
    feature_counts,
    mine_atlas,
    open_store,
    recurring_edges,
    task_runner,
)

SHARED = "/shared"


def main(store_url: str, out: Path, run: RunConfig) -> None:
    """Write the tables to `out` and print their first rows. Compact a large store first, so that it answers faster.

    The workers make the atlas, which the same job goes on with if it is interrupted. They all must see `out`.
    """
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
    with task_runner(run) as perform:
        atlas = mine_atlas(store, out / "atlas", memory_gb=2.0, run=perform)
    print(f"{atlas.path}: {atlas.info['num_edge_rows']:,} edges of {atlas.info['num_feature_rows']:,} features")


if __name__ == "__main__":
    main(f"{SHARED}/graphs", Path(f"{SHARED}/mined"), RunConfig(workers=8))
