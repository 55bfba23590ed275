"""mine consensus: the graph that clusters of prompts have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ..config import RunConfig
from ..text import counted
from .app import StorePath, print_answer
from .mine_answer import Where, print_result

if TYPE_CHECKING:
    from ..graph.labels import Labels
    from ..mine.result import Result


def consensus(
    path: StorePath,
    out: str,
    where: Where = (),
    cluster: str | None = None,
    rule: Literal["frequency", "share"] = "frequency",
    threshold: float = 0.5,
    within: float = 0.5,
    share: float = 0.8,
    subsample: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    samples: int = 1_000,
    resamples: int = 1_000,
    memory_gb: float = 2.0,
    seed: int = 0,
    draw: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None,
    workers: int = 1,
    ray_address: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Find the nodes and edges that many clusters of prompts have, and how many clusters may go without losing them.

    The result is a folder of Parquet files with nodes and edges, without positions. docs/similar.md has the
    definitions.

    Args:
        path: Directory or URL of a store.
        out: Folder of the result: new, empty, or begun by this command.
        where: Conditions that prompts must meet, all of them, in the form that `query` takes.
        cluster: Metadata whose equal values make prompts a cluster, such as a template. Without it, each prompt is a
            cluster.
        rule: Rule of the graph. frequency takes what at least a share `threshold` of the clusters include. share takes
            the edges that at least a share `threshold` of all subsamples of clusters choose, each the largest mean
            shares of influence.
        threshold: Share of the clusters, or of the subsamples, that must have an edge.
        within: Share of the prompts of a cluster that must have an edge so that the cluster includes it.
        share: Share of influence that the edges chosen by a subsample cover together.
        subsample: Number of clusters in a subsample; by default a quarter of them.
        samples: Number of subsamples that are drawn, with the rule share.
        resamples: Number of bootstraps of clusters for the intervals of weights.
        memory_gb: Memory in 10^9 bytes that each worker uses, beside that of the program itself; the edges are divided
            into more ranges if it is small.
        seed: Seed of the subsamples and of the bootstraps.
        draw: File for a picture of the graph, which ends in .png, .pdf or .svg: layers upward, edges by the share of
            clusters that include them, and labels of the store.
        workers: Number of processes on this machine or, on a cluster, of tasks at a time. The result does not depend
            on it.
        ray_address: Address of a running Ray cluster that does the work; `auto` is the one that this machine belongs
            to. All of its machines must see the store and `--out` under the same paths.
        dry_run: Whether to say only what it will take.
        json: Whether to print the provenance of the result as JSON.
    """
    from ..mine.consensus import mine_consensus
    from ..mine.consensus_rule import ConsensusRule
    from ..mine.consensus_tasks import describe_consensus
    from ..mine.prompts import choose_prompts
    from ..runtime.task_runner import task_runner
    from ..store.reader import open_store

    if draw is not None:
        from ..plot.style import check_picture

        check_picture(draw)
    config = RunConfig(workers=workers, ray_address=ray_address)
    rules = ConsensusRule(rule, threshold, within, share, subsample, samples, resamples, seed)
    prompts = choose_prompts(open_store(path), where, cluster)
    if dry_run:
        print(describe_consensus(prompts, memory_gb))
        return 0
    with task_runner(config) as run:
        result = mine_consensus(prompts, out, rules, {"where": list(where), "cluster": cluster}, memory_gb, run)
    drawn = [] if draw is None else _draw(result, prompts.store.labels, draw)
    if json:
        print_answer(dict(result.info))
        return 0
    facts = result.facts
    lines = [
        f"{counted(facts['prompts'], 'prompt')} in {counted(facts['clusters'], 'cluster')}",
        f"in the consensus graph are {facts['edges_in']:,} of {facts['edges_seen']:,} edges and "
        f"{facts['nodes_in']:,} of {facts['nodes_seen']:,} nodes, with {facts['share_covered']:.1%} of the influence "
        "that edges pass on",
        f"{counted(facts['edges_certified'], 'edge')} stay whichever cluster is removed",
    ]
    if facts["edges_undecided"]:
        lines.append(f"{counted(facts['edges_undecided'], 'edge')} are undecided: more samples would say it")
    shown = ["source", "target", "clusters", "frequency", "low", "high", "share", "radius"]
    edges = result.table("edges", shown)
    edges = edges.where(edges["radius"] >= 0)
    if len(edges):
        strongest = edges.take((-edges["share"]).argsort(kind="stable"))
        lines += ["those with the largest shares of influence:", strongest.format(20)]
    print_result(result, out, [*lines, *drawn])
    return 0


def _draw(result: Result, labels: Labels, file: str) -> list[str]:
    """Draw the graph into a file, and return lines that say where it is and what it leaves out."""
    from ..plot.consensus import draw_consensus
    from ..plot.style import notes, save_figure

    figure = draw_consensus(result.table("edges"), result.table("nodes"), result.facts, labels=labels)
    save_figure(figure, file)
    return [f"picture: {file}", *notes(figure)]
