"""Index: one Zarr group that answers what would otherwise need reading every commit and every part.

It is optional: a store works without an index.

Axes: I prompt requested.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import StoreCorrupt
from .arrays import Arrays
from .backend.base import Backend
from .catalogue import Catalogue, CommitInfo
from .checked_objects import CheckedObjects
from .format.checksummed_json import LARGEST, MALFORMED, load_checksummed, objects_of
from .format.index_schema import CATALOGUE, FEATURES, FEATURES_OF_PROMPTS, INDEX_COLUMNS, POSTINGS
from .format.schema import FORMAT_VERSION, Columns
from .format.string_column import StringColumn
from .object_names import COMMIT_NAME, INDEX_NAME, PART_NAME, number_of

FORMAT = "distributed_tracer index"
_POSTINGS_AT_ONCE = 1 << 20


class Index:
    """The index in `index/<number>.json`.

    Raises StoreCorrupt if the document is not valid, and later if an array is not.
    """

    def __init__(self, root: Backend, name: str, document: bytes) -> None:
        self.name = name
        self.number = number_of(name)
        where = f"{root.url}/index/{name}"
        try:
            found = load_checksummed(document)
            if (found["format"], found["format_version"]) != (FORMAT, FORMAT_VERSION):
                raise ValueError(f"format {found['format']!r}, version {found['format_version']!r}")
            self.group, self.created = str(found["group"]), str(found["created"])
            if not PART_NAME.fullmatch(self.group):
                raise ValueError(f"group {self.group!r}")
            expected = objects_of(found)
        except MALFORMED as error:
            raise StoreCorrupt(f"{where} is not an index: {type(error).__name__}: {error}") from error
        self.objects = CheckedObjects(root, f"index/{self.group}", expected, f"index {name} of {root.url}")
        self._arrays = Arrays(self.objects, INDEX_COLUMNS)

    def content_hashes(self) -> Iterator[tuple[str, str]]:
        """Return every prompt's id with its content hash, as `Ledger.content_hashes` does."""
        ids, content_hashes = (self._text(name).decoded() for name in ("prompts/id", "prompts/asked"))
        with self._arrays.decoding("prompts"):
            if len(ids) != len(content_hashes):
                raise ValueError(f"{len(ids)} ids, and {len(content_hashes)} of what they ask")
        return zip(ids, content_hashes, strict=True)

    @cached_property
    def covered(self) -> frozenset[str]:
        """Names of all commits that need not be read because the index has their content."""
        return frozenset(entry[0] for entry in (*self._document["commits"], *self._document["superseded"]))

    @cached_property
    def catalogue(self) -> Catalogue:
        """All prompts of the commits that the index covers."""
        names = [column.name for column in CATALOGUE if column.axis == "prompt" and not column.name.endswith("_size")]
        columns = self._arrays.read_all(names)
        ids, content_hashes = self._text("prompts/id").decoded(), self._text("prompts/asked")
        commits, superseded = (
            tuple(CommitInfo(*entry) for entry in self._document[kind]) for kind in ("commits", "superseded")
        )
        by_prompt = {name.removeprefix("prompts/"): values for name, values in columns.items()}
        runs = tuple(self._document["runs"])
        with self._arrays.decoding("prompts"):
            _check_prompts(by_prompt, ids, len(content_hashes), len(commits), len(runs))
        return Catalogue(commits, superseded, ids, content_hashes, runs, by_prompt)

    @cached_property
    def features(self) -> Columns:
        """Columns of the table of features, sorted by (layer, feature)."""
        found = self._arrays.read_all(column.name for column in FEATURES)
        layouts = self._arrays.layouts
        with self._arrays.decoding("features"):
            for name, rows in (("features/num_nodes", POSTINGS), ("prompts/num_features", FEATURES_OF_PROMPTS)):
                total = int(found[name].sum(dtype=np.int64))
                if wrong := [column.name for column in rows if layouts[column.name].num_rows != total]:
                    raise ValueError(f"{wrong[0]} has {layouts[wrong[0]].num_rows} rows, and {name} add up to {total}")
            if len({len(found[column.name]) for column in FEATURES if column.axis == "feature"}) != 1:
                raise ValueError("columns of different lengths")
            if len(found["prompts/num_features"]) != len(self.catalogue):
                raise ValueError(f"{len(found['prompts/num_features'])} prompts of {len(self.catalogue)}")
        return found

    def check(self) -> None:
        """Decode everything that can be asked of an index. Raises StoreCorrupt if something contradicts the format."""
        features = self._features_of_prompts
        with self._arrays.decoding("prompts/features"):
            if len(features) and int(features.max()) >= len(self.features["features/layer"]):
                raise ValueError(f"feature {features.max()} of {len(self.features['features/layer'])}")
        num_rows = self._arrays.layouts[POSTINGS[0].name].num_rows
        for first in range(0, num_rows, _POSTINGS_AT_ONCE):
            self._postings(slice(first, min(num_rows, first + _POSTINGS_AT_ONCE)))

    def feature_number(self, layer: int, feature: int) -> int | None:
        """Return the row of a feature in the table of features; None if the feature is not a node of any graph."""
        layers, features = self.features["features/layer"], self.features["features/feature"]
        first, end = np.searchsorted(layers, [layer, layer + 1]).tolist()
        number = first + int(np.searchsorted(features[first:end], feature))
        return number if number < end and features[number] == feature else None

    def postings(self, layer: int, feature: int) -> Columns:
        """Return every node that is this feature, sorted by prompt, then by position.

        Columns: number of the prompt, number of the node in its graph, position, activation, influence.
        """
        number, start = self.feature_number(layer, feature), self._posting_starts
        rows = slice(0, 0) if number is None else slice(int(start[number]), int(start[number + 1]))
        return self._postings(rows)

    def _postings(self, rows: slice) -> Columns:
        found = self._arrays.read({column.name: rows for column in POSTINGS})
        prompts = found["postings/prompt"]
        with self._arrays.decoding("postings/prompt"):
            if len(prompts) and int(prompts.max()) >= len(self.catalogue):
                raise ValueError(f"prompt {prompts.max()} of {len(self.catalogue)}")
        return {name.removeprefix("postings/"): values for name, values in found.items()}

    def features_of(self, prompt_I: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Return the numbers of the features that occur in these prompts, once for each prompt that has the feature."""
        start, all_features = self._feature_starts, self._features_of_prompts
        sizes = start[prompt_I + 1] - start[prompt_I]
        place = np.arange(sizes.sum()) + np.repeat(start[prompt_I] - (np.cumsum(sizes) - sizes), sizes)
        found: npt.NDArray[np.int32] = all_features[place]
        return found

    @cached_property
    def _features_of_prompts(self) -> npt.NDArray[np.int32]:
        name = FEATURES_OF_PROMPTS[0].name
        return self._arrays.read_all([name])[name]

    @cached_property
    def _feature_starts(self) -> npt.NDArray[np.int64]:
        return _starts(self.features["prompts/num_features"])

    @cached_property
    def _posting_starts(self) -> npt.NDArray[np.int64]:
        return _starts(self.features["features/num_nodes"])

    @cached_property
    def _texts(self) -> Columns:
        names = [c.name for c in CATALOGUE if c.dtype == "u1" or c.name.endswith("_size")]
        return self._arrays.read_all(names)

    def _text(self, name: str) -> StringColumn:
        with self._arrays.decoding(name):
            texts = StringColumn(self._texts[name].tobytes(), self._texts[f"{name}_size"])
            texts.check()
        return texts

    @cached_property
    def _document(self) -> dict[str, Any]:
        with self._arrays.decoding("commits/document"):
            document = json.loads(self._texts["commits/document"].tobytes())
            for entry in (*document["commits"], *document["superseded"]):
                _check_commit(*entry)
            if not all(type(run) is str for run in document["runs"]):
                raise ValueError("a run that is no text")
            return dict(document)


def _check_commit(name: object, num_bytes: object, num_objects: object, created: object, run: object) -> None:
    """Raise ValueError for an entry with unexpected values: its name becomes a path, its numbers are used in sums."""
    if not (type(name) is str and COMMIT_NAME.fullmatch(name) and type(created) is str and type(run) is str):
        raise ValueError(f"commit {name!r}, made {created!r} by {run!r}")
    if not all(type(count) is int and 0 <= count < LARGEST for count in (num_bytes, num_objects)):
        raise ValueError(f"commit {name} of {num_bytes!r} bytes in {num_objects!r} objects")


def _check_prompts(columns: Columns, ids: list[str], num_hashes: int, num_commits: int, num_runs: int) -> None:
    """Raise ValueError if the columns contradict each other, or refer to commits or runs that do not exist."""
    if {num_hashes, *(len(values) for values in columns.values())} != {len(ids)}:
        raise ValueError("columns of different lengths")
    if len(set(ids)) != len(ids):
        raise ValueError("an id twice")
    for name, end in (("commit", num_commits), ("run", num_runs)):
        if len(ids) and int(columns[name].max()) >= end:
            raise ValueError(f"{name} {columns[name].max()} of {end}")
    if (np.diff(columns["commit"]) < 0).any():
        raise ValueError("commits are not in order")


def newest_index(root: Backend) -> Index | None:
    """Return the index with the highest number, which is the one that counts; None if there is no index."""
    names = index_names(root)
    return read_index(root, names[-1]) if names else None


def read_index(root: Backend, name: str) -> Index:
    """Return the index in `index/<name>`. Raises StoreCorrupt, also if the index no longer exists."""
    document = root.read(f"index/{name}")
    if document is None:
        raise StoreCorrupt(f"{root.url}/index/{name} is listed but cannot be read")
    return Index(root, name, document)


def index_names(root: Backend) -> list[str]:
    """Return the file names of all indexes, in the order of their numbers."""
    return [name for name in root.list_dir("index") if INDEX_NAME.fullmatch(name)]


def _starts(sizes: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
