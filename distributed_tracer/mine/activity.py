"""Activity: where each feature is active in the chosen prompts, layer by layer, on disk.

A site is a token position of a prompt. Sites are numbered by the ids of the prompts, then by position, so that nothing
depends on the order of the parts of a store. Only sites at which some feature of some layer is active count: at the
zeroed positions (BOS, the head of a chat template) there are no features.

Axes: A active feature, I site, F feature that is active somewhere, L layer, P position.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, StoreCorrupt
from ..text import counted
from .prompts import ChosenPrompts
from .task_arrays import load_arrays, save_arrays

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
RECORD = np.dtype([("site", "<i8"), ("feature", "<i4"), ("activation", "<f4")])
ACTIVE_BYTES = RECORD.itemsize
"""Bytes that an active feature takes in the files."""
_BYTES_OF_ROW = 5 * RECORD.itemsize
"""Bytes that an active feature takes in memory while its layer is used."""
_LAYERS_HELD = 2


@dataclass(frozen=True, eq=False)
class LayerActivity:
    """The active features of one layer, sorted by feature, then by site."""

    feature_F: Ints
    """Index of each feature that is active somewhere, ascending."""
    start_F1: Ints
    """First row of each feature, followed by the number of rows."""
    site_A: Ints
    activation_A: Floats

    @cached_property
    def num_sites_F(self) -> Ints:
        """Number of sites at which each feature is active."""
        return np.diff(self.start_F1)

    @cached_property
    def column_A(self) -> Ints:
        """Place of the feature of each row in `feature_F`."""
        return np.repeat(np.arange(len(self.feature_F)), self.num_sites_F)

    @cached_property
    def mean_size_F(self) -> Floats:
        """Mean |activation| of each feature where it is active."""
        return np.bincount(self.column_A, np.abs(self.activation_A), len(self.feature_F)) / self.num_sites_F

    @cached_property
    def sum_F(self) -> Floats:
        """Sum of the activations of each feature."""
        sums: Floats = np.bincount(self.column_A, self.activation_A, len(self.feature_F)).astype(np.float64)
        return sums

    def rows(self, column: int) -> slice:
        """Return the rows of one feature."""
        return slice(int(self.start_F1[column]), int(self.start_F1[column + 1]))


class Activity:
    """Active features and norm scales of the chosen prompts, in files of a folder."""

    def __init__(self, prompts: ChosenPrompts, folder: Path) -> None:
        """Use the files that `write` has written into the folder for these prompts."""
        self.prompts, self._folder = prompts, folder
        arrays = load_arrays(folder, is_mapped=True)
        self.num_positions: Ints = np.array(arrays["num_positions"])
        self.first_site = np.cumsum(self.num_positions) - self.num_positions
        """First site of each prompt, by rank."""
        self._num_rows_L: Ints = np.array(arrays["num_rows"])
        self.num_layers = len(self._num_rows_L)
        self.is_live_I: npt.NDArray[np.bool_] = np.array(arrays["is_live"])
        """Whether any feature is active at each site."""
        self.scales: npt.NDArray[np.float32] = arrays["scales"]
        """The scales `read` and `write` of each site and layer; NaN where they are not known."""
        self._held: dict[int, LayerActivity] = {}

    @classmethod
    def write(cls, prompts: ChosenPrompts, folder: Path, num_layers: int, memory_gb: float) -> None:
        """Read the store once, and write the files into an empty folder.

        Raises ConfigError for prompts without active features, and if the active features of two layers do not fit into
        the memory.
        """
        sizes = np.array([prompts.store.entry(prompt_id).num_tokens for prompt_id in prompts.ids], dtype=np.int64)
        found = _Records(prompts, folder, num_layers, sizes)
        check_layers(found.num_rows_L, memory_gb)
        for layer in range(num_layers):
            found.sort(layer)
        save_arrays(folder, {"num_positions": sizes, "num_rows": found.num_rows_L, "is_live": found.is_live_I})

    def check_memory(self, memory_gb: float) -> None:
        """Raise ConfigError if the active features of two layers do not fit into the memory."""
        check_layers(self._num_rows_L, memory_gb)

    @property
    def num_sites(self) -> int:
        """Number of sites at which any feature is active."""
        return int(np.count_nonzero(self.is_live_I))

    @property
    def num_rows(self) -> int:
        """Number of active features, over all sites and layers."""
        return int(self._num_rows_L.sum())

    @cached_property
    def num_without_scales(self) -> int:
        """Number of prompts whose norm scales are not known."""
        return int(np.count_nonzero(np.isnan(self.scales[self.first_site, 0, 0]))) if len(self.first_site) else 0

    @cached_property
    def cluster_of_rank(self) -> Ints:
        """Number of the cluster of each prompt. A prompt without a cluster is a cluster of its own."""
        clusters = self.prompts.clusters
        if clusters is None:
            return np.arange(len(self.prompts))
        found = clusters.astype(np.int64)
        alone = np.flatnonzero(found < 0)
        found[alone] = int(found.max(initial=-1)) + 1 + np.arange(len(alone))
        return found

    @cached_property
    def num_clusters(self) -> int:
        """Number of clusters, those of prompts without a cluster included."""
        return int(self.cluster_of_rank.max(initial=-1)) + 1

    @cached_property
    def rank_I(self) -> npt.NDArray[np.int32]:
        """Rank of the prompt of each site."""
        return np.repeat(np.arange(len(self.num_positions), dtype=np.int32), self.num_positions)

    @cached_property
    def cluster_I(self) -> Ints:
        """Cluster of each site."""
        return self.cluster_of_rank[self.rank_I]

    @cached_property
    def cell_I(self) -> Ints:
        """Number of the pair of cluster and position that each site has: prompts of a template share it."""
        position_I = np.arange(len(self.rank_I)) - self.first_site[self.rank_I]
        return self.cluster_I * int(self.num_positions.max(initial=1)) + position_I

    def num_sites_of(self, layer: int) -> Ints:
        """Return the number of sites at which each feature of a layer is active, without loading the layer."""
        starts: Ints = load_arrays(layer_folder(self._folder, layer), is_mapped=True)["start"]
        return np.diff(starts)

    def layer(self, layer: int) -> LayerActivity:
        """Return the active features of a layer; those of the last two that were asked for are held."""
        found = self._held.pop(layer, None) or self._load(layer)
        while len(self._held) >= _LAYERS_HELD:
            del self._held[next(iter(self._held))]
        self._held[layer] = found
        return found

    def _load(self, layer: int) -> LayerActivity:
        arrays = load_arrays(layer_folder(self._folder, layer))
        return LayerActivity(*(arrays[name] for name in _OF_LAYER))


_OF_LAYER = ("feature", "start", "site", "activation")


def layer_folder(folder: Path, layer: int) -> Path:
    """Return the folder of the arrays of one layer."""
    return folder / f"layer_{layer}"


def check_layers(num_rows_L: Ints, memory_gb: float) -> None:
    """Raise ConfigError if two layers with these numbers of active features do not fit into the memory."""
    most = int(np.sort(num_rows_L)[-_LAYERS_HELD:].sum())
    if most * _BYTES_OF_ROW > memory_gb * 1e9:
        raise ConfigError(
            f"two layers have {counted(most, 'active feature')}, which need --memory-gb "
            f"{most * _BYTES_OF_ROW / 1e9:.2g}, not {memory_gb}; or choose fewer prompts with --where"
        )


class _Records:
    """Records of all active features in a file for each layer, while they are read and sorted."""

    def __init__(self, prompts: ChosenPrompts, folder: Path, num_layers: int, sizes: Ints) -> None:
        self._prompts, self._num_layers, self._folder = prompts, num_layers, folder
        self._first_site = np.cumsum(sizes) - sizes
        self.num_rows_L = np.zeros(num_layers, dtype=np.int64)
        self.is_live_I = np.zeros(int(sizes.sum()), dtype=bool)
        shape = (len(self.is_live_I), 2, num_layers)
        self._scales = np.lib.format.open_memmap(folder / "scales.npy", "w+", np.dtype("<f4"), shape)
        with (folder / "scales.npy").open("r+b") as file:  # a full disk is an error here, and would be a signal later
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        self._read()
        self._scales.flush()

    def _read(self) -> None:
        with ExitStack() as stack:
            files = [stack.enter_context(self._path(layer).open("wb")) for layer in range(self._num_layers)]
            for part_range, rank in self._prompts.ranges("num_active", "num_tokens", rows=1 << 20):
                where, part = part_range.part.objects.where, part_range.part
                first = self._first_site[rank]
                num_active = part_range.sizes("num_active")
                if num_active.any() and not part.keeps_active:
                    raise ConfigError(
                        f"{self._prompts.store.url} has prompts without their active features (--no-store-active), "
                        f"such as {part_range.entries[0].id!r}: where features are active together is not known. Trace "
                        "these prompts into a store that keeps them, or leave them out with --where"
                    )
                num_tokens = part_range.sizes("num_tokens")
                first_row = np.cumsum(num_tokens) - num_tokens
                site_I = np.repeat(first - first_row, num_tokens) + np.arange(int(num_tokens.sum()))
                scales = part_range.scales
                self._scales[site_I] = np.nan
                if scales is not None and scales.read_PL.shape[1] < self._num_layers:
                    raise StoreCorrupt(
                        f"{where}: norm scales of {scales.read_PL.shape[1]} layers, not {self._num_layers}"
                    )
                if scales is not None:
                    self._scales[site_I, 0] = scales.read_PL[:, : self._num_layers]
                    self._scales[site_I, 1] = scales.write_PL[:, : self._num_layers]
                if not num_active.any():
                    continue
                rows = part_range.rows("num_active")
                names = ("layer", "position", "feature", "activation")
                read = part.read({f"active/{name}": rows for name in names})
                layer_A, position_A, feature_A, activation_A = (read[f"active/{name}"] for name in names)
                prompt_A = part_range.prompt_of_rows("num_active")
                if len(layer_A) and not (
                    0 <= layer_A.min() <= layer_A.max() < self._num_layers
                    and position_A.min() >= 0
                    and (position_A < num_tokens[prompt_A]).all()
                ):
                    raise StoreCorrupt(f"{where}: features are active in layers or at positions that are not there")
                records = np.empty(len(layer_A), dtype=RECORD)
                records["site"] = first[prompt_A] + position_A
                records["feature"], records["activation"] = feature_A, activation_A
                self.is_live_I[records["site"]] = True
                for layer, file in enumerate(files):
                    own = records[layer_A == layer]
                    self.num_rows_L[layer] += len(own)
                    file.write(own.tobytes())

    def sort(self, layer: int) -> None:
        """Write the arrays of a layer, sorted by feature, then by site, in place of its records."""
        records = np.fromfile(self._path(layer), dtype=RECORD)
        if not np.isfinite(records["activation"]).all():
            raise StoreCorrupt(f"{self._prompts.store.url}: activations of layer {layer} are not finite")
        records = records[np.lexsort((records["site"], records["feature"]))]
        feature_F, start_F = np.unique(records["feature"], return_index=True)
        start_F1 = np.append(start_F, len(records)).astype(np.int64)
        activation_A = records["activation"].astype(np.float64)
        arrays = (feature_F.astype(np.int64), start_F1, records["site"].copy(), activation_A)
        self._path(layer).unlink()
        save_arrays(layer_folder(self._folder, layer), dict(zip(_OF_LAYER, arrays, strict=True)))

    def _path(self, layer: int) -> Path:
        return self._folder / f"active_{layer}"
