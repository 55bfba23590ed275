"""Commands that mine all graphs of a store: mine atlas, and those in files of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import tyro

from ..config import RunConfig
from ..redact import redacted
from ..text import counted, printable
from .app import StorePath, bound, print_answer
from .mine_chains import chains
from .mine_consensus import consensus
from .mine_contrast import contrast
from .mine_errors import dark_matter
from .mine_motifs import motifs
from .mine_roles import pathways, roles
from .mine_similar import similar
from .mine_stability import stability
from .mine_universality import universality
from .mine_vectors import vectors
from .mine_weights import weights

mine_app = tyro.extras.SubcommandApp()


def atlas(
    path: StorePath,
    out: str,
    memory_gb: float = 2.0,
    where: Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE")] = (),
    cluster: str | None = None,
    fold: bool = False,
    workers: int = 1,
    ray_address: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Make a table of all edges between features, tokens, errors and targets, over prompts and positions.

    The result is a folder of Parquet files. docs/mining.md has every column and its definition. After an interruption,
    the same command goes on. If the store has more prompts since then, it reads and adds only these.

    Args:
        path: Directory or URL of a store.
        out: Folder of the result: new, empty, or begun by this command.
        memory_gb: Memory in 10^9 bytes that each worker uses, beside that of the program itself; more of the work is
            done on disk if it is small.
        where: Conditions that prompts must meet, all of them, in the form that `query` takes.
        cluster: Metadata whose equal values make prompts a cluster, such as a template; clusters are then counted too.
        fold: Whether to make an atlas anew to which prompts were added, so that other programs can read its tables.
        workers: Number of processes on this machine or, on a cluster, of tasks at a time. The result does not depend
            on it.
        ray_address: Address of a running Ray cluster that does the work; `auto` is the one that this machine belongs
            to. All of its machines must see the store and `--out` under the same paths.
        dry_run: Whether to say only what the atlas will take.
        json: Whether to print the provenance of the result as JSON.
    """
    from ..mine.atlas import mine_atlas, plan_atlas
    from ..runtime.task_runner import task_runner
    from ..store.reader import open_store

    config = RunConfig(workers=workers, ray_address=ray_address)
    store = open_store(path)
    if dry_run:
        print(plan_atlas(store, memory_gb, where, cluster).describe())
        return 0
    with task_runner(config) as run:
        result = mine_atlas(store, out, memory_gb, where, cluster, fold, run)
    info = result.info
    if json:
        print_answer(dict(info))
        return 0
    prompts, features = counted(info["num_prompts"], "prompt"), counted(info["num_feature_rows"], "feature")
    if info["num_edge_rows"] is None:  # of an atlas to which prompts were added
        lines = [
            f"edges between {features} of {prompts} in {redacted(out)}; tables of added prompts are joined on reading"
        ]
    else:
        lines = [f"{counted(info['num_edge_rows'], 'edge')} and {features} of {prompts} in {redacted(out)}"]
    lines.append(f"statistics of {info['graphs']}")
    if info["num_clusters"] is not None:
        lines.append(f"{counted(info['num_clusters'], 'cluster')}; {info['num_without_cluster']:,} prompts have none")
    print("\n".join(map(printable, lines)))
    return 0


OF_MINE: dict[str, Callable[..., int]] = {
    "atlas": atlas,
    "chains": chains,
    "consensus": consensus,
    "contrast": contrast,
    "dark-matter": dark_matter,
    "motifs": motifs,
    "pathways": pathways,
    "roles": roles,
    "similar": similar,
    "stability": stability,
    "universality": universality,
    "vectors": vectors,
    "weights": weights,
}
"""The commands of `mine`, by name."""

for _name, _function in OF_MINE.items():
    mine_app.command(name=_name)(bound(_function))
mine_app.__doc__ = f"Statistics over all graphs of a store: {', '.join(OF_MINE)}."
