"""Norm: a norm layer as the linear map that it becomes when its scale is held constant.

Axes: D model width. Tensors may have any leading axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .architectures import ArchitectureSpec


@dataclass(frozen=True, eq=False)
class Norm:
    """A norm layer: y = centre(x) * scale * weight + bias, where `centre` subtracts the mean for LayerNorm only."""

    weight_D: Tensor | None
    """The weight; None means 1. It is in float32 or better if 1 was added to it, because the library adds it so."""
    bias_D: Tensor | None
    eps: float
    centred: bool

    @classmethod
    def of(cls, module: nn.Module, sites: ArchitectureSpec) -> Norm:
        """Return the Norm of a module of a Hugging Face model."""
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        eps = getattr(module, "variance_epsilon", None) or getattr(module, "eps", sites.norm_eps)
        assert eps is not None, "a norm without an epsilon has it in the architecture's row"
        if weight is not None and sites.norm == "rms_plus_one":
            weight = weight.to(torch.promote_types(weight.dtype, torch.float32)) + 1
        return cls(
            weight_D=None if weight is None else weight.detach(),
            bias_D=None if bias is None else bias.detach(),
            eps=float(eps),
            centred=sites.norm == "layer",
        )

    def scale(self, x: Tensor) -> Tensor:
        """Return 1 / root mean square (or standard deviation) of x, [..., 1], in float32 or better."""
        x = self._centre(x.to(torch.promote_types(x.dtype, torch.float32)))
        return torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)

    def normalized(self, x: Tensor, scale: Tensor) -> Tensor:
        """Return x normalised, before it is multiplied by the weight, in the dtype of x."""
        return (self._centre(x.to(scale.dtype)) * scale).to(x.dtype)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        """Return the output of the norm, in the dtype of x."""
        y = self.jvp(x.to(scale.dtype), scale)
        return (y if self.bias_D is None else y + self.bias_D).to(x.dtype)

    def jvp(self, x: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """Return the linear part of `forward`, which is everything except the bias."""
        y = self._centre(x) * scale
        return y if self.weight_D is None else y * self.weight_D

    def vjp(self, g: Tensor, scale: Tensor | float = 1.0, *, after_weight: bool = True) -> Tensor:
        """Return the gradient at x, given the gradient at the output (or with `after_weight=False` at `normalized`).

        It is the transpose of `jvp`: <vjp(g), x> = <g, jvp(x)>.
        """
        return self._centre(g * self.weight_D if after_weight and self.weight_D is not None else g) * scale

    def _centre(self, x: Tensor) -> Tensor:
        return x - x.mean(-1, keepdim=True) if self.centred else x
