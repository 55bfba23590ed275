"""Sparse features in place of the model's MLPs, and how they are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .activations import Activations
from .language_model import LAYERS_L, WIDTH_D
from .schedule import shuffled_batches, warm_up_then_cosine

DICTIONARY_S = 512

Kind = Literal["plt", "clt"]


class TranscoderSet(nn.Module):
    """Sparse features that read each MLP input and write MLP outputs, of one layer or of all later ones."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.W_enc_LSD = nn.Parameter(F.normalize(torch.randn(LAYERS_L, DICTIONARY_S, WIDTH_D), dim=-1))
        self.b_enc_LS = nn.Parameter(torch.zeros(LAYERS_L, DICTIONARY_S))
        self.W_dec_SLD = nn.ParameterList(
            0.1 * F.normalize(torch.randn(DICTIONARY_S, self.reach(layer), WIDTH_D), dim=-1)
            for layer in range(LAYERS_L)
        )
        self.b_dec_LD = nn.Parameter(torch.zeros(LAYERS_L, WIDTH_D))
        self.threshold_LS: Tensor
        self.register_buffer("threshold_LS", torch.zeros(LAYERS_L, DICTIONARY_S))

    def reach(self, layer: int) -> int:
        """How many layers the features of a layer write to, their own first."""
        return LAYERS_L - layer if self.kind == "clt" else 1

    def decoder_norms(self) -> Tensor:
        """Length of each feature's whole decoder, [L, S]."""
        return torch.stack([decoder.flatten(1).norm(dim=1) for decoder in self.W_dec_SLD])

    def pre_activations(self, inputs_LID: Tensor) -> Tensor:
        return torch.baddbmm(self.b_enc_LS[:, None], inputs_LID, self.W_enc_LSD.transpose(1, 2))

    def encode(self, inputs_LID: Tensor) -> Tensor:
        """JumpReLU activations, [L, I, S]."""
        pre_LIS = self.pre_activations(inputs_LID)
        return pre_LIS * (pre_LIS > self.threshold_LS[:, None])

    def decode(self, acts_LIS: Tensor) -> Tensor:
        """MLP outputs without the decoder bias, [L, I, D]."""
        outputs: list[Tensor | float] = [0.0] * LAYERS_L
        for layer in range(LAYERS_L):
            written = acts_LIS[layer] @ self.W_dec_SLD[layer].flatten(1)
            for offset, part_ID in enumerate(written.split(WIDTH_D, dim=1)):
                outputs[layer + offset] = outputs[layer + offset] + part_ID
        return torch.stack(cast(list[Tensor], outputs))

    def forward(self, inputs_LID: Tensor) -> Tensor:
        return self.decode(self.encode(inputs_LID)) + self.b_dec_LD[:, None]


@dataclass(frozen=True)
class Scaling:
    """Per-layer centring and scaling under which the transcoders are trained."""

    input_mean_LD: Tensor
    input_rms_L: Tensor
    output_mean_LD: Tensor
    output_rms_L: Tensor

    @classmethod
    def of(cls, data: Activations) -> Scaling:
        input_mean_LD, output_mean_LD = data.inputs_LID.mean(1), data.outputs_LID.mean(1)
        input_rms_L = (data.inputs_LID - input_mean_LD[:, None]).square().mean((1, 2)).sqrt()
        output_rms_L = (data.outputs_LID - output_mean_LD[:, None]).square().mean((1, 2)).sqrt()
        return cls(input_mean_LD, input_rms_L, output_mean_LD, output_rms_L)

    def apply(self, data: Activations) -> Activations:
        inputs_LID = (data.inputs_LID - self.input_mean_LD[:, None]) / self.input_rms_L[:, None, None]
        outputs_LID = (data.outputs_LID - self.output_mean_LD[:, None]) / self.output_rms_L[:, None, None]
        return Activations(inputs_LID, outputs_LID, data.contexts)

    @torch.no_grad()
    def fold_into(self, transcoders: TranscoderSet) -> None:
        """Rewrite the weights so that they act on raw MLP inputs and give raw MLP outputs."""
        transcoders.W_enc_LSD.div_(self.input_rms_L[:, None, None])
        transcoders.b_enc_LS.sub_(torch.einsum("lsd,ld->ls", transcoders.W_enc_LSD, self.input_mean_LD))
        for layer, decoder_SLD in enumerate(transcoders.W_dec_SLD):
            decoder_SLD.mul_(self.output_rms_L[layer : layer + transcoders.reach(layer), None])
        transcoders.b_dec_LD.mul_(self.output_rms_L[:, None]).add_(self.output_mean_LD)


