"""Layer: the linear parts of one layer, read from the model's modules: value and output weights, norms, device.

Axes: H attention head, G key/value head, U head width, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..shapes import ModelShape
from .architectures import ArchitectureSpec
from .norm import Norm


@dataclass(frozen=True, eq=False)
class Layer:
    """The linear parts of one layer, through which the sweep goes. Weights are views of the model's own weights where
    their layout allows it."""

    value_GUD: Tensor
    value_bias_GU: Tensor | None
    output_HUD: Tensor
    output_bias_D: Tensor | None
    attention_norm: Norm | None
    attention_post_norm: Norm | None
    mlp_norm: Norm | None
    mlp_post_norm: Norm | None
    parallel: bool
    residual_scale: float
    """The factor by which the outputs of attention and MLP are multiplied."""

    @property
    def device(self) -> torch.device:
        """The device of the layer's weights."""
        return self.output_HUD.device

    @classmethod
    def of(cls, module: nn.Module, sites: ArchitectureSpec, shape: ModelShape, residual_scale: float) -> Layer:
        """Read one decoder layer. Raises ModelError if its weights are not in memory."""
        num_heads, num_kv_heads = shape.num_heads, shape.num_kv_heads
        output, output_bias = _linear(module.get_submodule(sites.output))
        head_dim = output.shape[1] // num_heads
        value, value_bias = _linear(module.get_submodule(sites.value))
        if value.is_meta or output.is_meta:
            raise ModelError("weights are offloaded to CPU or disk by device_map; the sweep needs them on a device")

        def norm(path: str | None) -> Norm | None:
            return None if path is None else Norm.of(module.get_submodule(path), sites)

        return cls(
            _value_rows(value, sites, num_kv_heads, head_dim),
            None if value_bias is None else _value_rows(value_bias, sites, num_kv_heads, head_dim).squeeze(-1),
            output.T.reshape(num_heads, head_dim, -1),
            output_bias,
            attention_norm=norm(sites.attention_norm),
            attention_post_norm=norm(sites.attention_post_norm),
            mlp_norm=norm(sites.mlp_norm),
            mlp_post_norm=norm(sites.mlp_post_norm),
            parallel=bool(sites.parallel),
            residual_scale=residual_scale,
        )


def _linear(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Return the weight as [out, in] and the bias, of a Linear module or of GPT-2's transposed Conv1D."""
    weight, bias = module.get_parameter("weight").detach(), getattr(module, "bias", None)
    return (weight.T if type(module).__name__ == "Conv1D" else weight), None if bias is None else bias.detach()


def _value_rows(weight: Tensor, sites: ArchitectureSpec, num_kv_heads: int, head_dim: int) -> Tensor:
    """Select the rows of the values from a projection [rows, in] and return them in the shape [G, U, in]."""
    if sites.value_packing == "heads":  # per head: query, key, value
        return weight.reshape(num_kv_heads, 3, head_dim, -1)[:, 2]
    values = weight if sites.value_packing == "alone" else weight[-num_kv_heads * head_dim :]
    return values.reshape(num_kv_heads, head_dim, -1)
