"""HostRows: decoder rows that the host gathers, from main memory or from files, and a GPU receives.

The host neither waits for the GPU before it gathers the next rows, nor runs ahead of it by more than a few buffers.

Axes: F feature, D model width, L layer, Z slot.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..transcoder.base import Transcoders
from .column_layout import ColumnLayout

_BUFFER_BYTES, _BUFFERS = 2**23, 4
"""Size and number of the pinned buffers. Rows that were just gathered are still in the processor's cache when they are
copied to a buffer of this size, and the GPU copies from one buffer while the host fills the next ones."""


class HostRows:
    """The decoder rows of one prompt's features.

    Each row is gathered and copied once for every layer that it writes to, however many positions its feature is
    active at.
    """

    def __init__(self, transcoders: Transcoders, columns: ColumnLayout, feature_Z: Tensor) -> None:
        """Read which features the prompt has, which waits for the GPU. `feature_Z` is the feature of each slot."""
        self._transcoders, self._device = transcoders, feature_Z.device
        on_host_Z = feature_Z.to(transcoders.decoder_device)
        self._features_L: list[Tensor] = []
        """The features of each layer, each once."""
        places = []
        for of in columns.layers[:-1]:
            features_F, place_Z = on_host_Z[of.slots].unique(return_inverse=True)  # type: ignore[no-untyped-call]  # torch's gap
            self._features_L.append(features_F)
            places.append(place_Z)
        self._place_Z = torch.cat(places).pin_memory().to(self._device, non_blocking=True)
        self._buffers = _PinnedBuffers(self._device)

    def rows(self, source: int, slots: slice, layer: int) -> Tensor:
        """Return the decoder vectors [Z, D] from `source` to `layer` of the features in the slots of `source`, on the
        GPU."""
        features_F, width = self._features_L[source], self._transcoders.shape.d_model
        rows_FD = torch.empty((len(features_F), width), dtype=self._transcoders.dtype, device=self._device)
        num_rows = max(1, _BUFFER_BYTES // (width * rows_FD.itemsize))
        for first in range(0, len(features_F), num_rows):
            some = slice(first, first + num_rows)
            self._buffers.copy(self._transcoders.decoder_rows(source, features_F[some], layer), rows_FD[some])
        return rows_FD.index_select(0, self._place_Z[slots])


class _PinnedBuffers:
    """Pinned buffers, used in turn, through which tensors are copied from the host to a GPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._buffers: list[Tensor] = []
        self._copied: list[torch.cuda.Event] = []
        self._next = 0

    def copy(self, source: Tensor, target: Tensor) -> None:
        """Copy a tensor to the GPU without waiting for work that the GPU has still to do.

        The host waits only if the GPU has not copied yet what the next buffer holds, from `_BUFFERS` copies ago.
        """
        if len(self._buffers) < _BUFFERS:
            self._buffers.append(torch.empty(max(_BUFFER_BYTES, source.nbytes), dtype=torch.uint8, pin_memory=True))
            self._copied.append(torch.cuda.Event())  # type: ignore[no-untyped-call]  # untyped in torch
        buffer, copied = self._buffers[self._next], self._copied[self._next]
        if not copied.query():  # type: ignore[no-untyped-call]  # untyped in torch
            copied.synchronize()
        staged = buffer[: source.nbytes].view(source.dtype).view(source.shape)
        staged.copy_(source)
        target.copy_(staged, non_blocking=True)
        copied.record(torch.cuda.current_stream(self._device))
        self._next = (self._next + 1) % _BUFFERS