@torch.no_grad()
def keep_strongest(transcoders: TranscoderSet, pre_LIS: Tensor, per_token: int) -> tuple[Tensor, Tensor]:
    """Batch top-k: where each layer's ``per_token * I`` strongest activations are, and the weakest of those, [L].

    Features compete by activation times decoder length.
    """
    scores_LIS = pre_LIS.relu() * transcoders.decoder_norms()[:, None]
    count = per_token * scores_LIS.shape[1]
    cut_L = scores_LIS.flatten(1).topk(count, dim=1, sorted=False).values.amin(1)
    return (scores_LIS >= cut_L[:, None, None]) & (scores_LIS > 0), cut_L


def dead_feature_loss(
    transcoders: TranscoderSet, pre_LIS: Tensor, residual_LID: Tensor, dead_LS: Tensor, per_token: int = 32
) -> Tensor:
    """Let features that have stopped firing explain what the living ones leave, so that they revive."""
    scores_LIS = pre_LIS.relu() * dead_LS[:, None]
    floor_LI1 = scores_LIS.topk(per_token, dim=2, sorted=False).values.amin(2, keepdim=True)
    guess_LID = transcoders.decode(scores_LIS * (scores_LIS >= floor_LI1))
    return (guess_LID - residual_LID.detach()).square().mean()


def train_transcoders(
    kind: Kind,
    raw: Activations,
    steps: int = 1600,
    per_token: int = 10,
    batch_size: int = 1024,
    patience: int = 100,
) -> TranscoderSet:
    """Train with batch top-k, then freeze the mean cut-off as a JumpReLU threshold per feature.

    The budget per token shrinks during the first half of the run, which lets most features find a use before
    competition becomes sharp.
    """
    scaling = Scaling.of(raw)
    data = scaling.apply(raw)
    transcoders = TranscoderSet(kind)
    optimizer = torch.optim.Adam(transcoders.parameters(), lr=2e-3, betas=(0.9, 0.99), eps=1e-12)
    schedule = warm_up_then_cosine(optimizer, steps, warmup=50)
    idle_LS = torch.zeros(LAYERS_L, DICTIONARY_S)
    cut_L = torch.zeros(LAYERS_L)
    for step, rows in enumerate(shuffled_batches(data.inputs_LID.shape[1], batch_size, steps)):
        pre_LIS = transcoders.pre_activations(data.inputs_LID[:, rows])
        budget = round(per_token * max(1.0, 4.0 - 6.0 * step / steps))
        active_LIS, batch_cut_L = keep_strongest(transcoders, pre_LIS, budget)
        guess_LID = transcoders.decode(pre_LIS * active_LIS)
        residual_LID = data.outputs_LID[:, rows] - guess_LID - transcoders.b_dec_LD[:, None]
        loss = residual_LID.square().mean()
        unexplained = loss.item()
        idle_LS = (idle_LS + 1) * ~active_LIS.any(1)
        if (idle_LS > patience).any():
            loss = loss + dead_feature_loss(transcoders, pre_LIS, residual_LID, idle_LS > patience) / 8
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        cut_L = 0.98 * cut_L + 0.02 * batch_cut_L
        if step % 100 == 0 or step == steps - 1:
            dead = int((idle_LS > patience).sum())
            print(f"{kind} step {step} unexplained {unexplained:.4f} dead {dead}", flush=True)
    with torch.no_grad():
        transcoders.threshold_LS.copy_(cut_L[:, None] / transcoders.decoder_norms())
    scaling.fold_into(transcoders)
    return transcoders
