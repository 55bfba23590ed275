"""open_profile and Profile: how a profile is read. Opening reads its document only.

Axes: P position, X token of any prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import ProfileError
from ..store.format.checksummed_json import MALFORMED
from ..table import Table
from ..text import counted, html_facts, short
from .document import read_document
from .feature_profile import Context, FeatureProfile, Neighbour, WeightedToken
from .layer_rows import LayerRows
from .layout import CONTEXTS, DOCUMENT, FEATURES, PROFILE, PROMPTS, TOKENS, WEIGHTS, WORK, layer_file

T = TypeVar("T")
_OPEN_FILES = 96
_SUMMARY = {
    "layer": np.int16,
    "feature": np.int32,
    "num_active_tokens": np.int64,
    "num_active_prompts": np.int64,
    "min_activation": np.float32,
    "max_activation": np.float32,
    "mean_activation": np.float64,
}


def open_profile(path: str | Path) -> Profile:
    """Return the profile in a folder.

    Raises ProfileError if there is none, if it is not finished, or if it is of a format that this program does not
    know; ConfigError if pyarrow is not installed, once features are read.
    """
    folder = Path(path).expanduser()
    document = read_document(folder)
    if document is None:
        if (folder / WORK).is_dir():
            raise ProfileError(f"{folder} is a profile that is not finished: run the same `profile` command again")
        raise ProfileError(f"there is no profile at {folder}: it has no {DOCUMENT}")
    return Profile(folder, document)


class Profile:
    """What is known of every feature that is active in some texts. Features are read when they are asked for."""

    def __init__(self, folder: Path, document: Mapping[str, Any]) -> None:
        self.path = folder
        self.info = document
        """Where the profile comes from: settings, counts, failures, command, versions; see docs/profiles.md."""
        self._rows = lru_cache(_OPEN_FILES)(self._open)

    def __repr__(self) -> str:
        facts = self._facts()
        return f"<Profile {facts['path']}: {facts['features']}, of {facts['tokens']} in {facts['prompts']}>"

    def _repr_html_(self) -> str:
        """Return a summary for notebooks; all text is escaped."""
        return html_facts("profile of features", self._facts())

    def _facts(self) -> dict[str, str]:
        settings = self.info["settings"]
        named = {
            name: short(str(settings[name]), 200) for name in ("model", "transcoders", "store") if settings.get(name)
        }
        return {
            "path": short(str(self.path), 200),
            "features": counted(len(self), "feature"),
            "layers": counted(len(self.layers), "layer"),
            "tokens": counted(self.info["num_tokens"], "token"),
            "prompts": counted(self.info["num_prompts"], "prompt"),
            **named,
        }

    @property
    def layers(self) -> list[int]:
        """Layers that have active features, ascending."""
        return list(self.info["layers"])

    def __len__(self) -> int:
        """Number of features that are active anywhere."""
        return int(self.info["num_features"])

    def __iter__(self) -> Iterator[FeatureProfile]:
        return self.features()

    def __contains__(self, site: object) -> bool:
        """Whether the feature `(layer, index)` is active anywhere."""
        return isinstance(site, tuple) and len(site) == 2 and self.feature(*site) is not None

    def feature(self, layer: int, index: int) -> FeatureProfile | None:
        """Return the profile of one feature; None if it is active nowhere. Raises ProfileError for damaged files."""
        if layer not in self.layers:
            return None
        found = self._between(layer, index, index)
        return found[0] if found else None

    def features(self, layers: Iterable[int] | None = None) -> Iterator[FeatureProfile]:
        """Yield the profiles of all features, or of those of some layers, in the order of (layer, feature).

        Memory holds those of a few hundred features, the tokens of all prompts (4 bytes each) and their names.
        """
        wanted = None if layers is None else {*layers}
        for layer in self.layers:
            if wanted is None or layer in wanted:
                for first, last in self._rows(layer_file(FEATURES, layer)).ranges():
                    yield from self._between(layer, first, last)

    def decoders(self, layer: int) -> Iterator[tuple[int, tuple[WeightedToken, ...], tuple[WeightedToken, ...]]]:
        """Yield index, promoted and suppressed tokens of every feature of a layer, active or not, in order.

        Yields nothing if the profile has no weights. Raises ProfileError for damaged files.
        """
        name = layer_file(WEIGHTS, layer)
        if name not in self.info["files"]:
            return
        for first, last in self._rows(name).ranges():
            for index, tokens in self._whole(partial(self._weights, layer, first, last)).items():
                yield index, tokens["promoted"], tokens["suppressed"]

    def table(self) -> Table:
        """Return one row per feature: layer, feature, counts, density and activations; `docs/profiles.md` has them.

        Raises ProfileError for damaged files.
        """
        columns: dict[str, list[npt.NDArray[Any]]] = {name: [np.empty(0, kind)] for name, kind in _SUMMARY.items()}
        for layer in self.layers:
            found = self._rows(layer_file(FEATURES, layer)).columns(list(_SUMMARY))
            for name in _SUMMARY:
                columns[name].append(found.column(name).to_numpy())
        joined = {name: np.concatenate(parts) for name, parts in columns.items()}
        num_tokens = self.info["num_tokens"] or float("nan")
        return Table({**joined, "density": joined["num_active_tokens"] / num_tokens})

    def _open(self, name: str, key: str = "feature") -> LayerRows:
        return LayerRows(self.path / name, self.info["files"][name], key)

    def _between(self, layer: int, first: int, last: int) -> list[FeatureProfile]:
        """Return the features of a layer from index `first` to `last`. Raises ProfileError if the files disagree."""
        return self._whole(lambda: list(self._read(layer, first, last)))

    def _whole(self, read: Callable[[], T]) -> T:
        """Return what is read. Raises ProfileError if the files disagree."""
        try:
            return read()
        except (*MALFORMED, IndexError) as error:
            if isinstance(error, ProfileError):
                raise
            raise PROFILE.damaged(self.path, f"{type(error).__name__}: {error}") from error

    def _read(self, layer: int, first: int, last: int) -> Iterator[FeatureProfile]:
        found = self._rows(layer_file(FEATURES, layer)).read(first, last).to_pylist()
        if not found:
            return
        contexts = self._contexts(layer, first, last)
        weights = self._weights(layer, first, last)
        common: dict[str, Any] = {
            "num_tokens": self.info["num_tokens"],
            "num_prompts": self.info["num_prompts"],
            "quantile_shares": tuple(self.info["quantile_shares"]),
        }
        for row in found:
            starts, counts = row.pop("position_starts"), row.pop("position_counts")
            row |= {name: tuple(row[name]) for name in ("quantiles", "histogram", "bin_edges")}
            yield FeatureProfile(
                **row,
                **common,
                contexts=tuple(contexts.get(row["feature"], ())),
                positions=tuple(zip(starts, counts, strict=True)),
                **weights.get(row["feature"], {}),
            )

    def _contexts(self, layer: int, first: int, last: int) -> dict[int, list[Context]]:
        found: dict[int, list[Context]] = {}
        for row in self._rows(layer_file(CONTEXTS, layer)).read(first, last).to_pylist():
            prompt = self._prompts[row["prompt"]]
            start, stop = row["start"], row["stop"]
            activations = [0.0 if prompt.is_complete else float("nan")] * (stop - start)
            for offset, activation in zip(row["offsets"], row["activations"], strict=True):
                activations[offset] = activation
            tokens = tuple(self._names[token] for token in prompt.tokens_P[start:stop].tolist())
            context = Context(row["quantile"], prompt.id, row["position"], start, tokens, tuple(activations))
            found.setdefault(row["feature"], []).append(context)
        return found

    def _weights(self, layer: int, first: int, last: int) -> dict[int, dict[str, Any]]:
        name = layer_file(WEIGHTS, layer)
        if name not in self.info["files"]:
            return {}
        found = {}
        for row in self._rows(name).read(first, last).to_pylist():
            neighbours = zip(row["neighbour_layers"], row["neighbours"], row["cosines"], strict=True)
            found[row["feature"]] = {
                "promoted": tuple(map(self._weighted, row["promoted"], row["promoted_weights"])),
                "suppressed": tuple(map(self._weighted, row["suppressed"], row["suppressed_weights"])),
                "neighbours": tuple(Neighbour(*neighbour) for neighbour in neighbours),
            }
        return found

    def _weighted(self, token_id: int, weight: float) -> WeightedToken:
        return WeightedToken(token_id, self._names[self._row_of_token[token_id]], weight)

    @cached_property
    def _names(self) -> list[str]:
        """Name of each token, by its row in the table of tokens."""
        names: list[str] = self._rows(TOKENS, "row").columns(["name"]).column("name").to_pylist()
        return names

    @cached_property
    def _row_of_token(self) -> dict[int, int]:
        ids = self._rows(TOKENS, "row").columns(["token_id"]).column("token_id").to_pylist()
        return {token_id: row for row, token_id in reversed(list(enumerate(ids)))}

    @cached_property
    def _prompts(self) -> dict[int, _Prompt]:
        table = self._rows(PROMPTS, "number").columns(["number", "prompt", "is_complete", "tokens"]).combine_chunks()
        tokens = table.column("tokens").combine_chunks()
        values_X, indptr = tokens.values.to_numpy(), tokens.offsets.to_numpy()
        rows = zip(*(table.column(name).to_pylist() for name in ("number", "prompt", "is_complete")), strict=True)
        return {
            number: _Prompt(id_, is_complete, values_X[indptr[row] : indptr[row + 1]])
            for row, (number, id_, is_complete) in enumerate(rows)
        }


class _Prompt:
    """Id and tokens of one prompt; each token is a row of the table of tokens."""

    __slots__ = ("id", "is_complete", "tokens_P")

    def __init__(self, id_: str, is_complete: bool, tokens_P: npt.NDArray[np.int32]) -> None:
        self.id, self.is_complete, self.tokens_P = id_, is_complete, tokens_P
