"""A model that overflows on a prompt is that prompt's failure, not an endless loop or a graph of NaNs."""

from __future__ import annotations

import pytest
import torch
from tiny import CASES

from distributed_tracer.config import TraceConfig
from distributed_tracer.errors import PromptError
from distributed_tracer.model.load import load_model
from distributed_tracer.trace.attribute import attribute
from distributed_tracer.transcoder.load import load_transcoders


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_an_error(value: float) -> None:
    case = CASES / "llama_relu_plt"
    model, transcoders = load_model(str(case / "model")), load_transcoders(str(case / "transcoders"))
    with torch.no_grad():
        model.hf.get_input_embeddings().get_parameter("weight")[40, 0] = value
    with pytest.raises(PromptError, match="not finite"):
        attribute([1, 41, 40, 42], model, transcoders, TraceConfig(max_feature_nodes=8, round_size=4))
    assert attribute([1, 41, 42], model, transcoders).num_edges > 0
