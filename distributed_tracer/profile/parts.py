"""Parts: states of some of the texts as files in the folder of work, until a profile is finished.

A part is one uncompressed `.npz` file. A worker writes it to `work/written`, and it counts once it is moved to
`work/parts`: a worker that dies between the two loses its part, so that no text counts twice.

Axes: F feature, X key.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ProfileError
from ..table_folder import new_file, sync
from . import candidates
from .candidates import Candidates
from .counts import Counts
from .layer_state import COLUMNS, LayerState
from .layout import WORK
from .ragged import Ragged

_WRITTEN, _PARTS = f"{WORK}/written", f"{WORK}/parts"


def write_part(folder: Path, name: str, states: Sequence[LayerState], units: Sequence[str], num_tokens: int) -> None:
    """Write a part that does not count yet. `units` are the ids of the units that it is the result of."""
    about = json.dumps({"units": list(units), "num_tokens": num_tokens}).encode()
    arrays: dict[str, Any] = {"about": np.frombuffer(about, dtype=np.uint8)}
    for layer, state in enumerate(states):
        if len(state):
            arrays |= {f"{layer}/{name}": array for name, array in _arrays(state).items()}
    with new_file(folder / _WRITTEN / f"{name}.npz") as path, path.open("wb") as file:
        np.savez(file, **arrays)


def commit_part(folder: Path, name: str) -> None:
    """Let a written part count. Raises FileNotFoundError if it is not there."""
    (folder / _PARTS).mkdir(exist_ok=True)
    os.rename(folder / _WRITTEN / f"{name}.npz", folder / _PARTS / f"{name}.npz")
    sync(folder / _PARTS)


def remove_written(folder: Path) -> None:
    """Remove parts that never counted, which killed runs have left."""
    for path in (folder / _WRITTEN).glob("*"):
        path.unlink(missing_ok=True)


def remove_parts(folder: Path) -> None:
    """Remove all parts, so that work begins anew."""
    for path in (folder / _PARTS).glob("*"):
        path.unlink(missing_ok=True)


def open_parts(folder: Path) -> list[Part]:
    """Return all parts that count, by name. Raises ProfileError for a damaged one."""
    return [Part(path) for path in sorted((folder / _PARTS).glob("*.npz"))]


class Part:
    """A part that counts; its arrays are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                about = json.loads(arrays["about"].tobytes())
            self.units: tuple[str, ...] = tuple(about["units"])
            self.num_tokens = int(about["num_tokens"])
            with zipfile.ZipFile(path) as archive:
                self._sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise _damaged(path, error) from error

    def num_bytes(self, layer: int) -> int:
        """Bytes of one layer's state."""
        return sum(size for name, size in self._sizes.items() if name.startswith(f"{layer}/"))

    def last_feature(self, layer: int) -> int:
        """Return the largest number of an active feature of a layer; -1 if there is none."""
        if not self.num_bytes(layer):
            return -1
        return int(self._read(layer, COLUMNS[:1])["feature_F"][-1])

    def state(self, layer: int) -> LayerState | None:
        """Return the state of one layer; None if none of its features is active. Raises ProfileError if damaged."""
        if not self.num_bytes(layer):
            return None
        found = self._read(layer, _NAMES)
        return LayerState(
            **{name: found[name] for name in COLUMNS},
            bins=Counts(found["bin_key"], found["bin_count"]),
            positions=Counts(found["position_key"], found["position_count"]),
            candidates=Candidates(
                **{name: found[name] for name in candidates.COLUMNS},
                span=Ragged(found["span"], found["span_indptr"]),
            ),
        )

    def _read(self, layer: int, names: Iterable[str]) -> dict[str, Any]:
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[f"{layer}/{name}"] for name in names}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise _damaged(self.path, error) from error


def _damaged(path: Path, error: Exception) -> ProfileError:
    return ProfileError(f"{path} is damaged: {error}; remove it, and the same command examines its texts again")


def _arrays(state: LayerState) -> dict[str, Any]:
    chosen = state.candidates
    return {
        **{name: getattr(state, name) for name in COLUMNS},
        "bin_key": state.bins.key_X,
        "bin_count": state.bins.count_X,
        "position_key": state.positions.key_X,
        "position_count": state.positions.count_X,
        **{name: getattr(chosen, name) for name in candidates.COLUMNS},
        "span": chosen.span.values_X,
        "span_indptr": chosen.span.indptr,
    }


_COUNTS = ("bin_key", "bin_count", "position_key", "position_count")
_NAMES = (*COLUMNS, *_COUNTS, *candidates.COLUMNS, "span", "span_indptr")


def done_units(parts: Iterable[Part]) -> set[str]:
    """Return the ids of the units that are done. Raises ProfileError if one is in two parts."""
    done: set[str] = set()
    for part in parts:
        if twice := done.intersection(part.units):
            raise ProfileError(f"{part.path} has {min(twice)!r}, and so has another part: remove one of the two")
        done.update(part.units)
    return done
