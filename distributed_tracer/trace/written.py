"""Written: the vectors that features, errors and constants add to the residual stream, in the order of their slots.

P position, W slot of a position in a segment, D model width, M layer written to, S slot.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..model.frozen import write, write_constant
from ..model.load import Model
from ..model.tape import Tape
from ..shapes import TranscoderShape
from ..transcoder.base import Transcoders
from .columns import Columns


def vector_bytes(columns: Columns, shape: TranscoderShape, dtype: torch.dtype) -> int:
    """Memory of all that is written, a vector for each slot and layer written to."""
    vectors = sum(s.num_slots * (len(shape.writes_to(s.layer)) if s.layer >= 0 else 1) for s in columns.segments)
    return vectors * shape.d_model * dtype.itemsize


class Written:
    """Of one prompt, layer by layer; kept in memory, or made from the decoders again each time they are asked for."""

    def __init__(
        self,
        model: Model,
        tape: Tape,
        transcoders: Transcoders,
        columns: Columns,
        feature_A: Tensor,
        activation_A: Tensor,
        zeroed: int,
        dtype: torch.dtype,
        keep: bool = True,
    ) -> None:
        """`keep=False` holds one layer's vectors at a time: a CLT's are as many as features times layers written to."""
        self.model, self.tape, self.transcoders, self.columns, self.dtype = model, tape, transcoders, columns, dtype
        self._feature_S = feature_A.new_zeros(columns.num_slots)
        self._feature_S[columns.slot_A] = feature_A
        self._activation_S = activation_A.new_zeros(columns.num_slots)
        self._activation_S[columns.slot_A] = activation_A
        self.error_MPD: list[Tensor] = []
        """At each output site: what features and constants do not write."""
        self._beside_MP2D: list[Tensor] = []
        self._kept: list[list[tuple[int, Tensor]]] = []
        for layer in range(columns.num_layers):
            rest_PD = self._rest(layer)
            constant_PD = self._constant(layer, rest_PD, zeroed)
            error_PD, made = rest_PD - constant_PD, []
            for number, at_site_PWD in self._of_features(layer):
                segment = columns.segments[number]
                error_PD[segment.start : segment.end] -= at_site_PWD.sum(1)
                if keep:
                    made.append((number, self._written(layer, segment.start, at_site_PWD)))
            self.error_MPD.append(error_PD)
            self._beside_MP2D.append(self._beside(layer, error_PD, constant_PD))
            if keep:
                self._add_beside(layer, made)
                self._kept.append(made)

    def of(self, layer: int) -> list[tuple[int, Tensor]]:
        """Number of each segment that writes to `layer` and its vectors [P, W, D], on the layer's device."""
        if self._kept:
            return self._kept[layer]
        segments = self.columns.segments
        made = [(n, self._written(layer, segments[n].start, at_site)) for n, at_site in self._of_features(layer)]
        self._add_beside(layer, made)
        return made

    def tokens(self) -> tuple[int, Tensor]:
        """Number of the tokens' segment and the vectors [P, 2, D] of tokens and positions that enter layer 0."""
        token_PD, position_PD = self.tape.token_vectors_PD, self.tape.position_vectors_PD
        position_PD = torch.zeros_like(token_PD) if position_PD is None else position_PD
        return len(self.columns.segments) - 1, torch.stack([token_PD, position_PD], 1).to(self.dtype)

    def _of_features(self, layer: int) -> Iterator[tuple[int, Tensor]]:
        """Segment and vectors [P, W, D] at the output site, zero where a slot is no feature."""
        shape = self.transcoders.shape
        for source in range(layer + 1):
            if layer not in shape.writes_to(source):
                continue
            for number in self.columns.of_layer[source]:
                segment = self.columns.segments[number]
                slots = slice(segment.first, segment.first + segment.num_slots)
                rows_SD = self.transcoders.decoder_rows(source, self._feature_S[slots], layer).to(self._work_dtype)
                rows_SD *= self._activation_S[slots, None]
                yield number, rows_SD.view(-1, segment.width, rows_SD.shape[-1])

    def _written(self, layer: int, start: int, at_site_PWD: Tensor) -> Tensor:
        return write(self.model, self.tape, layer, at_site_PWD.to(self._device(layer)), start).to(self.dtype)

    def _rest(self, layer: int) -> Tensor:
        """The MLP's output without the linear skip."""
        rest_PD = self.tape.outputs_PD[layer].to(self.transcoders.device, self._work_dtype)
        skip_DD = self.transcoders.skip(layer)
        if skip_DD is None:
            return rest_PD
        inputs_PD = self.tape.inputs_PD[layer].to(self.transcoders.device, self._work_dtype)
        return rest_PD - inputs_PD @ skip_DD.T.to(self._work_dtype)

    def _constant(self, layer: int, rest_PD: Tensor, zeroed: int) -> Tensor:
        """At the output site: b_dec, and everything the zeroed positions write but for the linear skip."""
        constant_PD = self.transcoders.decoder_bias(layer).expand_as(rest_PD).to(self._work_dtype).clone()
        constant_PD[:zeroed] = rest_PD[:zeroed]
        return constant_PD

    def _beside(self, layer: int, error_PD: Tensor, constant_PD: Tensor) -> Tensor:
        device, skip_DD = self._device(layer), self.transcoders.skip(layer)
        error_PD, constant_PD = error_PD.to(device), constant_PD.to(device)
        written_PD = write(self.model, self.tape, layer, error_PD[:, None])[:, 0]
        constant_PD = write_constant(self.model, self.tape, layer, constant_PD, skip_DD)
        return torch.stack([written_PD, constant_PD], 1).to(self.dtype)

    def _add_beside(self, layer: int, made: list[tuple[int, Tensor]]) -> None:
        """Put error and constant into the last two slots of the layer's own segments."""
        for number, vectors_PWD in made:
            segment = self.columns.segments[number]
            if segment.layer == layer:
                vectors_PWD[:, -2:] = self._beside_MP2D[layer][segment.start : segment.end]

    def _device(self, layer: int) -> torch.device:
        return self.model.layers[layer].device

    @property
    def _work_dtype(self) -> torch.dtype:
        """Reconstructions are added up in float32 or better."""
        return torch.promote_types(self.transcoders.dtype, torch.float32)
