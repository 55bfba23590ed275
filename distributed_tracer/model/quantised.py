"""Quantised checkpoints: those that can be converted back to weights are listed, others are refused. No torch here.

Attribution multiplies by the weights, so quantised codes and scales must be converted when a model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from ..errors import ModelError

_NEEDS = {
    "fp8": "",
    "mxfp8": "",
    "mxfp4": "",
    "compressed-tensors": "compressed_tensors",
    "bitsandbytes": "bitsandbytes",
}
"""The quantisation methods that transformers can undo, with the package that it needs for each (empty if none)."""
_CONFIGS = {
    "fp8": "FineGrainedFP8Config",
    "mxfp8": "FineGrainedFP8Config",
    "mxfp4": "Mxfp4Config",
    "compressed-tensors": "CompressedTensorsConfig",
}


def method_of(config: Any) -> str | None:
    """Return the name of the method by which a model's weights are quantised, or None if they are not quantised.

    `config` is the library's config, or config.json as a mapping. Raises ModelError for a quantisation without a name.
    """
    for place in (config, _get(config, "text_config")):
        for key in ("quantization_config", "compression_config"):
            found = _get(place, key)
            if not found:
                continue
            if _get(found, "load_in_4bit") or _get(found, "load_in_8bit"):
                return "bitsandbytes"
            method = _get(found, "quant_method")
            if not method:
                raise ModelError(f"config.json has a {key} without quant_method: what its weights are is not known")
            return str(getattr(method, "value", method))
    return None


def check_readable(model: str, method: str | None) -> None:
    """Raise ModelError if quantised weights cannot be converted back at all, or not with the installed packages."""
    if method is None:
        return
    remedy = "give the checkpoint that this one was made from, in bfloat16, float16 or float32"
    if method not in _NEEDS:
        raise ModelError(
            f"model {model!r} is quantised by {method!r}, which is not undone here (but {', '.join(_NEEDS)} are): "
            f"{remedy}"
        )
    package = _NEEDS[method]
    if package and find_spec(package) is None:
        name = package.replace("_", "-")
        raise ModelError(
            f"model {model!r} is quantised by {method!r}, and {name} is not installed, which undoes it: "
            f"install it on every machine, or {remedy}"
        )


def options_for(method: str | None) -> dict[str, Any]:
    """Return the arguments with which `from_pretrained` converts quantised weights to numbers."""
    if method not in _CONFIGS:
        return {}
    from transformers.utils import quantization_config

    return {"quantization_config": getattr(quantization_config, _CONFIGS[method])(dequantize=True)}


def _get(place: Any, key: str) -> Any:
    return place.get(key) if isinstance(place, Mapping) else getattr(place, key, None)
