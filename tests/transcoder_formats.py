"""One tiny set of transcoders, written in every format, and the expected results, computed in the plainest way.

Every number is a small multiple of 1/4, so float32 and bfloat16 hold all sums exactly in any order, and results are
compared bit for bit. There are many ties between features, and many pre-activations that equal their threshold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

NUM_LAYERS, SIZE, WIDTH, K = 3, 11, 6, 4


def quarters(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randint(-4, 5, shape, generator=generator) / 4


def unit_rows(generator: torch.Generator, *shape: int) -> Tensor:
    """Return vectors of norm exactly 1: four of their entries are 1/2 or -1/2."""
    places = torch.rand(*shape, generator=generator).argsort(dim=-1) < 4
    signs = torch.randint(0, 2, shape, generator=generator) - 0.5
    return places * signs


@dataclass(frozen=True)
class Weights:
    """The weights of one layer.

    W_dec, made of vectors of norm 1, is [S, L - layer, D]; a per-layer transcoder has the first output only. The skip
    is `W_skip @ x`.
    """

    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    threshold: Tensor
    W_skip: Tensor


def random_weights(seed: int = 0) -> list[Weights]:
    generator = torch.Generator().manual_seed(seed)
    return [
        Weights(
            W_enc=quarters(generator, SIZE, WIDTH),
            b_enc=quarters(generator, SIZE),
            W_dec=unit_rows(generator, SIZE, NUM_LAYERS - layer, WIDTH),
            b_dec=quarters(generator, WIDTH),
            threshold=quarters(generator, SIZE),
            W_skip=quarters(generator, WIDTH, WIDTH),
        )
        for layer in range(NUM_LAYERS)
    ]


def save(tensors: Mapping[str, Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def save_npz(tensors: Mapping[str, Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})


def write_yaml(directory: Path, kind: str = "transcoder_set", **more: object) -> None:
    config = {"model_kind": kind, "feature_input_hook": "mlp.hook_in", "feature_output_hook": "hook_mlp_out", **more}
    (directory / "config.yaml").write_text(yaml.safe_dump(config))


def plt_tensors(w: Weights) -> dict[str, Tensor]:
    return {"W_enc": w.W_enc, "b_enc": w.b_enc, "W_dec": w.W_dec[:, 0], "b_dec": w.b_dec}


def gemma_tensors(w: Weights) -> dict[str, Tensor]:
    return {**plt_tensors(w), "W_enc": w.W_enc.T, "threshold": w.threshold}


def gemma_2_tensors(w: Weights) -> dict[str, Tensor]:
    return {name.lower(): tensor for name, tensor in gemma_tensors(w).items()}


def write_plt(
    directory: Path,
    weights: list[Weights],
    threshold: bool = False,
    skip: bool = False,
    as_row: bool = False,
    **config: Any,
) -> None:
    for layer, w in enumerate(weights):
        thresholds = w.threshold[None] if as_row else w.threshold
        more = {"activation_function.threshold": thresholds} if threshold else {}
        save(
            {**plt_tensors(w), **more, **({"W_skip": w.W_skip} if skip else {})},
            directory / f"layer_{layer}.safetensors",
        )
    write_yaml(directory, **config)


def write_plt_bfloat16(directory: Path, weights: list[Weights]) -> None:
    for layer, w in enumerate(weights):
        tensors = {name: tensor.bfloat16() for name, tensor in plt_tensors(w).items()}
        save(tensors, directory / f"layer_{layer}.safetensors")
    write_yaml(directory)


def write_plt_list(directory: Path, weights: list[Weights]) -> None:
    names = [f"some/where/{'abc'[layer]}.safetensors" for layer in range(len(weights))]
    for name, w in zip(names, weights, strict=True):
        save(plt_tensors(w), directory / name)
    write_yaml(directory, transcoders=names, activation="relu")


def write_clt(
    directory: Path, weights: list[Weights], threshold: bool = False, skip: bool = False, as_row: bool = False
) -> None:
    for layer, w in enumerate(weights):
        more = {f"threshold_{layer}": w.threshold[None] if as_row else w.threshold} if threshold else {}
        more |= {f"W_skip_{layer}": w.W_skip.T} if skip else {}
        encoder = {f"W_enc_{layer}": w.W_enc, f"b_enc_{layer}": w.b_enc, f"b_dec_{layer}": w.b_dec}
        save({**encoder, **more}, directory / f"W_enc_{layer}.safetensors")
        save({f"W_dec_{layer}": w.W_dec}, directory / f"W_dec_{layer}.safetensors")
    write_yaml(directory, "cross_layer_transcoder")


def write_gemma_scope(directory: Path, weights: list[Weights], config: bool = False) -> None:
    names = [f"layer_{layer}/width_16k/average_l0_{70 + layer}/params.npz" for layer in range(len(weights))]
    for name, w in zip(names, weights, strict=True):
        save_npz(gemma_tensors(w), directory / name)
    if config:
        write_yaml(directory, transcoders=names, feature_input_hook="ln2.hook_normalized")


def write_gemma_scope_2(directory: Path, weights: list[Weights], affine: bool = False, config: bool = False) -> None:
    names = [f"layer_{layer}_width_16k_l0_small" for layer in range(len(weights))]
    for layer, (name, w) in enumerate(zip(names, weights, strict=True)):
        skip = {"affine_skip_connection": w.W_skip.T} if affine else {}
        save({**gemma_2_tensors(w), **skip}, directory / name / "params.safetensors")
        described = {
            "hf_hook_point_in": f"model.layers.{layer}.pre_feedforward_layernorm.output",
            "hf_hook_point_out": f"model.layers.{layer}.post_feedforward_layernorm.output",
            "architecture": "jump_relu",
            "affine_connection": affine,
            "type": "transcoder",
            "width": 16384,
            "l0": 20,
            "model_name": "google/gemma-3-1b-pt",
        }
        (directory / name / "config.json").write_text(json.dumps(described))
    if config:
        write_yaml(directory, transcoders=[f"{name}/params.safetensors" for name in names])


def write_gemma_scope_2_clt(
    directory: Path, weights: list[Weights], config: bool = False, described: bool = False
) -> None:
    names = [f"width_16k/params_layer_{layer}.safetensors" for layer in range(len(weights))]
    for layer, (name, w) in enumerate(zip(names, weights, strict=True)):
        earlier = torch.full((SIZE, layer, WIDTH), 7.0)
        tensors = {**gemma_2_tensors(w), "w_dec": torch.cat([earlier, w.W_dec], dim=1)}
        save({**tensors, "affine_skip_connection": w.W_skip.T}, directory / name)
    if described:
        settings = {
            "hf_hook_point_in": "model.layers.{layer}.pre_feedforward_layernorm.output",
            "hf_hook_point_out": "model.layers.{layer}.post_feedforward_layernorm.output",
            "width": 16384,
            "l0": 20,
            "model_name": "google/gemma-3-1b-pt",
            "architecture": "jump_relu",
            "affine_connection": True,
            "type": "clt",
        }
        (directory / "width_16k" / "config.json").write_text(json.dumps(settings))
    if config:
        write_yaml(directory, "cross_layer_transcoder", transcoders=names)


def write_saelens(
    directory: Path, weights: list[Weights], architecture: str, flat: bool = False, **more: object
) -> None:
    for layer, w in enumerate(weights):
        folder = directory / f"number-{layer}"
        tensors = gemma_tensors(w) | ({"W_skip": w.W_skip} if "skip" in architecture else {})
        if "jumprelu" not in architecture:
            del tensors["threshold"]
        save(tensors, folder / "sae_weights.safetensors")
        hooks = {"hook_name": f"blocks.{layer}.mlp.hook_in", "hook_name_out": f"blocks.{layer}.hook_mlp_out"}
        config = {"architecture": architecture, "apply_b_dec_to_input": False, "normalize_activations": "none"}
        config |= {"d_in": WIDTH, "d_out": WIDTH, "d_sae": SIZE, "dtype": "float32", "device": "cpu"}
        trained = {"model_name": "gpt2", "context_size": 128, "prepend_bos": True, "dataset_path": "text"}
        trained |= {"model_from_pretrained_kwargs": {"fold_ln": False}, "seqpos_slice": [None]}
        if flat:  # the form before version 6
            old = {"hook_layer": layer, "activation_fn_str": "relu", "activation_fn_kwargs": {}, "neuronpedia_id": None}
            config |= {**hooks, **trained, **old, "finetuning_scaling_factor": False, "hook_head_index": None}
        else:
            details = {"l1_coefficient": 1.0, "dead_feature_window": 1000}
            trained |= {"sae_lens_version": "6.54.12", "training_architecture_details": details}
            config |= {"reshape_activations": "none", "metadata": {**hooks, **trained, "hook_head_index": None}}
        (folder / "cfg.json").write_text(json.dumps({**config, **more}))


def write_sparsify(directory: Path, weights: list[Weights], skip: bool = False, **more: object) -> None:
    """Write the format of sparsify.

    `transcode` None means a file from before that setting existed: its weights are for an encoder that reads x - b_dec.
    """
    for layer, w in enumerate(weights):
        b_enc = w.b_enc if more.get("transcode", True) else w.b_enc + w.W_enc @ w.b_dec
        tensors = {"encoder.weight": w.W_enc, "encoder.bias": b_enc, "W_dec": w.W_dec[:, 0], "b_dec": w.b_dec}
        folder = directory / f"layers.{layer}.mlp"
        save(tensors | ({"W_skip": w.W_skip} if skip else {}), folder / "sae.safetensors")
        config = {"activation": "topk", "k": K, "skip_connection": skip, "transcode": True, "d_in": WIDTH}
        config |= {"expansion_factor": 32, "normalize_decoder": True, "num_latents": SIZE, "multi_topk": False, **more}
        if config["transcode"] is None:
            del config["transcode"], config["activation"]
        (folder / "cfg.json").write_text(json.dumps(config))


def write_sparsify_of_a_training(directory: Path, weights: list[Weights]) -> None:
    write_sparsify(directory, weights, transcode=None)
    (directory / "config.json").write_text(
        json.dumps({"transcode": True, "loss_fn": "fvu", "lr": None, "save_every": 1})
    )


def write_openmoss(
    directory: Path, weights: list[Weights], act_fn: str = "relu", by_norm: bool = False, scaled: bool = False
) -> None:
    """Write the format of OpenMOSS.

    With `by_norm`, decoders have other norms, and features are compared by pre-activations times these. With `scaled`,
    the input is doubled, and what is stored was four times the output.
    """
    for layer, w in enumerate(weights):
        norm_S1 = torch.tensor([0.5, 1, 2, 8])[torch.arange(SIZE) % 4, None] if by_norm else torch.ones(SIZE, 1)
        hooks = {"hook_point_in": f"blocks.{layer}.mlp.hook_in", "hook_point_out": f"blocks.{layer}.hook_mlp_out"}
        scale_in, scale_out = (2, 4) if scaled else (1, 1)
        root = torch.tensor(WIDTH, dtype=torch.float64).sqrt()
        tensors = {
            "W_E": (w.W_enc / scale_in / norm_S1).T,
            "b_E": w.b_enc / norm_S1[:, 0],
            "W_D": w.W_dec[:, 0] * norm_S1 * scale_out,
            "b_D": w.b_dec * scale_out,
            f"dataset_average_activation_norm.{hooks['hook_point_in']}": root / scale_in,
            f"dataset_average_activation_norm.{hooks['hook_point_out']}": root / scale_out,
        }
        config = {
            "sae_type": "sae",
            "d_model": WIDTH,
            "expansion_factor": 8,
            "use_decoder_bias": True,
            **hooks,
            "act_fn": act_fn,
            "top_k": K,
            "norm_activation": "dataset-wise" if scaled else "inference",
            "sparsity_include_decoder_norm": by_norm,
            "use_glu_encoder": False,
            "use_triton_kernel": False,
            "sparsity_threshold_for_triton_spmm_kernel": 0.996,
            "jumprelu_threshold_window": 2.0,
        }
        folder = directory / f"layer{layer}_transcoder_8x_k{K}"
        save(tensors, folder / "sae_weights.safetensors")
        (folder / "config.json").write_text(json.dumps(config))


@dataclass(frozen=True)
class Format:
    """How to write a format, and what its files mean."""

    write: Callable[..., None]
    activation: str
    kind: str = "plt"
    skip: bool = False
    positive_only: bool = False
    input_site: str = "mlp.hook_in"
    output_site: str = "hook_mlp_out"
    options: dict[str, Any] = field(default_factory=dict)

    def save(self, directory: Path, weights: list[Weights]) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        self.write(directory, weights, **self.options)
        return directory


TOPK = {"activation": "topk", "k": K}
FORMATS = {
    "plt-relu": Format(write_plt, "relu"),
    "plt-jumprelu": Format(write_plt, "jumprelu", options={"threshold": True}),
    "plt-jumprelu-thresholds-in-a-row": Format(write_plt, "jumprelu", options={"threshold": True, "as_row": True}),
    "plt-topk-skip": Format(write_plt, "topk", skip=True, options={"skip": True, **TOPK}),
    "plt-bfloat16": Format(write_plt_bfloat16, "relu"),
    "plt-list": Format(write_plt_list, "relu"),
    "clt-relu": Format(write_clt, "relu", "clt"),
    "clt-jumprelu-skip": Format(write_clt, "jumprelu", "clt", skip=True, options={"threshold": True, "skip": True}),
    "clt-jumprelu-thresholds-in-a-row": Format(
        write_clt, "jumprelu", "clt", options={"threshold": True, "as_row": True}
    ),
    "gemma-scope": Format(write_gemma_scope, "jumprelu", input_site="ln2.hook_normalized"),
    "gemma-scope-list": Format(
        write_gemma_scope, "jumprelu", input_site="ln2.hook_normalized", options={"config": True}
    ),
    "gemma-scope-2": Format(write_gemma_scope_2, "jumprelu"),
    "gemma-scope-2-affine-list": Format(
        write_gemma_scope_2, "jumprelu", skip=True, options={"affine": True, "config": True}
    ),
    "gemma-scope-2-clt": Format(write_gemma_scope_2_clt, "jumprelu", "clt", skip=True),
    "gemma-scope-2-clt-described": Format(
        write_gemma_scope_2_clt, "jumprelu", "clt", skip=True, options={"described": True}
    ),
    "gemma-scope-2-clt-list": Format(write_gemma_scope_2_clt, "jumprelu", "clt", skip=True, options={"config": True}),
    "saelens": Format(write_saelens, "relu", options={"architecture": "transcoder"}),
    "saelens-flat-skip": Format(
        write_saelens, "relu", skip=True, options={"architecture": "skip_transcoder", "flat": True}
    ),
    "saelens-jumprelu": Format(
        write_saelens, "jumprelu", positive_only=True, options={"architecture": "jumprelu_transcoder"}
    ),
    "saelens-jumprelu-skip": Format(
        write_saelens, "jumprelu", skip=True, positive_only=True, options={"architecture": "jumprelu_skip_transcoder"}
    ),
    "sparsify": Format(write_sparsify, "topk", positive_only=True, output_site="mlp.hook_out"),
    "sparsify-skip": Format(
        write_sparsify, "topk", skip=True, positive_only=True, output_site="mlp.hook_out", options={"skip": True}
    ),
    "sparsify-before-transcode-skip": Format(
        write_sparsify,
        "topk",
        skip=True,
        positive_only=True,
        output_site="mlp.hook_out",
        options={"skip": True, "transcode": None},
    ),
    "sparsify-before-transcode": Format(
        write_sparsify_of_a_training, "topk", positive_only=True, output_site="mlp.hook_out"
    ),
    "openmoss": Format(write_openmoss, "relu"),
    "openmoss-scaled": Format(write_openmoss, "relu", options={"scaled": True}),
    "openmoss-topk": Format(write_openmoss, "topk", positive_only=True, options={"act_fn": "topk"}),
    "openmoss-topk-by-norm": Format(
        write_openmoss, "topk", positive_only=True, options={"act_fn": "topk", "by_norm": True}
    ),
}


def expected_active(written: Format, w: Weights, x_PD: Tensor) -> list[tuple[int, int, float]]:
    """Return position, feature and activation of each active feature, computed number by number."""
    active = []
    for position, pre_S in enumerate((x_PD @ w.W_enc.T + w.b_enc).tolist()):
        if written.positive_only or written.activation == "relu":
            pre_S = [max(0.0, value) for value in pre_S]
        largest = sorted(range(SIZE), key=lambda feature: (-pre_S[feature], feature))[:K]
        for feature, value in enumerate(pre_S):
            jumps = written.activation != "jumprelu" or value > w.threshold[feature]
            if value != 0 and jumps and (written.activation != "topk" or feature in largest):
                active.append((position, feature, value))
    return active
