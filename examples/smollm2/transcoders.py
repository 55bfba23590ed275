"""Rough transcoders for any supported model, fitted to a text in about a minute on a CPU.

    python examples/smollm2/transcoders.py MODEL_DIRECTORY OUT_DIRECTORY [TEXT_FILE ...]

Encoder rows are MLP inputs that occur in the text, thresholds let each feature fire on a fixed share of tokens, and
decoders are a ridge regression of the MLP's outputs on the activations. These transcoders give honest error nodes and
realistic loads. Nobody has examined what the features mean, and they explain less than trained ones.

Axes: I token of the text, D model width, S feature of the dictionary, P position.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from distributed_tracer import Model, load_model, run_with_cache

NUM_FEATURES = 2048
ACTIVE_PER_TOKEN = 30
WINDOW = 256  # tokens per forward pass
MAX_TOKENS = 20_000
RIDGE = 1e-2  # as a share of the mean squared activation

DEFAULT_TEXT = [Path(__file__).parents[2] / name for name in ("README.md", "LICENSE", "CONTRIBUTING.md")]


def mlp_values(model: Model, text: str) -> tuple[list[Tensor], list[Tensor]]:
    """Return MLP inputs and outputs [I, D] of every layer over the text, without each window's leading token."""
    tokens = model.tokenizer(text, add_special_tokens=False)["input_ids"][:MAX_TOKENS]
    leading = model.tokenizer.bos_token_id
    caches = [
        run_with_cache(model, [leading, *tokens[start : start + WINDOW - 1]], "mlp.hook_in", "mlp.hook_out")
        for start in range(0, len(tokens), WINDOW - 1)
    ]
    layers = range(model.shape.num_layers)
    inputs = [torch.cat([cache.inputs_PD[layer][1:] for cache in caches]) for layer in layers]
    return inputs, [torch.cat([cache.outputs_PD[layer][1:] for cache in caches]) for layer in layers]


def fit(x_ID: Tensor, y_ID: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Return one layer's JumpReLU transcoder in circuit-tracer's file format."""
    mean_D, spread_D = x_ID.mean(0), x_ID.std(0) + 1e-6
    chosen = torch.randint(len(x_ID), (NUM_FEATURES,), generator=generator)
    direction_SD = torch.nn.functional.normalize((x_ID[chosen] - mean_D) / spread_D, dim=1)
    encoder_SD = direction_SD / spread_D
    bias_S = -(encoder_SD @ mean_D)
    pre_IS = x_ID @ encoder_SD.T + bias_S
    num_firing = max(1, len(x_ID) * ACTIVE_PER_TOKEN // NUM_FEATURES)
    threshold_S = pre_IS.topk(num_firing + 1, dim=0).values[-1].clamp_min(1e-3)
    active_IS = pre_IS * (pre_IS > threshold_S)
    centre_D = y_ID.mean(0)
    gram_SS = active_IS.T @ active_IS
    gram_SS.diagonal().add_(RIDGE * float(gram_SS.diagonal().mean()))
    decoder_SD = torch.linalg.solve(gram_SS, active_IS.T @ (y_ID - centre_D))
    return {
        "W_enc": encoder_SD,
        "b_enc": bias_S,
        "W_dec": decoder_SD,
        "b_dec": centre_D,
        "activation_function.threshold": threshold_S,
    }


def main(model_directory: str, out: Path, texts: list[Path]) -> None:
    """Fit a transcoder for every layer and write the set."""
    model = load_model(model_directory)
    text = "\n".join(path.read_text(encoding="utf-8") for path in texts)
    inputs, outputs = mlp_values(model, text)
    print(f"{len(inputs[0]):,} tokens of text")
    out.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    for layer, (x_ID, y_ID) in enumerate(zip(inputs, outputs, strict=True)):
        save_file(
            {k: v.contiguous() for k, v in fit(x_ID, y_ID, generator).items()}, out / f"layer_{layer}.safetensors"
        )
        print(f"layer {layer + 1} of {len(inputs)}", flush=True)
    config = {
        "model_name": model_directory,
        "model_kind": "transcoder_set",
        "feature_input_hook": "mlp.hook_in",
        "feature_output_hook": "mlp.hook_out",
    }
    (out / "config.yaml").write_text(yaml.safe_dump(config))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]), [Path(p) for p in sys.argv[3:]] or DEFAULT_TEXT)
