"""Index: what would otherwise be read from every commit and every part, in one Zarr group. A store does without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import StoreCorrupt
from .arrays import Arrays
from .catalogue import Catalogue, CommitEntry
from .index_schema import CATALOGUE, FEATURES, FEATURES_OF_PROMPTS, INDEX_COLUMNS, POSTINGS
from .objects import Objects
from .places.root import Root
from .schema import FORMAT_VERSION, INDEX_NAME, PART_NAME, Columns
from .sealed import REFUSALS, objects_of, unsealed
from .texts import Texts

FORMAT = "distributed_tracer index"


class Index:
    """The index in `index/<number>.json`. Raises StoreCorrupt, also later, wherever it is not what was written."""

    def __init__(self, root: Root, name: str, document: bytes) -> None:
        self.name = name
        self.number = int(name[:10])
        where = f"{root.url}/index/{name}"
        try:
            found = unsealed(document)
            if (found["format"], found["format_version"]) != (FORMAT, FORMAT_VERSION):
                raise ValueError(f"format {found['format']!r}, version {found['format_version']!r}")
            self.group, self.created = str(found["group"]), str(found["created"])
            if not PART_NAME.fullmatch(self.group):
                raise ValueError(f"group {self.group!r}")
            noted = objects_of(found)
        except REFUSALS as error:
            raise StoreCorrupt(f"{where} is not an index: {type(error).__name__}: {error}") from error
        self.objects = Objects(root, f"index/{self.group}", noted, f"index {name} of {root.url}")
        self._arrays = Arrays(self.objects, INDEX_COLUMNS)

    def asked(self) -> Iterator[tuple[str, str]]:
        """Every prompt, with what it asked for, as `Ledger.asked` says it."""
        return zip(self._text("prompts/id").decoded(), self._text("prompts/asked").decoded(), strict=True)

    @cached_property
    def covered(self) -> frozenset[str]:
        """Names of all commits that need not be read any more."""
        return frozenset(entry[0] for entry in (*self._document["commits"], *self._document["superseded"]))

    @cached_property
    def catalogue(self) -> Catalogue:
        """All prompts of the commits that it covers."""
        names = [column.name for column in CATALOGUE if column.axis == "prompt" and not column.name.endswith("_size")]
        columns = self._arrays.read_all(names)
        ids, asked = self._text("prompts/id").decoded(), self._text("prompts/asked")
        commits, superseded = (
            tuple(CommitEntry(*entry) for entry in self._document[kind]) for kind in ("commits", "superseded")
        )
        by_prompt = {name.removeprefix("prompts/"): values for name, values in columns.items()}
        return Catalogue(commits, superseded, ids, asked, tuple(self._document["runs"]), by_prompt)

    @cached_property
    def features(self) -> Columns:
        """Columns of the table of features, sorted by (layer, feature)."""
        return self._arrays.read_all(column.name for column in FEATURES)

    def feature_number(self, layer: int, feature: int) -> int | None:
        """A feature's row in that table; None if no graph has it as a node."""
        layers, features = self.features["features/layer"], self.features["features/feature"]
        first, end = np.searchsorted(layers, [layer, layer + 1]).tolist()
        number = first + int(np.searchsorted(features[first:end], feature))
        return number if number < end and features[number] == feature else None

    def postings(self, layer: int, feature: int) -> Columns:
        """Every node that is this feature, by prompt, then position: prompt's number, node's number, ..."""
        number, start = self.feature_number(layer, feature), self._posting_starts
        rows = slice(0, 0) if number is None else slice(int(start[number]), int(start[number + 1]))
        found = self._arrays.read({column.name: rows for column in POSTINGS})
        return {name.removeprefix("postings/"): values for name, values in found.items()}

    def features_of(self, prompt_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Numbers of features, once for each of these prompts that has them."""
        start, all_features = self._feature_starts, self._features_of_prompts
        sizes = start[prompt_N + 1] - start[prompt_N]
        place = np.arange(sizes.sum()) + np.repeat(start[prompt_N] - (np.cumsum(sizes) - sizes), sizes)
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

    def _text(self, name: str) -> Texts:
        return Texts(self._texts[name].tobytes(), self._texts[f"{name}_size"])

    @cached_property
    def _document(self) -> dict[str, Any]:
        try:
            document = json.loads(self._texts["commits/document"].tobytes())
            for kind in ("commits", "superseded"):
                if any(len(entry) != 5 for entry in document[kind]):
                    raise ValueError(f"{kind} are not of five columns")
            return dict(document)
        except (ValueError, KeyError, TypeError) as error:
            raise self._arrays.undecodable(error) from error


def newest_index(root: Root) -> Index | None:
    """The one that counts, if there is any."""
    names = index_names(root)
    return read_index(root, names[-1]) if names else None


def read_index(root: Root, name: str) -> Index:
    """The index in `index/<name>`. Raises StoreCorrupt, also if it is gone."""
    document = root.read(f"index/{name}")
    if document is None:
        raise StoreCorrupt(f"{root.url}/index/{name} is listed but cannot be read")
    return Index(root, name, document)


def index_names(root: Root) -> list[str]:
    """File names of all indexes, in their order."""
    return [name for name in root.names("index") if INDEX_NAME.fullmatch(name)]


def _starts(sizes: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
