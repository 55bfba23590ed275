"""Cost of one graph of features and of its partitions, as features and edges grow.

    python benchmarks/communities.py [--graphs 200 2000] [--min-clusters 3] [--memory-gb 8] [--folder FOLDER]

Graphs are those of `synthetic_graphs.py`: about 13,700 edges each. Every prompt is a cluster. Each step runs in a
process of its own, on one thread; a row has its CPU seconds and its peak memory above what it held when all modules
were imported. Edges that are mapped from files count as far as they are read.

edges           the edges of clusters, read from the store and written as the first task of `mine roles` does
roles           the graph of roles
pathways        the graph of pathways
Leiden 1, ...   a partition of either graph, with one seed
names, ends     the edges with shuffled names, and with shuffled ends

`--sample 20` compares every 20th tile of pairs of features instead of making the whole graph of roles, and says what
all tiles would take.

A run of `mine roles` on shuffled edges takes `names` or `ends`, `roles`, and three partitions of each level. `--folder`
keeps the stores, and uses those that are there.

Axes: E edge in a cluster, F feature, X column of a profile.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from atlas import measured, write_graphs
from scipy.sparse import csr_array

from distributed_tracer import open_store
from distributed_tracer.mine.cluster_edges import ClusterEdges
from distributed_tracer.mine.communities import KINDS
from distributed_tracer.mine.community_settings import CommunitySettings
from distributed_tracer.mine.community_tasks import graph_maker, mined_edges, write_edges
from distributed_tracer.mine.leiden import leiden
from distributed_tracer.mine.nearest_profiles import Search
from distributed_tracer.mine.prompt_tasks import write_prompts
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.mine.role_graph import profiles
from distributed_tracer.mine.shuffled_edges import shuffled
from distributed_tracer.tasks.task import Place

SETTINGS = CommunitySettings()


def prepare(url: str, work: Path, graphs: int) -> None:
    """Keep the first prompts of a store for the task that reads their edges."""
    (work / "prompts").mkdir()
    chosen = choose_prompts(open_store(url), f"number<={graphs - 1}", None)
    write_prompts(Place(work, work / "prompts", {}), list(chosen.ids), None, chosen.digest())


def read(url: str, work: Path, min_clusters: int, memory_gb: float) -> str:
    (work / "edges").mkdir()
    write_edges(Place(work, work / "edges", {"store": url, "memory_gb": memory_gb}), "prompts", min_clusters)
    edges = _edges(work)
    return f"{edges.num_features:,} features, {len(edges.share_E):,} edges in clusters"


def graph(work: Path, kind: str) -> str:
    edges = _edges(work)
    found = graph_maker(kind, SETTINGS)(edges, np.ones(edges.num_clusters))
    np.savez(work / f"{kind}.npz", **{name: getattr(found.adjacency, name) for name in ("indptr", "indices", "data")})
    return f"{found.adjacency.nnz:,} weights"


def sampled(work: Path, every: int) -> str:
    """Make profiles, compare the features of some tiles, and return what all of them would take."""
    edges, begin = _edges(work), time.process_time()
    profile_FX = profiles(edges, *edges.means(np.ones(edges.num_clusters)))
    search = Search(profile_FX, SETTINGS.neighbours)
    ready = time.process_time()
    every_tile = search.tiles()
    chosen = every_tile[::every]
    for tile in chosen:
        search.compare(*tile)
    spent = (time.process_time() - ready) * len(every_tile) / len(chosen)
    return (
        f"{len(chosen):,} of {len(every_tile):,} tiles; {ready - begin + spent:,.0f} s for all, of which "
        f"{ready - begin:,.0f} s are for profiles"
    )


def partition(work: Path, kind: str, resolution: float) -> str:
    with np.load(work / f"{kind}.npz", allow_pickle=False) as arrays:
        number = len(arrays["indptr"]) - 1
        adjacency = csr_array((arrays["data"], arrays["indices"], arrays["indptr"]), shape=(number, number))
    return f"{leiden(adjacency, resolution, 0).max() + 1:,} communities"


def shuffle(work: Path, kind: str) -> str:
    return f"{len(shuffled(_edges(work), kind, np.random.default_rng(0)).share_E):,} edges"


def _edges(work: Path) -> ClusterEdges:
    return mined_edges(str(work), "edges").edges


def row(name: str, found: tuple[float, float, Any]) -> None:
    cpu, peak, said = found
    print(f"{name:18} {cpu:8.1f} {peak:8,.0f}  {said}", flush=True)


def measure(
    url: str, work: Path, graphs: int, min_clusters: int, memory_gb: float, kinds: list[str], sample: int
) -> None:
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    prepare(url, work, graphs)
    print(f"\n{graphs:,} graphs, features in {min_clusters:,} clusters or more")
    print(f"{'':18} {'CPU s':>8} {'peak MB':>8}", flush=True)
    row("edges", measured(read, url, work, min_clusters, memory_gb))
    for kind in kinds:
        if sample and kind == "roles":
            row("roles, sample", measured(sampled, work, sample))
            continue
        row(kind, measured(graph, work, kind))
        for resolution in SETTINGS.resolutions:
            row(f"  Leiden {resolution:g}", measured(partition, work, kind, resolution))
    row("names", measured(shuffle, work, "identity"))
    row("ends", measured(shuffle, work, "edges"))
    shutil.rmtree(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, nargs="+", default=[200, 2_000])
    parser.add_argument("--min-clusters", type=int, nargs="+", default=[3])
    parser.add_argument("--memory-gb", type=float, default=8.0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        store = folder / f"store-{max(options.graphs)}"
        if not store.exists():
            write_graphs(str(store), 0, max(options.graphs))
        for graphs in options.graphs:
            for min_clusters in options.min_clusters:
                work = folder / "work"
                measure(str(store), work, graphs, min_clusters, options.memory_gb, options.kinds, options.sample)


if __name__ == "__main__":
    main()
