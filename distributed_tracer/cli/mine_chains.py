"""Command that follows chains through an atlas: mine chains."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import tyro

from ..config import RunConfig
from ..redact import redacted
from ..text import counted, printable
from .app import StorePath, check_count, print_answer

_SHOWN = 20


def chains(
    path: StorePath,
    atlas: str,
    out: str,
    top: int = 50,
    begin: Literal["token", "error", "feature"] = "token",
    target: str | None = None,
    min_edges: int = 2,
    min_prompts: int = 2,
    where: Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE")] = (),
    cluster: str | None = None,
    memory_gb: float = 2.0,
    workers: int = 1,
    ray_address: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Find the strongest chains from tokens to targets in an atlas, and the graphs in which each is there as a whole.

    The result is a folder of Parquet files. docs/chains.md has every column and its definition.

    Args:
        path: Directory or URL of the store whose atlas it is, or of one with graphs of the same model.
        atlas: Folder that `mine atlas` has written.
        out: Folder of the result: new, empty, or begun by this command.
        top: Number of chains.
        begin: Kind of node that a chain begins with.
        target: Target that the chains end in, by token id or by label with or without a space before it.
        min_edges: Smallest number of edges of a chain.
        min_prompts: Number of prompts of the atlas that each edge must be in, at least.
        where: Conditions that the prompts meet in which chains are counted, in the form that `query` takes. Without
            any, these are the prompts of the atlas; other prompts confirm what those of the atlas have chosen.
        cluster: Metadata whose equal values make prompts a cluster (default: that of the atlas).
        memory_gb: Memory in 10^9 bytes that chains may take while they are found.
        workers: Number of processes on this machine or, on a cluster, of tasks at a time. The result does not depend
            on it.
        ray_address: Address of a running Ray cluster that does the work; `auto` is the one that this machine belongs
            to. All of its machines must see the store and `--out` under the same paths.
        dry_run: Whether to say only what would be read.
        json: Whether to print the provenance of the result as JSON.
    """
    from ..mine.mine_chains import mine_chains, plan_chains
    from ..mine.result import open_result
    from ..runtime.task_runner import task_runner
    from ..store.reader import open_store

    config = RunConfig(workers=workers, ray_address=ray_address)
    check_count("--top", top)
    found = plan_chains(
        open_store(path),
        open_result(atlas),
        top,
        begin=begin,
        target=target,
        min_edges=min_edges,
        min_prompts=min_prompts,
        where=where or None,
        cluster=cluster,
        memory_gb=memory_gb,
    )
    if dry_run:
        print(found.describe())
        return 0
    with task_runner(config) as run:
        result = mine_chains(found, out, run)
    if json:
        print_answer(dict(result.info))
        return 0
    facts, rows = result.facts, result.table("chains")
    lines = [f"warning: {text}" for text in result.warnings]
    lines.append(
        f"{counted(facts['chains'], 'chain')}, {facts['whole_in_a_graph']:,} of which are whole in some graph of "
        f"{counted(facts['prompts'], 'prompt')}; statistics of {result.info['graphs']}; all are in {redacted(out)}"
    )
    print("\n".join(map(printable, lines)))
    for row in rows.take(list(range(min(_SHOWN, len(rows))))).rows():
        print(printable(f"{row['chain']:>3}  {row['path']}"))
        interval = f" ({row['low']:.3g} to {row['high']:.3g})" if math.isfinite(row["low"]) else ""
        whole = f"whole in {row['prompts']:,} of {counted(row['prompts_target'], 'prompt')} with the target"
        share = f"mean share {row['mean_share']:.3g}" if row["prompts_target"] else "mean share unknown"
        numbers = f"strength {row['strength']:.3g}, {share}{interval}"
        print(f"     {numbers}, {whole}, {counted(row['clusters'], 'cluster')}")
    return 0
