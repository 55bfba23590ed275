"""Norms in half precision."""

from __future__ import annotations

import pytest
import torch
from rounding import of_roundings, round_off
from tiny import tiny_model


@pytest.mark.parametrize("architecture", ["gemma", "gemma2", "gemma3_text"])
def test_one_plus_a_weight_is_not_rounded_before_the_product_is(architecture: str) -> None:
    model = tiny_model(architecture, torch.bfloat16)
    x = torch.randn(200, model.shape.d_model, generator=torch.Generator().manual_seed(0)).bfloat16()
    norm = model.layers[0].mlp_norm
    path = model.sites.mlp_norm
    assert norm is not None
    assert path is not None
    weight = model.decoder_layers[0].get_submodule(path).get_parameter("weight").double()
    exact = x.double() * (x.double().square().mean(-1, keepdim=True) + norm.eps).rsqrt() * (1 + weight)
    # One rounding to bfloat16; a second one, of 1 + w, would make up to twice that. The rest is for float32: a sum of
    # squares, a root and two products.
    allowed = of_roundings(torch.bfloat16, 1) + round_off(torch.float32, model.shape.d_model + 3)
    relative = (norm.forward(x, norm.scale(x)).double() - exact).abs() / exact.abs()
    assert relative.max() <= allowed
    theirs = model.decoder_layers[0].get_submodule(path)(x)
    off = of_roundings(torch.bfloat16, 2)  # one here and one there
    torch.testing.assert_close(norm.forward(x, norm.scale(x)), theirs, rtol=off, atol=0)
