"""Tasks of graph vectors, and their phases.

vectors of some graphs ─▶ one value of a field predicted from all of them

Axes: I prompt that has the field.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tasks.phases import Phases
from ..tasks.task import Place, Task
from .predict import Predicted, predict_labels
from .prompt_tasks import keep_prompts
from .prompts import ChosenPrompts, PromptPiece
from .statistics import Floats
from .task_cache import kept_for_next
from .task_columns import load_columns, save_columns
from .vector_values import in_order, vectors_of_ranges

NUMBER_BYTES = 8
"""Bytes that a number of a vector takes in the files."""
_ROWS = 10_000_000
"""Nodes and edges that a task reads, unless a single graph has more."""
_RANK = "rank"


def read_in_phases(phases: Phases, prompts: ChosenPrompts) -> tuple[dict[str, Floats], list[str]]:
    """Return the vectors as `read_vectors` does, and the folders of the tasks that read them.

    The tasks are given `most_rows`, the number of nodes and edges that they read at once.
    """
    kept = keep_prompts(phases, prompts)
    done = phases.run("graphs", [Task(read_graphs, {"prompts": kept, "piece": own}) for own in prompts.pieces(_ROWS)])
    folders = [one.folder for one in done]
    return _joined(phases.work, folders, len(prompts)), folders


def predict_in_phases(
    phases: Phases,
    folders: Sequence[str],
    asked: Sequence[Predicted],
    of_prompts: dict[str, npt.NDArray[Any]],
    shuffles: int,
    seed: int,
) -> list[list[dict[str, Any]]]:
    """Return the rows of each value that is predicted from the vectors in `folders`.

    `of_prompts` has the `cluster` and the `fold` of each prompt by rank.
    """
    common: dict[str, Any] = {"vectors": list(folders), "shuffles": shuffles, "seed": seed}
    common |= {name: values.tolist() for name, values in of_prompts.items()}
    tasks = [
        Task(predict_one, {**common, "number": number, "has": one.has.tolist(), "label": one.label_I.tolist()})
        for number, one in enumerate(asked)
    ]
    found = []
    for done in phases.run("predictions", tasks):
        columns = {name: values.tolist() for name, values in load_columns(phases.work / done.folder).items()}
        found.append([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])
    return found


def read_graphs(place: Place, prompts: str, piece: dict[str, Any]) -> None:
    """Write the vectors of some graphs, and their ranks; the folder of the prompts tells graphs apart."""
    found = list(vectors_of_ranges(PromptPiece.open(place.given["store"], piece), place.given["most_rows"]))
    ranks = np.concatenate([rank_I for rank_I, _ in found])
    save_columns(
        place.out, {_RANK: ranks, **{name: np.concatenate([own[name] for _, own in found]) for name in found[0][1]}}
    )


def predict_one(
    place: Place,
    vectors: list[str],
    shuffles: int,
    seed: int,
    cluster: list[int],
    fold: list[int],
    number: int,
    has: list[int],
    label: list[int],
) -> None:
    """Write how well each set of columns predicts labels of the prompts that have a field; `number` tells values apart
    that have the same labels."""
    own = {name: column[has] for name, column in _joined_once(place.work, tuple(vectors), len(fold)).items()}
    cluster_I, fold_I = (np.array(values, dtype=np.int64)[has] for values in (cluster, fold))
    rows = predict_labels(own, np.array(label, dtype=np.float64), cluster_I, fold_I, shuffles, seed)
    save_columns(place.out, {name: _column([row[name] for row in rows]) for name in rows[0]})


def _column(values: list[Any]) -> Any:
    return values if isinstance(values[0], str) else np.array(values)


def _joined(work: Path, folders: Sequence[str], num_prompts: int) -> dict[str, Floats]:
    """Return the vectors of all prompts in the order of ranks."""

    def parts() -> Iterator[tuple[npt.NDArray[np.int32], dict[str, Floats]]]:
        for folder in folders:
            columns = load_columns(work / folder)
            yield columns.pop(_RANK), columns

    return in_order(parts(), num_prompts)


@kept_for_next
def _joined_once(work: Path, folders: tuple[str, ...], num_prompts: int) -> dict[str, Floats]:
    """Return the vectors of all prompts, which are kept for the next task."""
    return _joined(work, folders, num_prompts)
