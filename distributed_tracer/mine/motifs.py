"""mine_motifs: counts of motifs in all graphs, against graphs with the same degrees, and the loops that recur.

Axes: I prompt by rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..documents.json_text import to_json_types
from ..store.reader import Store
from ..table_folder import import_parquet, write_parquet
from ..tasks.phases import Execute, Phases, perform_here
from ..tasks.task import Done, Task
from . import motif_tasks as tasks
from .columns import arrow_table
from .findings import Findings, describe_graphs, provenance
from .loop_strengths import ROW_BYTES
from .loop_table import strongest_loops
from .motif_findings import motif_findings
from .motif_plan import MotifPlan, plan_motifs
from .result import TABLES, Result, check_folder, open_result, work_phases, write_document
from .scan import check_one_model

_TEST_ROWS = 20_000
"""Edges of the graphs of a task that draws, unless a single graph has more."""
_LOOP_ROWS = 1 << 21


def mine_motifs(store: Store, out: str | Path, *, run: Execute = perform_here, **options: Any) -> Result:
    """Write the motifs of a store's graphs into the folder `out`, and return the result.

    `options` are those of `plan_motifs`: `where` and `cluster` choose prompts and their clusters; `null` names what the
    draws keep; of each graph there are `draws` draws, `steps` steps away; `edges` are all, or those between features
    and from features to targets; the `top` strongest loops that `min_clusters` clusters have are listed, of rows that
    take up to `memory_gb` times 10^9 bytes. `run` does the work: `task_runner` gives one for several processes or a
    cluster. The files do not depend on who does the work, nor on how the store is divided into parts. What a killed run
    has finished is not done again. Raises ConfigError for arguments that do not fit, StoreError if the store cannot be
    read, and WorkerLost.
    """
    import_parquet("a result of mining")
    plan, folder = plan_motifs(store, **options), Path(out).expanduser()
    prompts = plan.prompts
    settings = {"what": "motifs", "prompts": prompts.digest(), **plan.options()}
    if check_folder(folder, settings):
        return open_result(folder)
    table = store.prompt_table(prompts.ids, ["id", "num_layers"])
    check_one_model(dict(zip(table["num_layers"].tolist(), table["id"].tolist(), strict=True)))
    with work_phases(folder, settings, run, {"store": store.url}) as phases:
        findings = _find(plan, phases)
        of_graphs = describe_graphs(store)
        for name, found in findings.tables.items():
            write_parquet(
                folder / TABLES / f"{name}.parquet", iter([arrow_table(found.columns, found.rows, of_graphs)])
            )
        own = {"facts": to_json_types(findings.facts), "warnings": list(findings.warnings)}
        write_document(folder, {"what": "motifs", "settings": settings, **provenance(prompts), **own})
    return open_result(folder)


def _find(plan: MotifPlan, phases: Phases) -> Findings:
    """Do the tasks, and return what they have found."""
    of_null = {"draws": plan.settings.draws, "steps": plan.settings.steps, "seed": plan.settings.seed}
    common = {"nulls": list(plan.nulls), **of_null, "edges": plan.edges}
    pieces = list(plan.prompts.pieces(_TEST_ROWS))
    tested = phases.run("tests", [Task(tasks.count_piece, {"piece": piece, **common}) for piece in pieces])
    values, of_nulls = tasks.load_tests(_folders(phases, tested))
    sizes_I = plan.clusters.sizes(np.ones(len(plan.prompts), dtype=np.bool_))[plan.clusters.number_I]
    bound, kept = 0, list[Done]()
    if plan.top:
        bound, kept = _loops(plan, phases, sizes_I)
    of_loops = (plan.clusters, sizes_I, plan.top, plan.min_clusters, bound)
    loops = strongest_loops(tasks.load_loops(_folders(phases, kept)), *of_loops)
    return motif_findings(plan, values, of_nulls, loops)


def _loops(plan: MotifPlan, phases: Phases, sizes_I: Any) -> tuple[int, list[Done]]:
    """Return the largest strength of loops that are not kept, and what tasks have left of the others."""
    pieces = list(plan.prompts.pieces(_LOOP_ROWS))
    of_pieces = [{"piece": piece, "sizes": sizes_I[piece["ranks"]].tolist(), "edges": plan.edges} for piece in pieces]
    summed = phases.run("sums", [Task(tasks.sum_loops_of_piece, one) for one in of_pieces])
    chosen = {"folders": [one.folder for one in summed], "most_rows": int(plan.memory_gb * 1e9 / ROW_BYTES)}
    (buckets,) = phases.run("buckets", [Task(tasks.choose_buckets_of_all, chosen)])
    phases.release("sums")
    keep = [{"piece": piece, "chosen": buckets.folder, "edges": plan.edges} for piece in pieces]
    return int(buckets.value), phases.run("loops", [Task(tasks.keep_loops_of_piece, one) for one in keep])


def _folders(phases: Phases, done: Sequence[Done]) -> list[Path]:
    return [phases.work / one.folder for one in done]
