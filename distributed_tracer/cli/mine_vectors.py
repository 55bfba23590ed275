"""The command mine vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..config import RunConfig
from ..redact import redacted
from ..text import counted, printable
from .app import StorePath, print_answer
from .community_choice import check_choice, open_communities

if TYPE_CHECKING:
    from ..mine.result import Result

_SHOWN = (
    "value",
    "columns",
    "positive",
    "clusters",
    "auroc",
    "auroc_low",
    "auroc_high",
    "gain",
    "gain_low",
    "gain_high",
)


def vectors(
    path: StorePath,
    out: str,
    where: Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE")] = (),
    cluster: str | None = None,
    predict: Annotated[tuple[str, ...], tyro.conf.arg(metavar="FIELD")] = (),
    shuffles: int = 199,
    seed: int = 0,
    memory_gb: float = 2.0,
    workers: int = 1,
    ray_address: str | None = None,
    communities: str | None = None,
    level: int | None = None,
    every_community: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Make one row of numbers for each graph, beside numbers that need no graph, and say what they predict.

    The result is a folder of Parquet files; docs/vectors.md has every column.

    Args:
        path: Directory or URL of a store.
        out: Folder of the result: new, empty, or begun by this command.
        where: Conditions that prompts must meet, all of them, in the form that `query` takes.
        cluster: Metadata whose equal values make prompts a cluster, such as a template; folds are of whole clusters.
        predict: Metadata with 2 to 20 values that a linear classifier is to predict, in folds that it has not seen.
        shuffles: Number of times that labels are shuffled and predicted likewise.
        seed: Seed of the folds and of the shuffles.
        memory_gb: Memory in 10^9 bytes for what each worker reads at once.
        workers: Number of processes on this machine or, on a cluster, of tasks at a time. The result does not depend
            on it.
        ray_address: Address of a running Ray cluster that does the work; `auto` is the one that this machine belongs
            to. All of its machines must see the store and `--out` under the same paths.
        communities: Folder of a result of `mine roles` or `mine pathways`: a column for each community says how much
            influence its features have.
        level: Level of the communities (default: the finest one in which a feature has a community).
        every_community: Whether communities count too that are not significant.
        dry_run: Whether to say only what it will take.
        json: Whether to print the provenance of the result as JSON.
    """
    from ..mine.community_vectors import CommunityColumns
    from ..mine.vectors import describe_vectors, mine_vectors
    from ..runtime.task_runner import task_runner
    from ..store.reader import open_store

    config = RunConfig(workers=workers, ray_address=ray_address)
    check_choice("--communities", communities is not None, level, every_community)
    store = open_store(path)
    columns = None
    if communities is not None:
        columns = CommunityColumns.of(open_communities(communities, store.info["identity"]), level, every_community)
    chosen: dict[str, Any] = {"where": where, "cluster": cluster, "predict": predict, "shuffles": shuffles}
    chosen["communities"] = columns
    if dry_run:
        print(describe_vectors(store, **chosen, memory_gb=memory_gb))
        return 0
    with task_runner(config) as run:
        result = mine_vectors(store, out, **chosen, seed=seed, memory_gb=memory_gb, run=run)
    print_answer(dict(result.info) if json else "\n".join(_answer(result, out)))
    return 0


def _answer(result: Result, out: str) -> Iterator[str]:
    facts = result.facts
    columns = f"{counted(facts['columns_of_graphs'], 'number')} of each graph"
    others = f"{counted(facts['columns_of_prompts'], 'number')} that need none"
    if "columns_of_communities" in facts:
        others += f", {counted(facts['columns_of_communities'], 'column')} of communities"
    clusters, folds = counted(facts["clusters"], "cluster"), counted(facts["folds"], "fold")
    yield f"{counted(facts['prompts'], 'prompt')}: {columns}, {others}; {clusters} in {folds}"
    if "predictions" in result.tables:
        table = result.table("predictions")
        for field in dict.fromkeys(table["field"].tolist()):
            yield f"what predicts {printable(field)}:"
            own = table.where(table["field"] == field)
            shown = type(table)({name: own[name] for name in (*_SHOWN, "auroc_shuffled", "p")})
            yield from (f"  {line}" for line in shown.format(60).splitlines())
    yield from (f"warning: {printable(text)}" for text in result.warnings)
    yield f"statistics of {result.info['graphs']}, in {printable(redacted(out))}"
