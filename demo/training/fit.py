"""How well transcoders stand in for the MLPs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForCausalLM

from .activations import Activations
from .language_model import WIDTH_D
from .report import Json
from .transcoders import TranscoderSet


def fit_results(transcoders: TranscoderSet, data: Activations) -> Json:
    """Per layer, the share of MLP output variance that the transcoders explain, and how many features they use."""
    missed_LID = data.outputs_LID - transcoders(data.inputs_LID)
    spread_LID = data.outputs_LID - data.outputs_LID.mean(1, keepdim=True)
    active_LIS = transcoders.encode(data.inputs_LID) > 0
    return {
        "positions": len(data.contexts),
        "explained_variance": rounded(1 - missed_LID.square().sum((1, 2)) / spread_LID.square().sum((1, 2))),
        "mean_active_features": rounded(active_LIS.float().sum(2).mean(1)),
    }


def rounded(values: Tensor) -> list[float]:
    return [round(value, 4) for value in values.tolist()]


@contextmanager
def replaced_mlps(model: LlamaForCausalLM, transcoders: TranscoderSet) -> Iterator[None]:
    """Run the model with the transcoders in place of its MLPs, everywhere but at the bos position."""
    pending: dict[int, Tensor] = {}

    def replace(layer: int, hidden_BPD: Tensor, output_BPD: Tensor) -> Tensor:
        pre_BPS = F.linear(hidden_BPD, transcoders.W_enc_LSD[layer], transcoders.b_enc_LS[layer])
        acts_BPS = pre_BPS * (pre_BPS > transcoders.threshold_LS[layer])
        written = acts_BPS @ transcoders.W_dec_SLD[layer].flatten(1)
        for offset, part_BPD in enumerate(written.split(WIDTH_D, dim=-1)):
            target = layer + offset
            pending[target] = pending[target] + part_BPD if target in pending else part_BPD
        result_BPD = pending.pop(layer) + transcoders.b_dec_LD[layer]
        return torch.cat([output_BPD[:, :1], result_BPD[:, 1:]], 1)

    handles = [
        module.mlp.register_forward_hook(lambda _mlp, args, output, layer=layer: replace(layer, args[0], output))
        for layer, module in enumerate(model.model.layers)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
