"""FrozenLayer: the linear maps of one layer for one prompt, folded so that a gradient passes through attention in three
matrix products.

Every norm is a diagonal map of the model's width (after subtraction of the mean, for LayerNorm) times one number for
each position. The diagonal is folded into the adjacent weights and the numbers into the attention pattern, so no
element-wise operation on a gradient remains.

Axes: P position, J position attended to, H attention head, G key/value head, Q query head of one key/value head,
U head width, D model width, B row of a batch, X several axes in one (described at each tensor) or any set of vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..threads import einsum, multiply
from .forward_cache import ForwardCache
from .hooks import FINAL
from .layer import Layer
from .model import Model


@dataclass(frozen=True, eq=False)
class FrozenLayer:
    """The constants of a layer's attention and of its transcoder's linear skip that the sweep needs."""

    pattern_GJPQ: Tensor
    """The attention from P to J, times the scales of the norms before the values and after the output."""
    output_GDX: Tensor
    """The output weights, with X = (query head of the group, head width)."""
    value_XD: Tensor
    """The value weights, with X = (key/value head, head width)."""
    constant_PD: Tensor | None
    """What attention adds to the residual stream because of biases."""
    skip_DD: Tensor | None
    """The linear skip of the transcoder. A gradient after the MLP times this matrix, and times `skip_scale_P`, is the
    gradient before the MLP."""
    skip_scale_P: Tensor | None
    """The factor of the linear skip at each position. None means 1."""
    parallel: bool

    @property
    def device(self) -> torch.device:
        """The device of the layer's weights."""
        return self.value_XD.device

    def after_prefix(self, prefix_length: int, dtype: torch.dtype) -> FrozenLayer:
        """Return the layer in `dtype` for gradients at the positions after the first `prefix_length`.

        Such gradients reach the positions of the prefix through the pattern alone.
        """
        constant_PD, scale_P, skip_DD = self.constant_PD, self.skip_scale_P, self.skip_DD
        return replace(
            self,
            pattern_GJPQ=_aligned(self.pattern_GJPQ[:, :, prefix_length:].to(dtype)),
            output_GDX=self.output_GDX.to(dtype),
            value_XD=self.value_XD.to(dtype),
            constant_PD=None if constant_PD is None else constant_PD[prefix_length:].to(dtype),
            skip_DD=None if skip_DD is None else skip_DD.to(dtype),
            skip_scale_P=None if scale_P is None else scale_P[prefix_length:].to(dtype),
        )

    @property
    def num_groups(self) -> int:
        """The number of key/value heads."""
        return len(self.output_GDX)

    @property
    def head_dim(self) -> int:
        """The width of one attention head."""
        return len(self.value_XD) // self.num_groups


def _aligned(pattern_GJPQ: Tensor) -> Tensor:
    """Return the pattern in the order of its axes in memory.

    On a GPU unused room follows the last position, so that every row begins at a multiple of 16 bytes: otherwise matrix
    units cannot load rows in half precision in one step.
    """
    if pattern_GJPQ.device.type == "cpu":
        return pattern_GJPQ.contiguous()
    num_positions = pattern_GJPQ.shape[2]
    return torch.nn.functional.pad(pattern_GJPQ, (0, 0, 0, -num_positions % 8))[:, :, :num_positions]


