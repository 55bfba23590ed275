"""The command mine weights."""

from __future__ import annotations

from typing import Annotated, Any

import tyro

from ..config import RunConfig
from ..graph.columns import SIDES
from ..redact import redacted
from ..text import counted, printable
from .app import StorePath, print_answer

_SHOWN = 10


def weights(
    path: StorePath,
    out: str,
    transcoders: str | None = None,
    model: str | None = None,
    where: Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE")] = (),
    cluster: str | None = None,
    top: int = 1000,
    candidates: int = 100,
    min_positions: int = 5,
    q: float = 0.05,
    memory_gb: float = 2.0,
    workers: int = 1,
    ray_address: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Compute virtual weights between features of a store: ERA, TWERA, exact direct weights, interference, gated pairs.

    The result is a folder of Parquet files. docs/weights.md has every column and its definition. Of the model, only its
    config and the weights of its norms are read.

    Args:
        path: Directory or URL of a store.
        out: Folder of the result: new, empty, or begun by this command.
        transcoders: Transcoders with which the store was made (default: where the store says).
        model: Model with which the store was made (default: where the store says).
        where: Conditions that prompts must meet, all of them, in the form that `query` takes.
        cluster: Metadata whose equal values make prompts a cluster, such as a template; tests are corrected for
            clusters, and without it each prompt is one.
        top: Number of pairs with the largest |TWERA| to list.
        candidates: Number of pairs of each two layers, those with the largest |weight|, to test.
        min_positions: Least number of token positions at which a feature must be active.
        q: False discovery rate of the tests.
        memory_gb: Memory in 10^9 bytes for the active features of two layers, beside weights and tables.
        workers: Number of processes on this machine or, on a cluster, of tasks at a time. The result does not depend
            on it.
        ray_address: Address of a running Ray cluster that does the work; `auto` is the one that this machine belongs
            to. All of its machines must see the store and `--out` under the same paths.
        dry_run: Whether to say only what the command will read.
        json: Whether to print the provenance of the result as JSON.
    """
    from ..mine.prompts import choose_prompts
    from ..mine.virtual_weights import check_settings, mine_weights, temporary_bytes
    from ..runtime.task_runner import task_runner
    from ..store.reader import open_store

    config = RunConfig(workers=workers, ray_address=ray_address)
    store = open_store(path)
    check_settings(top, candidates, min_positions, q)
    if dry_run:
        prompts = choose_prompts(store, where, cluster)
        num_active = sum(store.entry(prompt_id).num_active for prompt_id in prompts.ids)
        sizes = (counted(len(prompts), "prompt"), counted(num_active, "active feature"))
        print(f"{sizes[0]}, {sizes[1]}, {counted(prompts.num_edges, 'edge')}")
        print(f"{temporary_bytes(prompts) / 1e9:.3f} GB of temporary files in {redacted(out)}")
        return 0
    with task_runner(config) as run:
        result = mine_weights(
            store,
            out,
            transcoders,
            model,
            where=where,
            cluster=cluster,
            top=top,
            candidates=candidates,
            min_positions=min_positions,
            q=q,
            memory_gb=memory_gb,
            run=run,
        )
    if json:
        print_answer(dict(result.info))
        return 0
    print("\n".join(map(printable, _answer(result, out))))
    return 0


def _answer(result: Any, out: str) -> list[str]:
    facts = result.facts
    lines = [
        f"{counted(facts['num_compared'], 'pair')} of {counted(facts['num_features'], 'feature')} compared at "
        f"{counted(facts['num_positions'], 'position')} of {counted(result.info['num_prompts'], 'prompt')} in "
        f"{counted(facts['num_clusters'], 'cluster')}; result in {redacted(out)}",
        f"strong pairs: {facts['num_strong']:,}, of which {facts['num_interference']:,} interference, "
        f"{facts['num_inhibition']:,} inhibition or interference, {facts['num_together']:,} together more than by "
        f"chance, {facts['num_unknown']:,} unknown",
        f"gated pairs: {facts['num_gated']:,} of {facts['num_tested_gated']:,} tested",
    ]
    pairs = result.table("pairs")
    shown: list[tuple[str, Any, tuple[str, ...]]] = [
        ("largest |TWERA|", pairs, ("twera", "direct", "edge", "edge_attention", "positions_both"))
    ]
    together = result.table("together")
    found = together.where(together["finding"] == "interference")
    shown.append(("interference", found, ("weight", "positions_both", "expected", "inflation", "q_fewer")))
    gated = result.table("gated")
    found = gated.where(gated["finding"] == "gated")
    shown.append(
        ("gated", found, ("effect", "share", "gate_layer", "gate_feature", "share_with", "share_without", "q_sign"))
    )
    for title, table, columns in shown:
        if len(table):
            lines += ["", f"{title}:", *_rows(table, columns)]
    calibration = result.table("calibration")
    if len(calibration):
        columns = ("pairs", "slope", "correlation", "scale_10", "scale_90", "direct_share")
        lines += ["", "direct against TWERA, by layer distance:", *_lines(calibration, ("distance", *columns))]
    return [*lines, *(f"warning: {text}" for text in result.warnings)]


def _rows(table: Any, columns: tuple[str, ...]) -> list[str]:
    """Return lines for the first rows of a table of pairs."""
    from ..table import Table

    first = table.take(range(min(_SHOWN, len(table))))
    ends = {side: [f"{row[f'{side}_layer']}:{row[f'{side}_feature']}" for row in first.rows()] for side in SIDES}
    return _lines(Table({**ends, **{name: first[name] for name in columns}}), (*SIDES, *columns))


def _lines(table: Any, columns: tuple[str, ...]) -> list[str]:
    from ..table import Table

    shown: list[str] = Table({name: table[name] for name in columns}).format(_SHOWN).splitlines()
    return shown
