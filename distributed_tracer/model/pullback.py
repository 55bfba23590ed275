"""The frozen model's linear maps, transposed: gradients from where they are read to the residual stream.

P position (of the gradient), B row, H query head, G key/value head, E head width, D model width. A gradient is laid
out [P, B, D], so that everything read at one position is one matrix product for all rows. It may cover the first
positions of the prompt only: nothing later can reach a row that reads there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .instrument import FINAL
from .load import Model
from .tape import Tape


def attention_pull(model: Model, tape: Tape, layer: int, g_PBD: Tensor) -> Tensor:
    """What the layer's attention adds to the gradient of the residual stream it reads: the frozen OV path."""
    weights = model.layers[layer]
    if weights.attention_post_norm is not None:
        g_PBD = weights.attention_post_norm.pull(g_PBD, _scale(tape, layer, "attention_post", g_PBD))
    num_positions, num_rows, _ = g_PBD.shape
    num_heads, head_dim, _ = weights.output_HED.shape
    num_groups = weights.value_GED.shape[0]
    z = g_PBD @ weights.output_HED.reshape(num_heads * head_dim, -1).T
    # The query heads of a group share its values, so their sum is one product over (head, query) together.
    z = z.reshape(num_positions, num_rows, num_groups, num_heads // num_groups, head_dim).permute(2, 3, 0, 1, 4)
    z = z.reshape(num_groups, -1, num_rows * head_dim)
    pattern = tape.patterns_HPP[layer][:, :num_positions, :num_positions].reshape(num_groups, -1, num_positions)
    y = (pattern.transpose(1, 2) @ z).reshape(num_groups, num_positions, num_rows, head_dim)
    y = y.permute(1, 2, 0, 3).reshape(num_positions, num_rows, -1)
    g = y @ weights.value_GED.reshape(num_groups * head_dim, -1)
    if weights.attention_norm is not None:
        g = weights.attention_norm.pull(g, _scale(tape, layer, "attention", g_PBD))
    return g


def attention_constant(model: Model, tape: Tape, layer: int) -> Tensor | None:
    """What biases alone make the layer's attention add to the residual stream: [P, D], or None if there are none."""
    weights = model.layers[layer]
    norm, post_norm = weights.attention_norm, weights.attention_post_norm
    entering = None if norm is None else norm.bias_D
    written = weights.output_bias_D
    if entering is not None or weights.value_bias_GE is not None:
        value_GE = torch.zeros_like(weights.value_GED[..., 0])
        if entering is not None:
            value_GE = value_GE + weights.value_GED @ entering
        if weights.value_bias_GE is not None:
            value_GE = value_GE + weights.value_bias_GE
        share_HP = tape.patterns_HPP[layer].sum(-1)  # less than 1 where a sink takes part
        value_HE = value_GE.repeat_interleave(share_HP.shape[0] // value_GE.shape[0], 0)
        mixed_PD = torch.einsum("hp,he,hed->pd", share_HP, value_HE, weights.output_HED)
        written = mixed_PD if written is None else mixed_PD + written
    if written is None:
        return None if post_norm is None else post_norm.bias_D
    if post_norm is None:
        return written.expand(len(tape.tokens_P), -1)
    scale = tape.scales_P1[(layer, "attention_post")]
    return post_norm.forward(written.expand(len(scale), -1), scale)


def input_pull(model: Model, tape: Tape, layer: int, g: Tensor, positions: Tensor | None = None) -> Tensor:
    """Gradient at the transcoders' input site -> gradient of the residual stream.

    `g` is [P, B, D], or [B, D] with the position of each row.
    """
    norm = model.layers[layer].mlp_norm
    if norm is None or tape.input_site == "hook_resid_mid":
        return g
    scale = _scale(tape, layer, "mlp", g) if positions is None else tape.scales_P1[(layer, "mlp")][positions]
    return norm.pull(g, scale, after_weight=tape.input_site == "mlp.hook_in")


def input_bias(model: Model, tape: Tape, layer: int) -> Tensor | None:
    """The part of the input site's value that is a norm's bias: [D] or None."""
    norm = model.layers[layer].mlp_norm
    return None if norm is None or tape.input_site != "mlp.hook_in" else norm.bias_D


def output_pull(model: Model, tape: Tape, layer: int, g_PBD: Tensor) -> Tensor:
    """Gradient of the residual stream -> gradient at the transcoders' output site."""
    norm = model.layers[layer].mlp_post_norm
    if norm is None or tape.output_site == "hook_mlp_out":
        return g_PBD
    return norm.pull(g_PBD, _scale(tape, layer, "mlp_post", g_PBD))


def output_bias(model: Model, tape: Tape, layer: int) -> Tensor | None:
    """What a norm between the output site and the residual stream adds: [D] or None."""
    norm = model.layers[layer].mlp_post_norm
    return None if norm is None or tape.output_site == "hook_mlp_out" else norm.bias_D


def final_pull(model: Model, tape: Tape, g_BD: Tensor, positions: Tensor) -> Tensor:
    """Gradient at the final norm's output -> gradient of the residual stream, at the position of each row."""
    return model.final_norm.pull(g_BD, tape.scales_P1[(model.shape.num_layers, FINAL)][positions])


def _scale(tape: Tape, layer: int, role: str, g_PBD: Tensor) -> Tensor:
    """A norm's scales at the gradient's positions, [P, 1, 1]."""
    return tape.scales_P1[(layer, role)][: len(g_PBD), None]
