"""Builds an index: reads each part's node table once and sorts all nodes by feature in memory (about 60 bytes each).

Axes: N node (of a part), X node that is a feature (of any part), Y first of those in each pair of
prompt and feature, F feature (each once).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import astuple
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from ..errors import StoreError
from ..graph.nodes import NodeKind
from .backend.base import Backend
from .catalogue import Catalogue, CommitInfo
from .commits import commit
from .format.checksummed_json import dump_checksummed
from .format.index_schema import INDEX_COLUMNS
from .format.schema import FORMAT_VERSION, Columns
from .format.string_column import StringColumn
from .format.zarr_encode import encode_group
from .index import FORMAT
from .object_names import index_name
from .part import Part
from .read.part_range import PartRange

_FEATURE_BITS = 32


def write_index(root: Backend, number: int, catalogue: Catalogue, parts: Sequence[Part]) -> None:
    """Write index `number` with the content of the catalogue; `parts` are the parts of its commits, in order.

    Raises StoreError if another process has created that index meanwhile; the objects written here are then unused.
    """
    columns = _catalogue(catalogue) | _features(catalogue, parts)
    objects = encode_group("index", [(column, columns[column.name].astype(column.dtype)) for column in INDEX_COLUMNS])
    group, key = uuid.uuid4().hex, f"index/{index_name(number)}"
    root.put_many({f"index/{group}/{name}": data for name, data in objects.items()})
    expected = {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in objects.items()}
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "group": group,
        "objects": expected,
    }
    data = dump_checksummed(document)
    if commit(root, key, data, f"index/{group}", expected) != data:
        raise StoreError(f"{root.url}/{key} was made by somebody else meanwhile; what is there is whole: run it again")


def _catalogue(catalogue: Catalogue) -> Columns:
    document = {
        "commits": [_entry(entry) for entry in catalogue.commits],
        "superseded": [_entry(entry) for entry in catalogue.superseded],
        "runs": catalogue.runs,
    }
    given = {f"prompts/{name}": values for name, values in catalogue.columns.items()}
    return {
        "commits/document": _bytes(json.dumps(document, separators=(",", ":")).encode()),
        **_texts("prompts/id", catalogue.ids),
        **_texts("prompts/asked", catalogue.content_hashes),
        **given,
    }


def _features(catalogue: Catalogue, parts: Sequence[Part]) -> Columns:
    """Return the columns of three tables: features, their nodes sorted by feature, and the features of each prompt."""
    found = [_feature_nodes(catalogue, commit, part) for commit, part in enumerate(parts)]
    names = ("prompt", "site", "node", "position", "activation", "influence")
    prompt_X, site_X, node_X, position_X, activation_X, influence_X = (
        np.concatenate([np.zeros(0, _DTYPES[name]), *(of_part[name] for of_part in found)]) for name in names
    )
    site_F, feature_X = np.unique(site_X, return_inverse=True)
    order = np.argsort(feature_X, kind="stable")  # nodes are ordered by prompt, then by (layer, position, feature)
    is_first_X = np.diff(feature_X[order] * len(catalogue) + prompt_X[order], prepend=-1) != 0
    first_Y = order[is_first_X]  # one node for each prompt that has a feature
    by_prompt_Y = first_Y[np.argsort(prompt_X[first_Y], kind="stable")]
    sums = (np.bincount(feature_X, weights=values, minlength=len(site_F)) for values in (influence_X, activation_X))
    return {
        "prompts/num_features": np.bincount(prompt_X[first_Y], minlength=len(catalogue)),
        "features/layer": site_F >> _FEATURE_BITS,
        "features/feature": site_F & (1 << _FEATURE_BITS) - 1,
        "features/num_nodes": np.bincount(feature_X, minlength=len(site_F)),
        "features/num_prompts": np.bincount(feature_X[first_Y], minlength=len(site_F)),
        **dict(zip(("features/influence", "features/activation"), sums, strict=True)),
        "postings/prompt": prompt_X[order],
        "postings/node": node_X[order],
        "postings/position": position_X[order],
        "postings/activation": activation_X[order],
        "postings/influence": influence_X[order],
        "prompts/features": feature_X[by_prompt_Y],
    }


_DTYPES = {"prompt": "i4", "site": "i8", "node": "i4", "position": "i4", "activation": "f4", "influence": "f4"}


def _feature_nodes(catalogue: Catalogue, commit: int, part: Part) -> Columns:
    """Return columns of all nodes of a part's prompts that are features."""
    numbers, rows = catalogue.numbers(commit), catalogue.rows(commit)
    if not rows:
        return {name: np.zeros(0, dtype) for name, dtype in _DTYPES.items()}
    read = PartRange(part, rows)
    names = ["kind", "layer", "feature", "position", "activation", "influence"]
    columns = part.nodes(names, read.rows("num_nodes"))
    is_feature_N = columns["kind"] == NodeKind.FEATURE
    site_N = (columns["layer"].astype(np.int64) << _FEATURE_BITS) + columns["feature"]
    values = {"prompt": numbers.start + read.prompt_N, "site": site_N, "node": read.node_N, **columns}
    return {name: values[name][is_feature_N].astype(dtype) for name, dtype in _DTYPES.items()}


def _entry(entry: CommitInfo) -> list[object]:
    return list(astuple(entry))


def _texts(name: str, texts: Sequence[str]) -> Columns:
    return dict(zip((name, f"{name}_size"), StringColumn.of(texts).columns, strict=True))


def _bytes(data: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(data, dtype=np.uint8)
