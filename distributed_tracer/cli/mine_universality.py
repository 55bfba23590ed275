"""mine universality: which features and edges two stores over the same prompts have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional

from ..config import RunConfig
from ..redact import redacted
from ..text import counted
from .app import StorePath, print_answer
from .mine_answer import Where, print_result

if TYPE_CHECKING:
    from ..mine.result import Result

OtherStore = Annotated[Positional[str], tyro.conf.arg(metavar="OTHER")]


def universality(
    path: StorePath,
    other: OtherStore,
    out: str,
    where: Where = (),
    cluster: str | None = None,
    within: str | None = None,
    measure: Literal["correlation", "jaccard"] = "correlation",
    shuffles: int = 199,
    q: float = 0.05,
    min_clusters: int = 3,
    memory_gb: float = 2.0,
    seed: int = 0,
    workers: int = 1,
    ray_address: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Compare two stores over the same prompts: which features match, and which edges between them are conserved.

    The stores may be of other transcoders, of another seed, or of another model. The result is a folder of Parquet
    files. docs/universality.md has the definitions. The same command goes on after an interruption.

    Args:
        path: Directory or URL of the first store, a.
        other: Directory or URL of the second store, b.
        out: Folder of the result: new, empty, or begun by this command.
        where: Conditions that prompts of the first store must meet, all of them, in the form that `query` takes.
        cluster: Metadata of the first store whose equal values make prompts a cluster, the unit of evidence. Without
            it, each prompt is a cluster.
        within: Metadata of the first store that says the template of each prompt; prompts are shuffled within
            templates (default: the clusters).
        measure: Similarity of the activations of two features.
        shuffles: Number of shuffles of prompts, and of permutations of the matching.
        q: The false discovery rate.
        min_clusters: Number of clusters in which a feature or an edge must be, so that anything is said of it.
        memory_gb: Memory in 10^9 bytes that each worker uses, beside that of the program itself.
        seed: Seed of the shuffles, of the permutations, of the bootstraps and of the halves.
        workers: Number of processes on this machine or, on a cluster, of tasks at a time. The result does not depend
            on it.
        ray_address: Address of a running Ray cluster that does the work; `auto` is the one that this machine belongs
            to. All of its machines must see both stores and `--out` under the same paths.
        dry_run: Whether to say only what it will take.
        json: Whether to print the provenance of the result as JSON.
    """
    from ..mine.paired_prompts import pair_prompts
    from ..mine.universality import mine_universality, plan_universality
    from ..mine.universality_settings import UniversalitySettings
    from ..runtime.task_runner import task_runner
    from ..store.reader import open_store

    config = RunConfig(workers=workers, ray_address=ray_address)
    settings = UniversalitySettings(measure, shuffles, q, min_clusters, seed)
    pairs = pair_prompts(open_store(path), open_store(other), where, cluster, within)
    if dry_run:
        print(plan_universality(pairs, settings, memory_gb))
        return 0
    with task_runner(config) as run:
        result = mine_universality(pairs, out, settings, memory_gb, run)
    if json:
        print_answer(dict(result.info))
        return 0
    print_result(result, out, [*_facts(result, redacted(other)), *_tables(result)])
    return 0


def _facts(result: Result, other: str) -> Iterator[str]:
    """Yield lines about what was compared."""
    facts = result.facts
    yield (
        f"{counted(facts['prompts'], 'prompt')} in {counted(facts['clusters'], 'cluster')} and "
        f"{counted(facts['templates'], 'template')}, compared with {other}"
    )
    for side in "ab":
        yield (
            f"store {side}: of {counted(facts[f'features_{side}'], 'feature')} {facts[f'matched_{side}']:,} are "
            f"matched, {facts[f'unmatched_{side}']:,} unmatched, {facts[f'unknown_{side}']:,} unknown"
        )
    yield f"{facts['edges_conserved']:,} of {counted(facts['edges_strong'], 'strong edge')} of store a are conserved"


def _tables(result: Result) -> Iterator[str]:
    """Yield the summary, and the layers in which most matches are."""
    summary = result.table("summary")
    yield summary.format(10)
    layers = result.table("layers")
    layers = layers.where(layers["nearest"] == "yes")
    if len(layers):
        yield "layers with most matches:"
        yield layers.format(30)
