"""The command mine motifs: patterns of few edges against graphs with the same degrees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..config import RunConfig
from ..table import Table
from ..text import counted
from .app import StorePath, print_answer
from .mine_answer import Where, print_result

if TYPE_CHECKING:
    from ..mine.result import Result

_SHOWN = 12


def motifs(
    path: StorePath,
    out: str,
    where: Where = (),
    cluster: str | None = None,
    null: Literal["position", "signed", "layer", "both", "all"] = "all",
    draws: int = 199,
    steps: int = 50,
    edges: Literal["all", "features"] = "all",
    top: int = 1_000,
    min_clusters: int = 2,
    memory_gb: float = 2.0,
    seed: int = 0,
    workers: int = 1,
    ray_address: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Count feed-forward loops and other motifs in every graph, and compare them with graphs of the same degrees.

    The result is a folder of Parquet files; docs/motifs.md has every motif, null and column. The same command goes on
    after an interruption.

    Args:
        path: Directory or URL of a store.
        out: Folder of the result: new, empty, or begun by this command.
        where: Conditions that prompts must meet, all of them, in the form that `query` takes.
        cluster: Metadata whose equal values make prompts a cluster, such as a template. Without it, each prompt is a
            cluster.
        null: Degrees that drawn graphs keep. position keeps those between nodes of one kind, layer and position. signed
            keeps these for each sign. layer ignores positions, as published counts do, and finds motifs that are none.
            both is position and layer; all is all three.
        draws: Number of graphs that are drawn for each graph and null. No p-value of a graph is below 1 / (draws + 1).
        steps: Number of steps between a graph and a draw; each proposes to swap a quarter of the edges' pairs.
        edges: Edges in which motifs are counted: all, or those from features alone.
        top: Number of feed-forward loops to list by their features; with 0, none are looked for.
        min_clusters: Number of clusters that must have a loop that is listed.
        memory_gb: Memory in 10^9 bytes for the loops that are compared.
        seed: Seed of the draws.
        workers: Number of processes on this machine or, on a cluster, of tasks at a time. The result does not depend
            on it.
        ray_address: Address of a running Ray cluster that does the work; `auto` is the one that this machine belongs
            to. All of its machines must see the store and `--out` under the same paths.
        dry_run: Whether to say only what it will take, measured on three graphs.
        json: Whether to print the provenance of the result as JSON.
    """
    from ..mine.motif_plan import plan_motifs
    from ..mine.motifs import mine_motifs
    from ..runtime.task_runner import task_runner
    from ..store.reader import open_store

    store = open_store(path)
    options: dict[str, Any] = {"where": where, "cluster": cluster, "null": null, "draws": draws, "steps": steps}
    options |= {"edges": edges, "top": top, "min_clusters": min_clusters, "memory_gb": memory_gb, "seed": seed}
    config = RunConfig(workers=workers, ray_address=ray_address)
    if dry_run:
        print(plan_motifs(store, **options).describe())
        return 0
    with task_runner(config) as run:
        result = mine_motifs(store, out, run=run, **options)
    if json:
        print_answer(dict(result.info))
        return 0
    print_result(result, out, list(_answer(result)))
    return 0


def _answer(result: Result) -> Iterator[str]:
    facts = result.facts
    yield f"{counted(facts['prompts'], 'prompt')} in {counted(facts['clusters'], 'cluster')}"
    shown = ["motif", "controlled", "clusters", "observed", "null_mean", "log_ratio", "z", "rank", "q"]
    rows = result.table("motifs", ["null", *shown])
    for null in dict.fromkeys(rows["null"].tolist()):
        numbers = (facts[f"{null}{name}_{of}"] for name in ("", "_uncontrolled") for of in ("found", "tests"))
        yield "null {}: {:,} of {:,} controlled motifs and {:,} of {:,} others are found with q <= {}".format(
            null, *numbers, facts["q"]
        )
        yield f"{facts[f'{null}_fixed']:.0%} of the edges are in every graph with the same degrees"
        own = rows.where((rows["null"] == null) & (rows["clusters"] > 0))
        order = np.lexsort((-abs(own["rank"]), own["controlled"] != "yes"))
        yield Table({name: own[name][order] for name in shown}).format(_SHOWN) if len(own) else "nothing is known"
    if facts["loops"]:
        names = ["first_name", "middle_name", "last_name", "signs", "clusters", "prompts", "prompts_sites", "strength"]
        yield f"the strongest of {counted(facts['loops_recurring'], 'feed-forward loop')} that recur:"
        yield result.table("loops", names).format(_SHOWN)
