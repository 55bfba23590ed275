"""random_transcoders: as many features fire as asked, and what they write is as large as the MLP's output."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from rounding import additions, of_norms
from tiny import LAYERS, WIDTH, save_model

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

import random_transcoders

from distributed_tracer import load_model, load_transcoders


def test_the_set_loads_and_has_the_density_and_size_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = save_model(tmp_path / "model"), tmp_path / "transcoders"
    command = [str(source), str(out), "--features", "160", "--active", "8"]
    monkeypatch.setattr(sys, "argv", ["random_transcoders.py", *command])
    monkeypatch.setattr(random_transcoders, "CHUNK", 64)
    random_transcoders.main()

    transcoders = load_transcoders(str(out))
    inputs, outputs = random_transcoders.mlp_values(load_model(str(source)))
    for layer in range(LAYERS):
        position, feature, activation = transcoders.encode(layer, inputs[layer])
        tokens = len(inputs[layer]) * 8 / 160  # of each feature: a whole number
        assert len(feature) / len(inputs[layer]) == pytest.approx(8, rel=1 / tokens)
        assert len(feature.unique()) == 160
        assert activation.min() > 0
        written = torch.zeros_like(outputs[layer])
        written.index_add_(0, position, transcoders.decoder_rows(layer, feature, layer) * activation[:, None])
        wanted = outputs[layer] - transcoders.decoder_bias(layer)
        off = of_norms(torch.float32, additions(LAYERS, WIDTH)) + 1 / len(feature)  # one at its threshold may not fire
        assert float(written.norm()) == pytest.approx(float(wanted.norm()), rel=off)
