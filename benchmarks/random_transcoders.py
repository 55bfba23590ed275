"""Random JumpReLU transcoders for any supported model: a load of known density, without meaning.

    python benchmarks/random_transcoders.py MODEL_DIRECTORY OUT_DIRECTORY [--features 4096] [--active 44] [--seed 0]

They are per-layer transcoders in circuit-tracer's file format, float32, `mlp.hook_in` to `mlp.hook_out`. For a
benchmark they only need to resemble trained ones in how many features fire where, and in that they and the errors write
at the same scale:

- Encoders are normal in the standardised MLP input, so pre-activations have mean 0 and spread about 1 in every layer.
- Each feature has a threshold of its own, above which it fires on a share active / features of the calibration text:
  `--active` features per token and layer on average. Plain English comes near that (SmolLM2-135M, asked for 44:
  54, 45, 43 on prose of 10, 30, 80 tokens), unusual text higher (top of the licence, capitals and addresses: 55, 80,
  76).
- Decoders are normal, scaled layer by layer so that what the active features write has the mean squared norm of the
  MLP's output minus its mean, which is `b_dec`. Nothing is fitted, so the error is then about 1.4 times the output.
  With much smaller decoders the errors would be nearly all of every row, and the choice of features mostly noise.

The text is this repository's licence and then the help topics of the Python that runs this: another version of Python
gives slightly different thresholds. Memory beyond the model's: MLP inputs and outputs of the text at all layers (tokens
x width x layers x 8 bytes), one layer's transcoder, and pre-activations of 4,096 features at a time.

Axes: I token of the text, P position, L layer, D model width, S feature of the dictionary, F feature of a chunk.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from distributed_tracer.model.forward_cache import run_with_cache
from distributed_tracer.model.load import load_model
from distributed_tracer.model.model import Model

NUM_TOKENS = 3072
WINDOW = 128  # maximum number of tokens per forward pass, including the leading special token
CHUNK = 4096


def calibration_tokens(model: Model) -> list[int]:
    """Return the first 3,072 tokens of the text."""
    texts = ((Path(__file__).parents[1] / "LICENSE").read_text(encoding="utf-8"), *map(topics.get, sorted(topics)))
    tokens = (token for text in texts for token in model.tokenizer(text, add_special_tokens=False)["input_ids"])
    return list(islice(tokens, NUM_TOKENS))


def mlp_values(model: Model) -> tuple[list[Tensor], list[Tensor]]:
    """Return MLP inputs and outputs [I, D] of every layer, without each window's leading special token."""
    tokens, leading = calibration_tokens(model), model.tokenizer.bos_token_id
    step = min(WINDOW, model.shape.max_positions) - 1
    size = model.shape.num_layers, len(tokens), model.shape.d_model
    inputs_LID, outputs_LID = torch.empty(size), torch.empty(size)
    for start in range(0, len(tokens), step):
        window = tokens[start : start + step]
        begin = [] if leading is None else [leading]
        cache = run_with_cache(model, [*begin, *window], "mlp.hook_in", "mlp.hook_out")
        for layer, (x_PD, y_PD) in enumerate(zip(cache.inputs_PD, cache.outputs_PD, strict=True)):
            inputs_LID[layer, start : start + len(window)] = x_PD[len(begin) :].float().cpu()
            outputs_LID[layer, start : start + len(window)] = y_PD[len(begin) :].float().cpu()
    return list(inputs_LID), list(outputs_LID)


def calibrated(
    x_ID: Tensor, y_ID: Tensor, num_features: int, num_active: float, generator: torch.Generator
) -> tuple[dict[str, Tensor], float]:
    """Return one layer's transcoder, and how many of its features fire per token of the text on average."""
    width = x_ID.shape[1]
    encoder_SD = torch.randn(num_features, width, generator=generator).div_((x_ID.std(0) + 1e-6) * width**0.5)
    bias_S = -(encoder_SD @ x_ID.mean(0))
    decoder_SD = torch.randn(num_features, width, generator=generator)
    num_firing = max(1, round(len(x_ID) * num_active / num_features))
    threshold_S, written_ID, fired = torch.empty(num_features), torch.zeros_like(y_ID), 0
    for start in range(0, num_features, CHUNK):
        chunk = slice(start, start + CHUNK)
        pre_IF = x_ID @ encoder_SD[chunk].T + bias_S[chunk]
        threshold_S[chunk] = pre_IF.topk(num_firing + 1, dim=0).values[-1].clamp_min(1e-3)
        active_IF = pre_IF * (pre_IF > threshold_S[chunk])
        fired += int(active_IF.count_nonzero())
        written_ID += active_IF @ decoder_SD[chunk]
    mean_D = y_ID.mean(0)
    decoder_SD *= (y_ID - mean_D).norm() / written_ID.norm()
    tensors = {"W_enc": encoder_SD, "b_enc": bias_S, "W_dec": decoder_SD, "b_dec": mean_D}
    return {**tensors, "activation_function.threshold": threshold_S}, fired / len(x_ID)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--features", type=int, default=4096, help="per layer")
    parser.add_argument("--active", type=float, default=44, help="per token and layer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    generator = torch.Generator().manual_seed(args.seed)
    inputs, outputs = mlp_values(load_model(args.model))
    print(f"{len(inputs[0]):,} tokens of text, {len(inputs)} layers")
    args.out.mkdir(parents=True, exist_ok=True)
    for layer, (x_ID, y_ID) in enumerate(zip(inputs, outputs, strict=True)):
        tensors, active = calibrated(x_ID, y_ID, args.features, args.active, generator)
        save_file(tensors, args.out / f"layer_{layer}.safetensors")
        lowest = float(tensors["activation_function.threshold"].min())
        print(f"layer {layer}: {active:.1f} features per token, lowest threshold {lowest:.2f}", flush=True)
    config = {
        "model_name": args.model,
        "model_kind": "transcoder_set",
        "feature_input_hook": "mlp.hook_in",
        "feature_output_hook": "mlp.hook_out",
    }
    (args.out / "config.yaml").write_text(yaml.safe_dump(config))


if __name__ == "__main__":
    main()
