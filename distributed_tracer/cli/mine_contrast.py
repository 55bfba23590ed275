"""Command that compares two sets of prompts: mine contrast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..config import RunConfig
from ..redact import redacted
from ..text import counted, printable
from .app import StorePath, print_answer

if TYPE_CHECKING:
    from ..mine.result import Result
    from ..table import Table

_SHOWN = 20
Conditions = Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE")]


def contrast(
    path: StorePath,
    a: Conditions,
    out: str,
    b: Conditions = (),
    of: Literal["features", "edges"] = "features",
    measure: str | None = None,
    cluster: str | None = None,
    paired: str | None = None,
    test: Literal["both", "welch"] = "both",
    q: float = 0.05,
    min_clusters: int = 3,
    permutations: int = 9_999,
    seed: int = 0,
    where: Conditions = (),
    memory_gb: float = 2.0,
    workers: int = 1,
    ray_address: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Test which features or edges differ between two sets of prompts, over clusters of prompts.

    The result is a folder of Parquet files. docs/contrast.md has every column and its definition.

    Args:
        path: Directory or URL of a store.
        a: Conditions that the prompts of set a meet, all of them, in the form that `query` takes.
        out: Folder of the result: new, empty, or begun by this command.
        b: Conditions that the prompts of set b meet. Without them, these are all prompts that are not in set a.
        of: What is compared.
        measure: What is compared of features, influence (the default) or activation; of edges it is share.
        cluster: Metadata whose equal values make prompts a cluster, such as a template. Without it, prompts count as
            independent, and p-values may be far too small.
        paired: Metadata whose equal values make prompts of a and b a pair; the tests are then over pairs.
        test: Whether the magnitudes are tested by Welch's test and by permutation, or by Welch's test alone.
        q: The false discovery rate.
        min_clusters: In how many clusters of both sets together a row must be present to be tested.
        permutations: At most how many assignments of labels to clusters are drawn.
        seed: Seed of these assignments and of the halves.
        where: Conditions that the prompts of both sets meet.
        memory_gb: Memory in 10^9 bytes for reading edges; more of the work is done on disk if it is small.
        workers: Number of processes on this machine or, on a cluster, of tasks at a time. The result does not depend
            on it.
        ray_address: Address of a running Ray cluster that does the work; `auto` is the one that this machine belongs
            to. All of its machines must see the store and `--out` under the same paths.
        dry_run: Whether to say only which prompts would be compared.
        json: Whether to print the provenance of the result as JSON.
    """
    from ..mine.mine_contrast import plan_contrast, write_contrast
    from ..runtime.task_runner import task_runner
    from ..store.reader import open_store

    config = RunConfig(workers=workers, ray_address=ray_address)
    plan = plan_contrast(
        open_store(path),
        a,
        b,
        of=of,
        where=where,
        cluster=cluster,
        paired=paired,
        measure=measure,
        test=test,
        q=q,
        min_clusters=min_clusters,
        permutations=permutations,
        seed=seed,
        memory_gb=memory_gb,
    )
    if dry_run:
        print(plan.describe())
        return 0
    with task_runner(config) as run:
        result = write_contrast(plan, out, run)
    if json:
        print_answer(dict(result.info))
    else:
        print(_described(result, of, redacted(out)))
    return 0


def _described(result: Result, of: str, out: str) -> str:
    """Return the warnings, the numbers of the tests, and the strongest findings."""
    facts = result.facts
    lines = [f"warning: {text}" for text in result.warnings]
    sizes = (
        f"{facts[f'prompts_{name}']:,} prompts in {counted(facts[f'clusters_{name}'], 'cluster')}" for name in "ab"
    )
    lines.append(f"a: {next(sizes)}; b: {next(sizes)}; statistics of {result.info['graphs']}")
    lines.append(
        f"{facts['found']:,} of {counted(facts['tested'], 'tested ' + of[:-1])} differ at q = {facts['q']:g} "
        f"({facts['measure']}); {facts['too_rare']:,} are too rare to be tested; all are in {out}"
    )
    shown = result.table(of)
    if facts["found"]:
        shown = shown.where(shown["q"] <= facts["q"])
        if number := facts["found_at_differing_tokens"]:
            lines.append(f"{number:,} of these occur only at tokens that one of the sets has: see differing_tokens")
            if number < len(shown):
                shown = shown.where(shown["differing_tokens"] < 1)
                lines.append("the strongest of the others are")
    else:
        lines.append("nothing is found; the rows with the smallest p are")
    return "\n".join([*map(printable, lines), _strongest(shown).format(_SHOWN)])


def _strongest(rows: Table) -> Table:
    """Return the columns that are shown."""
    from ..table import Table

    if "layer" in rows:
        names: dict[str, Any] = {
            "feature": [f"{row[0]}:{row[1]}" for row in zip(rows["layer"], rows["feature"], strict=True)]
        }
    else:
        names = {side: _ends(rows, side) for side in ("source", "target")}
    numbers = ("mean_a", "mean_b", "low", "high", "g", "q", "presence_a", "presence_b", "differing_tokens")
    return Table({**names, **{name: rows[name] for name in numbers}})


def _ends(rows: Table, side: str) -> list[str]:
    """Return what an end of each edge is."""
    found = []
    columns = (rows[f"{side}_{name}"].tolist() for name in ("kind", "layer", "feature", "token"))
    for kind, layer, feature, token in zip(*columns, strict=True):
        name = {"feature": f"{layer}:{feature}", "error": str(layer)}.get(kind, repr(token))
        found.append(name if kind == "feature" else f"{kind} {name}")
    return found
