"""mine_atlas: statistics of every edge between sites and of every feature, over all graphs of a store.

Prompts that the store has got since the atlas was made are added to it in tables of their own, which a reader joins
with the others, until a quarter of the edges was added and the atlas is made anew.

Axes: I site.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..store.reader import Store
from ..table_folder import import_parquet
from ..tasks.phases import Execute, perform_here
from ..text import counted
from .atlas_build import AtlasPlan, build_tables
from .atlas_result import Atlas
from .columns import is_encodable
from .findings import provenance
from .prompts import ChosenPrompts, choose_prompts
from .result import (
    ADDED_TABLES,
    ATLAS,
    RESULT,
    TABLES,
    Result,
    document_at,
    open_result,
    room,
    work_phases,
    write_document,
)
from .spill import EDGE_BYTES, NODE_RECORD

FOLD_SHARE = 0.25
"""Share of added edges above which an atlas is made anew, so that reading it stays cheap."""
_EDGES_PER_SECOND = 2e6
"""Edges that one core mines in a second: a cautious figure for graphs such as those of benchmarks/synthetic_graphs.py,
of whose edges most are of a pair that no other prompt has."""


@dataclass(frozen=True)
class AtlasEstimate:
    """What an atlas would take."""

    num_prompts: int
    num_nodes: int
    num_edges: int

    @property
    def temporary_bytes(self) -> int:
        """Bytes of the temporary files."""
        return EDGE_BYTES * self.num_edges + NODE_RECORD.itemsize * self.num_nodes

    def describe(self) -> str:
        """Return lines for people."""
        rows = counted(self.num_edges, "edge")
        return (
            f"{counted(self.num_prompts, 'prompt')}, {counted(self.num_nodes, 'node')}, {rows}\n"
            f"at most {rows.replace('edge', 'row')} in the table of edges\n"
            f"{self.temporary_bytes / 1e9:.3f} GB of temporary files, and room for the tables\n"
            f"about {max(1.0, self.num_edges / _EDGES_PER_SECOND):.0f} s on one core"
        )


def plan_atlas(
    store: Store, memory_gb: float = 2.0, where: str | Sequence[str] = (), cluster: str | None = None
) -> AtlasEstimate:
    """Return what `mine_atlas` would take, and refuse what it would refuse of these arguments. Reads no graphs."""
    prompts = choose_prompts(store, where, cluster)
    AtlasPlan.of(memory_gb)
    return _estimate(prompts)


def mine_atlas(
    store: Store,
    out: str | Path,
    memory_gb: float = 2.0,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    fold: bool = False,
    run: Execute = perform_here,
) -> Result:
    """Write the atlas of a store, or of the prompts that meet `where`, into the folder `out`, and return it.

    `memory_gb` bounds the memory that is used, in 10^9 bytes, beside that of the program itself. `where` holds
    conditions as `query` takes them, and `cluster` names the metadata whose values are the clusters of prompts. `run`
    does the work: `task_runner` gives one for several processes or a cluster, each of whose workers uses that memory.
    The files do not depend on memory and workers, nor on how the store is divided into parts. A folder that has the
    finished atlas of the same graphs is left as it is, and what a killed run has finished there is not done again. If
    the store has more prompts since then, only these are read and added; with `fold`, or if they are more than a
    quarter, the atlas is made anew, so that its stored tables have all prompts. Raises ConfigError for arguments that
    do not fit, StoreError if the store cannot be read, ResultError if the disk is full, and WorkerLost.
    """
    import_parquet("a result of mining")
    folder = Path(out).expanduser()
    prompts = choose_prompts(store, where, cluster)
    plan_atlas(store, memory_gb, where, cluster)
    settings = {
        "what": "atlas",
        "prompts": prompts.digest(),
        "where": [where] if isinstance(where, str) else list(where),
        "cluster": cluster,
    }
    document = document_at(folder)
    if document is None:
        _mine(folder, prompts, memory_gb, settings, run)
        return open_result(folder)
    atlas = Atlas(folder, document) if ATLAS in document else None
    added = _added(folder, document, atlas, prompts, settings)
    before = document.get(ATLAS, {"added": []})["added"]
    num_added = added.num_edges + sum(one["num_edges"] for one in before)
    has_plain_ids = all(map(is_encodable, prompts.ids))  # ids of files are compared when tables are joined
    if num_added and (fold or num_added > FOLD_SHARE * prompts.num_edges or not has_plain_ids):
        _mine(folder, prompts, memory_gb, settings, run)
    elif atlas is not None and len(added):
        _add(atlas, prompts, added, memory_gb, settings, run)
    return open_result(folder)


def _added(
    folder: Path, document: Mapping[str, Any], atlas: Atlas | None, prompts: ChosenPrompts, settings: Mapping[str, Any]
) -> ChosenPrompts:
    """Return the prompts that the finished result in `folder` does not have.

    Raises ConfigError if it is another result, or if it has prompts that were not chosen or other graphs of them.
    """
    if document["settings"] == settings:
        return prompts.without(prompts.graph_digests)
    is_same = {**document["settings"], "prompts": settings["prompts"]} == settings
    known = atlas.graph_digests if is_same and atlas is not None else set[str]()
    if not known or not known <= set(prompts.graph_digests):
        RESULT.check_same(folder, document["settings"], settings)
    return prompts.without(known)


def _mine(folder: Path, prompts: ChosenPrompts, memory_gb: float, settings: Mapping[str, Any], run: Execute) -> None:
    given = {"store": prompts.store.url}
    with room(folder, _estimate(prompts).temporary_bytes), work_phases(folder, settings, run, given) as phases:
        built = build_tables(folder / TABLES, phases, prompts, memory_gb)
        counts = {"num_edge_rows": built.num_pairs, "num_feature_rows": built.sites.num_features}
        division = {**built.description, "added": []}
        fields = {"what": "atlas", "settings": settings, **provenance(prompts), **counts, ATLAS: division}
        write_document(folder, fields, {f"{TABLES}/{file}": known for file, known in built.files.items()})


def _add(
    atlas: Atlas,
    prompts: ChosenPrompts,
    added: ChosenPrompts,
    memory_gb: float,
    settings: Mapping[str, Any],
    run: Execute,
) -> None:
    """Add tables of the prompts `added` to an atlas, which then has all of `prompts`."""
    folder, before = atlas.path, atlas.info[ATLAS]
    given = {"store": prompts.store.url}
    with (
        room(folder, _estimate(added).temporary_bytes),
        work_phases(folder, settings, run, given, is_kept=True) as phases,
    ):
        name = f"{ADDED_TABLES}/{len(before['added']) + 1:04d}"
        for left in (folder / ADDED_TABLES).glob("*"):
            if f"{ADDED_TABLES}/{left.name}" not in {one["folder"] for one in before["added"]}:
                shutil.rmtree(left)  # a run that was killed wrote it
        built = build_tables(folder / name, phases, added, memory_gb, before["cuts"])
        num_features = int(atlas.info["num_feature_rows"]) + built.sites.without(atlas.code_I).num_features
        counts = {"num_edge_rows": None, "num_feature_rows": num_features}  # pairs of both are not known
        division = {**before, "added": [*before["added"], {"folder": name, **built.description}]}
        fields = {"what": "atlas", "settings": settings, **provenance(prompts), **counts, ATLAS: division}
        known = {f"{name}/{file}": expected for file, expected in built.files.items()}
        write_document(folder, fields, {**atlas.info["files"], **known})


def _estimate(prompts: ChosenPrompts) -> AtlasEstimate:
    return AtlasEstimate(len(prompts), prompts.num_nodes, prompts.num_edges)
