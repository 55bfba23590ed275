"""Sets whose tools compute around the weights give what those tools give, by their formulas in plain words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from rounding import round_off
from safetensors.torch import save_file
from torch import Tensor

from distributed_tracer.transcoder.base import Transcoders
from distributed_tracer.transcoder.load import load_transcoders
from distributed_tracer.transcoder.shard import Shard
from distributed_tracer.transcoder.sharded import ShardedTranscoders

NUM_FEATURES, WIDTH, K = 40, 16, 5
GENERATOR = torch.Generator().manual_seed(0)
X_PD = torch.randn(12, WIDTH, generator=GENERATOR, dtype=torch.float64)
TOLERANCE = round_off(torch.float64, NUM_FEATURES + WIDTH, magnitude=10.0)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def output(transcoders: Transcoders, x_PD: Tensor) -> tuple[Tensor, Tensor]:
    """Which features are active, [P, S], and the reconstruction [P, D] of layer 0."""
    positions_A, features_A, activations_A = transcoders.encode(0, x_PD)
    active_PS = torch.zeros(len(x_PD), NUM_FEATURES, dtype=torch.bool)
    active_PS[positions_A, features_A] = True
    y_PD = transcoders.decoder_bias(0).repeat(len(x_PD), 1)
    y_PD.index_add_(0, positions_A, activations_A[:, None] * transcoders.decoder_rows(0, features_A, 0))
    skip_DD = transcoders.skip(0)
    return active_PS, y_PD if skip_DD is None else y_PD + x_PD @ skip_DD.T


def check(source: Path, active_PS: Tensor, y_PD: Tensor) -> None:
    """However the set is kept: resident, lazy, in slices."""
    slices = [load_transcoders(str(source), dtype="float64", shard=Shard(n, 3), lazy=bool(n)) for n in range(3)]
    whole = [load_transcoders(str(source), dtype="float64", lazy=lazy) for lazy in (False, True)]
    for transcoders in (*whole, ShardedTranscoders(slices)):
        ours_PS, ours_PD = output(transcoders, X_PD)
        assert torch.equal(ours_PS, active_PS)
        assert (ours_PD - y_PD).abs().max() < TOLERANCE


def top(pre_PS: Tensor) -> Tensor:
    return torch.zeros_like(pre_PS).scatter(1, pre_PS.topk(K, dim=1).indices, 1.0)


@pytest.mark.parametrize("skip", [True, False])
def test_sparsify_before_transcode_was_a_setting(skip: bool, tmp_path: Path) -> None:
    W_enc, b_enc, W_dec = random(NUM_FEATURES, WIDTH), random(NUM_FEATURES), random(NUM_FEATURES, WIDTH) / 3
    b_dec, W_skip = random(WIDTH), random(WIDTH, WIDTH) / 4
    (tmp_path / "layers.0.mlp").mkdir()
    tensors = {"encoder.weight": W_enc, "encoder.bias": b_enc, "W_dec": W_dec, "b_dec": b_dec}
    save_file(tensors | ({"W_skip": W_skip} if skip else {}), tmp_path / "layers.0.mlp" / "sae.safetensors")
    config = {"expansion_factor": 32, "normalize_decoder": True, "num_latents": NUM_FEATURES, "k": K}
    config |= {"multi_topk": False, "skip_connection": skip, "d_in": WIDTH}
    (tmp_path / "layers.0.mlp" / "cfg.json").write_text(json.dumps(config))
    (tmp_path / "config.json").write_text(json.dumps({"transcode": True}))

    acts_PS = ((X_PD - b_dec) @ W_enc.double().T + b_enc).relu()
    acts_PS = acts_PS * top(acts_PS)
    y_PD = acts_PS @ W_dec.double() + b_dec
    check(tmp_path, acts_PS != 0, y_PD + X_PD @ W_skip.double().T if skip else y_PD)


@pytest.mark.parametrize("by_norm", [True, False])
@pytest.mark.parametrize("normalised", ["dataset-wise", "inference"])
@pytest.mark.parametrize("act_fn", ["relu", "jumprelu", "topk"])
def test_openmoss(act_fn: str, normalised: str, by_norm: bool, tmp_path: Path) -> None:
    W_E, b_E, W_D, b_D = random(WIDTH, NUM_FEATURES), random(NUM_FEATURES), random(NUM_FEATURES, WIDTH), random(WIDTH)
    W_D = W_D * torch.linspace(0.05, 0.4, NUM_FEATURES)[:, None]
    W_D[7] *= act_fn == "relu"  # else a dead feature
    log_threshold = random(NUM_FEATURES) / 2
    read_at, write_at = "blocks.0.ln2.hook_normalized", "blocks.0.hook_mlp_out"
    norms = {read_at: torch.tensor(3.0), write_at: torch.tensor(7.0)}
    tensors = {"W_E": W_E, "b_E": b_E, "W_D": W_D}
    tensors |= {f"dataset_average_activation_norm.{hook}": norm for hook, norm in norms.items()}
    bias = act_fn != "relu"
    tensors |= {"b_D": b_D} if bias else {}
    tensors |= {"activation_function.log_jumprelu_threshold": log_threshold} if act_fn == "jumprelu" else {}
    save_file(tensors, tmp_path / "sae_weights.safetensors")
    config = {
        "sae_type": "sae",
        "hook_point_in": read_at,
        "hook_point_out": write_at,
        "act_fn": act_fn,
        "top_k": K,
        "norm_activation": normalised,
        "sparsity_include_decoder_norm": by_norm,
        "use_decoder_bias": bias,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))

    scales = [WIDTH**0.5 / norm.item() if normalised == "dataset-wise" else 1.0 for norm in norms.values()]
    hidden_PS = (X_PD * scales[0]) @ W_E.double() + b_E
    compared_PS = hidden_PS * W_D.double().norm(dim=1) if by_norm else hidden_PS
    if act_fn == "topk":
        kept_PS = top(compared_PS.relu())
    else:
        kept_PS = (compared_PS > (log_threshold.double().exp() if act_fn == "jumprelu" else 0)).double()
    acts_PS = hidden_PS.relu() * kept_PS
    y_PD = (acts_PS @ W_D.double() + (b_D if bias else 0)) / scales[1]
    active_PS = acts_PS != 0
    if by_norm and act_fn != "relu":
        assert not active_PS[:, 7].any()
    check(tmp_path, active_PS, y_PD)
