"""SourceVectors: what features, errors and constants add to the residual stream, in the order of their slots.

Axes: A active feature, P position, D model width, L layer (written to), Z slot.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from ..model.forward_cache import ForwardCache
from ..model.frozen import constant_to_residual, site_to_residual
from ..model.model import Model
from ..shapes import TranscoderShape
from ..threads import multiply
from ..transcoder.base import Transcoders
from .column_layout import ColumnLayout
from .host_rows import HostRows


def vector_bytes(columns: ColumnLayout, shape: TranscoderShape, dtype: torch.dtype) -> int:
    """Return the number of bytes that all source vectors take: one vector for each slot and each layer it writes to."""
    vectors = sum(of.num_slots * len(shape.writes_to(layer)) for layer, of in enumerate(columns.layers[:-1]))
    return (vectors + columns.layers[-1].num_slots) * shape.d_model * dtype.itemsize


class SourceVectors:
    """The source vectors of one prompt, layer by layer.

    They are kept in memory, or are computed from the decoders again each time they are requested.
    """

    def __init__(
        self,
        model: Model,
        cache: ForwardCache,
        transcoders: Transcoders,
        columns: ColumnLayout,
        feature_A: Tensor,
        activation_A: Tensor,
        zeroed: int,
        dtype: torch.dtype,
        keep: bool = True,
    ) -> None:
        """Compute the errors, and keep the source vectors if `keep` is true.

        With `keep=False` only one layer's vectors are in memory at a time: a cross-layer transcoder (CLT) has as many
        as features times layers written to.
        """
        self.model, self.cache, self.transcoders, self.columns, self.dtype = model, cache, transcoders, columns, dtype
        self._feature_Z = feature_A.new_zeros(columns.num_slots)
        self._feature_Z[columns.slot_A] = feature_A
        on_device = transcoders.decoder_device.type == feature_A.device.type
        self._host_rows = None if on_device else HostRows(transcoders, columns, self._feature_Z)
        self._activation_Z = activation_A.new_zeros(columns.num_slots)
        self._activation_Z[columns.slot_A] = activation_A
        self._position_Z = torch.cat([of.position_Z for of in columns.layers]).to(feature_A.device)
        self.error_LPD: list[Tensor] = []
        """The error at the output site of each layer: what neither features nor constants write."""
        self._beside_L2PD: list[Tensor] = []
        self._kept: list[list[tuple[int, Tensor]]] = []
        for layer in range(columns.num_layers):
            rest_PD = self._rest(layer)
            constant_PD = self._constant(layer, rest_PD, zeroed)
            error_PD, made = rest_PD - constant_PD, []
            for source, at_site_ZD in self._of_features(layer):
                error_PD -= columns.layers[source].sum_positions(at_site_ZD)
                if keep:
                    made.append((source, self._to_residual(layer, source, at_site_ZD)))
            self.error_LPD.append(error_PD)
            self._beside_L2PD.append(self._error_and_constant(layer, error_PD, constant_PD))
            if keep:
                self._add_error_and_constant(layer, made)
                self._kept.append(made)

    def for_layer(self, layer: int) -> list[tuple[int, Tensor]]:
        """Return each source layer whose features write to `layer`, with the vectors of its slots [Z, D].

        The vectors are on the device of `layer`.
        """
        if self._kept:
            return self._kept[layer]
        made = [
            (source, self._to_residual(layer, source, at_site_ZD)) for source, at_site_ZD in self._of_features(layer)
        ]
        self._add_error_and_constant(layer, made)
        return made

    def constant_for(self, layer: int) -> Tensor:
        """Return what a layer's MLP adds at each position whichever features are active: [P, D]."""
        return self._beside_L2PD[layer][1]

    @cached_property
    def token_vectors(self) -> Tensor:
        """The embeddings of tokens and positions that enter layer 0, in their slots [Z, D], on the device of layer 0,
        which may be another than that of the embeddings."""
        token_PD, position_PD = self.cache.token_vectors_PD, self.cache.position_vectors_PD
        position_PD = torch.zeros_like(token_PD) if position_PD is None else position_PD
        return torch.stack([token_PD, position_PD], 1).to(self._device(0), self.dtype).flatten(0, 1)

    def _of_features(self, layer: int) -> Iterator[tuple[int, Tensor]]:
        """Yield each source layer and its vectors [Z, D] at the output site, which are zero where a slot holds no
        feature."""
        shape = self.transcoders.shape
        for source in range(layer + 1):
            if layer in shape.writes_to(source):
                slots = self.columns.layers[source].slots
                rows_ZD = self._decoder_rows(source, slots, layer).to(self._work_dtype)
                yield source, rows_ZD.mul_(self._activation_Z[slots, None])

    def _decoder_rows(self, source: int, slots: slice, layer: int) -> Tensor:
        if self._host_rows is not None:
            return self._host_rows.rows(source, slots, layer)
        return self.transcoders.decoder_rows(source, self._feature_Z[slots], layer)

    def _to_residual(self, layer: int, source: int, at_site_ZD: Tensor) -> Tensor:
        position_Z = self._position_Z[self.columns.layers[source].slots].to(self._device(layer))
        return site_to_residual(self.model, self.cache, layer, at_site_ZD.to(self._device(layer)), position_Z).to(
            self.dtype
        )

    def _rest(self, layer: int) -> Tensor:
        """Return the MLP's output without the part of the linear skip [P, D]."""
        rest_PD = self.cache.outputs_PD[layer].to(self.transcoders.device, self._work_dtype)
        skip_DD = self.transcoders.skip(layer)
        if skip_DD is None:
            return rest_PD
        inputs_PD = self.cache.inputs_PD[layer].to(self.transcoders.device, self._work_dtype)
        return rest_PD - multiply(inputs_PD, skip_DD.T.to(self._work_dtype))

    def _constant(self, layer: int, rest_PD: Tensor, zeroed: int) -> Tensor:
        """Return the constant at the output site [P, D].

        It is `b_dec`, and at the zeroed positions everything that the MLP writes except the linear skip.
        """
        constant_PD = self.transcoders.decoder_bias(layer).expand_as(rest_PD).to(self._work_dtype).clone()
        constant_PD[:zeroed] = rest_PD[:zeroed]
        return constant_PD

    def _error_and_constant(self, layer: int, error_PD: Tensor, constant_PD: Tensor) -> Tensor:
        device, skip_DD = self._device(layer), self.transcoders.skip(layer)
        error_PD = site_to_residual(self.model, self.cache, layer, error_PD.to(device))
        constant_PD = constant_to_residual(self.model, self.cache, layer, constant_PD.to(device), skip_DD)
        return torch.stack([error_PD, constant_PD])

    def _add_error_and_constant(self, layer: int, made: list[tuple[int, Tensor]]) -> None:
        """Put the error and the constant into the last two slots of each position of the layer itself."""
        for source, vectors_ZD in made:
            if source == layer:
                prefix_length = self.columns.prefix_length
                constant_P = self.columns.constant_LP[layer, prefix_length:].to(vectors_ZD.device)
                error_PD, constant_PD = self._beside_L2PD[layer][:, prefix_length:].to(vectors_ZD.dtype)
                vectors_ZD[constant_P - 1], vectors_ZD[constant_P] = error_PD, constant_PD

    def _device(self, layer: int) -> torch.device:
        return self.model.layers[layer].device

    @property
    def _work_dtype(self) -> torch.dtype:
        """The dtype in which reconstructions are added up: float32 or better."""
        return torch.promote_types(self.transcoders.dtype, torch.float32)
