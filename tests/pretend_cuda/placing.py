"""Tiny models and transcoders on pretended devices, placed as users place them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.utils import compute_module_sizes
from tiny import TOKENIZER, hf_model
from transformers import AutoTokenizer, PreTrainedModel

from distributed_tracer import load_transcoders
from distributed_tracer.config import DecoderPlace
from distributed_tracer.model.load import wrap
from distributed_tracer.model.model import Model
from distributed_tracer.transcoder.loaded import LoadedTranscoders

Placement = Literal["cpu", "one", "split", "split, decoders in files", "one, decoders on the host"]

_DECODERS: dict[Placement, DecoderPlace] = {"split, decoders in files": "files", "one, decoders on the host": "host"}


def placed_model(architecture: str, placement: Placement, dtype: torch.dtype = torch.float32) -> Model:
    """Return a tiny model on the CPU, on one pretended device, or split over two of them by accelerate."""
    model = hf_model(architecture).to(dtype)
    if placement.startswith("one"):
        model = model.to("cuda")
    elif placement != "cpu":
        model = _split(model)
    return wrap(model, AutoTokenizer.from_pretrained(TOKENIZER))


def placed_transcoders(source: Path, placement: Placement, dtype: str = "float32") -> LoadedTranscoders:
    """Load transcoders onto the CPU or onto the first pretended device."""
    decoders = _DECODERS.get(placement, "device")
    return load_transcoders(str(source), dtype, "cpu" if placement == "cpu" else "cuda", decoders=decoders)


def _split(model: PreTrainedModel) -> PreTrainedModel:
    """Split a model over two devices as `device_map="auto"` does where the first has no room for all of it."""
    size, whole_layers = compute_module_sizes(model)[""], model._no_split_modules
    for tenths in range(5, 10):  # some models have most of their weights in one layer, or tied to the embedding
        places = infer_auto_device_map(model, {0: size * tenths // 10, 1: 2**40}, no_split_module_classes=whole_layers)
        if set(places.values()) == {0, 1}:
            break
    assert set(places.values()) == {0, 1}, places
    split: PreTrainedModel = dispatch_model(model, {name: f"cuda:{number}" for name, number in places.items()})
    return split
