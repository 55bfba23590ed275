"""The chosen prompts of a command as the first task of its phases, so that tasks in other processes have the same ones.

The tasks of a command get the address of the store, and files that have the ids and clusters of its prompts. Later
tasks name the folder of these files among their arguments, so that no task of other prompts counts as done.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..store.reader import open_store
from ..tasks.phases import Phases
from ..tasks.task import Place, Task
from .prompts import ChosenPrompts
from .task_arrays import load_arrays, save_arrays

_IDS = "ids.json"
_CLUSTERS = "clusters"


def keep_prompts(phases: Phases, prompts: ChosenPrompts) -> str:
    """Return the folder from which tasks read the prompts, relative to the work folder."""
    clusters = None if prompts.clusters is None else prompts.clusters.tolist()
    arguments = {"ids": list(prompts.ids), "clusters": clusters, "digest": prompts.digest()}
    (done,) = phases.run("prompts", [Task(write_prompts, arguments)])
    return done.folder


def write_prompts(place: Place, ids: list[str], clusters: list[int] | None, digest: str) -> None:
    """Write the ids of prompts in the order of their ranks, and their clusters; `digest` tells graphs apart."""
    (place.out / _IDS).write_text(json.dumps(ids), encoding="ascii")
    if clusters is not None:
        save_arrays(place.out, {_CLUSTERS: np.array(clusters, dtype=np.int32)})


def read_prompts(place: Place, folder: str) -> ChosenPrompts:
    """Return the prompts that `keep_prompts` kept, of the store as it is now."""
    own: Path = place.work / folder
    ids = json.loads((own / _IDS).read_text(encoding="ascii"))
    return ChosenPrompts(open_store(place.given["store"]), ids, load_arrays(own).get(_CLUSTERS))