def freeze(model: Model, cache: ForwardCache, layer: int, skip_DD: Tensor | None, dtype: torch.dtype) -> FrozenLayer:
    """Return one layer of one prompt, frozen, in `dtype`.

    `skip_DD` is the transcoder's skip matrix [D_out, D_in] between its input and output sites.
    """
    weights = model.layers[layer]
    groups, head_dim, width = weights.value_GUD.shape
    output_HUD, value_GUD = weights.output_HUD, weights.value_GUD
    pattern_HPJ = cache.patterns_HPP[layer]
    if weights.attention_post_norm is not None:
        output_HUD = weights.attention_post_norm.jvp(output_HUD)
        pattern_HPJ = pattern_HPJ * cache.scales_P1[(layer, "attention_post")]
    if weights.attention_norm is not None:
        value_GUD = weights.attention_norm.vjp(value_GUD)
        pattern_HPJ = pattern_HPJ * cache.scales_P1[(layer, "attention")].squeeze(-1)
    if weights.residual_scale != 1:
        pattern_HPJ = pattern_HPJ * weights.residual_scale
    num_positions = pattern_HPJ.shape[-1]
    pattern_GQPJ = pattern_HPJ.reshape(groups, -1, num_positions, num_positions)
    skip, scale = _fold_skip(model, cache, layer, skip_DD)
    constant_PD = attention_constant(weights, cache, layer)
    return FrozenLayer(
        pattern_GJPQ=pattern_GQPJ.permute(0, 3, 2, 1).to(dtype),
        output_GDX=output_HUD.reshape(groups, -1, width).to(dtype).mT.contiguous(),
        value_XD=value_GUD.reshape(groups * head_dim, width).to(dtype),
        constant_PD=None if constant_PD is None else constant_PD.to(dtype),
        skip_DD=None if skip is None else skip.to(dtype),
        skip_scale_P=None if scale is None else scale.to(dtype),
        parallel=weights.parallel,
    )


