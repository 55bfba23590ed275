"""Which features fire on a prompt, what they write, and what is left as error.

L layer, P position, A active feature, D model width, M layer written to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..graph.nodes import ActiveTable
from ..model.tape import Tape
from ..transcoder.base import Transcoders


@dataclass(frozen=True, eq=False)
class Written:
    """What the active features of one layer write to one layer's MLP output, scaled by their activations."""

    first: int
    """Number of the first of them among all active features."""
    ends_P: list[int]
    """Within them, features of position p are [ends_P[p-1], ends_P[p])."""
    rows_aD: Tensor


@dataclass(frozen=True, eq=False)
class ActiveFeatures:
    """The active features of one prompt, in order of (layer, position, index), with what they and the errors write."""

    layer_A: Tensor
    position_A: Tensor
    feature_A: Tensor
    activation_A: Tensor
    written_M: list[list[Written]]
    error_MPD: list[Tensor]
    constant_MPD: list[Tensor]
    """At each output site: b_dec, and everything the zeroed positions write but for the linear skip."""

    def __len__(self) -> int:
        return len(self.layer_A)

    def table(self) -> ActiveTable:
        """As plain arrays."""
        return ActiveTable(
            self.layer_A.numpy(force=True).astype(np.int16),
            self.position_A.numpy(force=True).astype(np.int32),
            self.feature_A.numpy(force=True).astype(np.int32),
            self.activation_A.numpy(force=True).astype(np.float32),
        )


def encode(tape: Tape, transcoders: Transcoders, zeroed: int) -> ActiveFeatures:
    """Encode every layer's input; features and errors of the first `zeroed` positions are left out."""
    device = transcoders.device
    per_layer: list[tuple[Tensor, Tensor, Tensor]] = []
    for layer, x_PD in enumerate(tape.inputs_PD):
        position, feature, activation = transcoders.encode(layer, x_PD.to(device))
        kept = position >= zeroed
        per_layer.append((position[kept], feature[kept], activation[kept]))
    counts = [len(position) for position, _, _ in per_layer]
    first_L = [0, *np.cumsum(counts).tolist()]
    written: list[list[Written]] = [[] for _ in per_layer]
    for layer, (position, feature, activation) in enumerate(per_layer):
        ends = torch.bincount(position, minlength=len(tape.tokens_P)).cumsum(0).tolist()
        for output_layer in transcoders.shape.writes_to(layer):
            rows = transcoders.decoder_rows(layer, feature, output_layer) * activation[:, None]
            written[output_layer].append(Written(first_L[layer], ends, rows))
    rests = [_rest(tape, transcoders, layer, written[layer], per_layer, zeroed) for layer in range(len(per_layer))]
    position_A, feature_A, activation_A = (torch.cat(parts) for parts in zip(*per_layer, strict=True))
    counts_L = torch.tensor(counts, device=device)
    return ActiveFeatures(
        torch.repeat_interleave(torch.arange(len(counts), device=device), counts_L),
        position_A,
        feature_A,
        activation_A,
        written,
        [error for error, _ in rests],
        [constant for _, constant in rests],
    )


def _rest(
    tape: Tape,
    transcoders: Transcoders,
    layer: int,
    written: list[Written],
    per_layer: list[tuple[Tensor, Tensor, Tensor]],
    zeroed: int,
) -> tuple[Tensor, Tensor]:
    """What features do not write at one output site: error [P, D] and constant [P, D]."""
    rest = tape.outputs_PD[layer].to(transcoders.device)
    skip = transcoders.skip(layer)
    if skip is not None:
        rest = rest - tape.inputs_PD[layer].to(transcoders.device) @ skip.T
    constant = transcoders.decoder_bias(layer).expand_as(rest).clone()
    constant[:zeroed] = rest[:zeroed]
    error = rest - constant
    sources = range(layer + 1 - len(written), layer + 1)
    for source, part in zip(sources, written, strict=True):
        error.index_add_(0, per_layer[source][0], part.rows_aD, alpha=-1)
    return error, constant