def _fold_skip(
    model: Model, cache: ForwardCache, layer: int, skip_DD: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """Return the skip between residual streams instead of sites, and its scale at each position (None means 1)."""
    weights = model.layers[layer]
    if skip_DD is None:
        return None, None
    skip_DD, scale_P1 = skip_DD.to(weights.device), None
    if weights.mlp_post_norm is not None and cache.output_site == "mlp.hook_out":
        skip_DD, scale_P1 = weights.mlp_post_norm.jvp(skip_DD.T).T, cache.scales_P1[(layer, "mlp_post")]
    if weights.mlp_norm is not None and cache.input_site != "hook_resid_mid":
        skip_DD = weights.mlp_norm.vjp(skip_DD, after_weight=cache.input_site == "mlp.hook_in")
        scale_in_P1 = cache.scales_P1[(layer, "mlp")]
        scale_P1 = scale_in_P1 if scale_P1 is None else scale_P1 * scale_in_P1
    if weights.residual_scale != 1:
        skip_DD = skip_DD * weights.residual_scale
    return skip_DD, None if scale_P1 is None else scale_P1.squeeze(-1)


def attention_constant(weights: Layer, cache: ForwardCache, layer: int) -> Tensor | None:
    """Return what the layer's attention adds to the residual stream because of biases alone: [P, D], or None if there
    are no biases."""
    constant_PD = _attention_output_constant(weights, cache, layer)
    return constant_PD if constant_PD is None or weights.residual_scale == 1 else constant_PD * weights.residual_scale


def _attention_output_constant(weights: Layer, cache: ForwardCache, layer: int) -> Tensor | None:
    norm, post_norm = weights.attention_norm, weights.attention_post_norm
    entering = None if norm is None else norm.bias_D
    output = weights.output_bias_D
    if entering is not None or weights.value_bias_GU is not None:
        value_GU = torch.zeros_like(weights.value_GUD[..., 0])
        if entering is not None:
            value_GU = value_GU + multiply(weights.value_GUD, entering)
        if weights.value_bias_GU is not None:
            value_GU = value_GU + weights.value_bias_GU
        share_HP = cache.patterns_HPP[layer].sum(-1)  # less than 1 where a sink takes part
        value_HU = value_GU.repeat_interleave(share_HP.shape[0] // value_GU.shape[0], 0)
        # The equation calls the head width "e": torch adds up axes in alphabetical order, which decides the last bits.
        mixed_PD = einsum("hp,he,hed->pd", share_HP, value_HU, weights.output_HUD)
        output = mixed_PD if output is None else mixed_PD + output
    num_positions = len(cache.tokens_P)
    if output is None:
        return None if post_norm is None or post_norm.bias_D is None else post_norm.bias_D.expand(num_positions, -1)
    if post_norm is None:
        return output.expand(num_positions, -1)
    return post_norm.forward(output.expand(num_positions, -1), cache.scales_P1[(layer, "attention_post")])


def site_to_residual(
    model: Model, cache: ForwardCache, layer: int, x_XD: Tensor, position_X: Tensor | None = None
) -> Tensor:
    """Return what vectors at the output site add to the residual stream.

    `position_X` has the position of each vector; with None there is one vector at each position.
    """
    norm, residual_scale = model.layers[layer].mlp_post_norm, model.layers[layer].residual_scale
    if norm is not None and cache.output_site != "hook_mlp_out":
        scale_P1 = cache.scales_P1[(layer, "mlp_post")]
        x_XD = norm.jvp(x_XD, scale_P1 if position_X is None else scale_P1[position_X])
    return x_XD if residual_scale == 1 else x_XD * residual_scale


def transcoder_scales(model: Model, cache: ForwardCache, device: torch.device) -> Tensor:
    """Return every frozen scale through which transcoders read and write and targets read: [X, P] on `device`.

    X has the read scale of each layer (see `residual_gradient`), then the write scale of each layer (see
    `site_to_residual`), then the scale of the final norm. A scale is 1 where there is no norm.
    """
    final_P1 = cache.scales_P1[(len(model.layers), FINAL)].to(device, non_blocking=True)
    one_P1, reads, writes = torch.ones_like(final_P1), [], []
    for number, layer in enumerate(model.layers):
        reads_norm = layer.mlp_norm is not None and cache.input_site != "hook_resid_mid"
        writes_norm = layer.mlp_post_norm is not None and cache.output_site != "hook_mlp_out"
        read_P1 = cache.scales_P1[(number, "mlp")].to(device, non_blocking=True) if reads_norm else one_P1
        write_P1 = cache.scales_P1[(number, "mlp_post")].to(device, non_blocking=True) if writes_norm else one_P1
        reads.append(read_P1)
        writes.append(write_P1 if layer.residual_scale == 1 else write_P1 * layer.residual_scale)
    return torch.cat([*reads, *writes, final_P1], 1).T


def constant_to_residual(
    model: Model, cache: ForwardCache, layer: int, constant_PD: Tensor, skip_DD: Tensor | None
) -> Tensor:
    """Return what a constant at the output site adds to the residual stream [P, D], including the biases of the norms
    around the MLP."""
    if skip_DD is not None and (bias := input_bias(model, cache, layer)) is not None:
        constant_PD = constant_PD + multiply(skip_DD.to(bias.device), bias)
    output_PD = site_to_residual(model, cache, layer, constant_PD)
    norm = model.layers[layer].mlp_post_norm
    if norm is None or norm.bias_D is None or cache.output_site == "hook_mlp_out":
        return output_PD
    return output_PD + norm.bias_D * model.layers[layer].residual_scale


def input_bias(model: Model, cache: ForwardCache, layer: int) -> Tensor | None:
    """Return the part of the value at the input site that is a norm's bias: [D], or None if there is none."""
    norm = model.layers[layer].mlp_norm
    return None if norm is None or cache.input_site != "mlp.hook_in" else norm.bias_D


def residual_gradient(model: Model, cache: ForwardCache, layer: int, g_BD: Tensor, position_B: Tensor) -> Tensor:
    """Return the gradient with respect to the residual stream, given the gradient at the transcoders' input site.

    Each row has its gradient at one position, `position_B`.
    """
    norm = model.layers[layer].mlp_norm
    if norm is None or cache.input_site == "hook_resid_mid":
        return g_BD
    scale_B1 = cache.scales_P1[(layer, "mlp")][position_B]
    return norm.vjp(g_BD, scale_B1, after_weight=cache.input_site == "mlp.hook_in")
