"""Feature bounds: layers and features that the graphs of a store can have.

Values out of range are errors, not empty results.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

from ...errors import ConfigError
from .conditions import Conditions, wanted_values


def check_site(layer: Any, feature: Any) -> None:
    """Raise ConfigError if the layer or the feature's index is not an integer of at least 0."""
    if not (_is_number(layer) and _is_number(feature)):
        raise ConfigError(f"a feature is (layer, index), whole numbers from 0, not ({layer!r}, {feature!r})")


def check_layer(layer: Any, num_layers: int, url: str) -> None:
    """Raise ConfigError for a layer that the graphs do not have; nothing is known about a store without graphs."""
    if num_layers and not (_is_number(layer) and layer < num_layers):
        raise ConfigError(f"layer {layer!r} is not among the {num_layers} of {url}: 0 to {num_layers - 1}")


def check_feature(layer: int, feature: int, num_layers: int, info: Mapping[str, Any], url: str) -> None:
    """Raise ConfigError if no graph of the store can have this feature. Called for a feature that no graph has.

    The check uses the number of layers and `info`, the content of run.json. Stores of early versions do not record how
    many features a layer has.
    """
    check_layer(layer, num_layers, url)
    sizes = info.get("num_features")
    if not (num_layers and isinstance(sizes, list) and len(sizes) == num_layers and all(map(_is_number, sizes))):
        return
    if feature >= sizes[layer]:
        raise ConfigError(
            f"feature {layer}:{feature} is not among the {sizes[layer]:,} of layer {layer} in {url}: "
            f"{layer}:0 to {layer}:{sizes[layer] - 1}"
        )


def check_layers(where: Conditions, num_layers: int, url: str) -> None:
    """Raise ConfigError if no node can be of the layers that the conditions ask for.

    Called if nothing met the conditions.

    Tokens have layer -1, and targets have the number of layers as their layer.
    """
    for name in sorted({"layer", "source_layer", "target_layer"} & where.keys()):
        wanted = [] if callable(where[name]) else wanted_values(where[name])
        if num_layers and wanted and not any(-1 <= layer <= num_layers for layer in wanted):
            raise ConfigError(f"{name!r} is from -1 (tokens) to {num_layers} (targets) in {url}, not {wanted}")


def check_active_layers(where: Conditions, num_layers: int, url: str) -> None:
    """Raise ConfigError if no active feature can be of the layers that the conditions ask for.

    Called if nothing met the conditions.
    """
    wanted = wanted_values(where["layer"]) if "layer" in where and not callable(where["layer"]) else []
    if num_layers and wanted and not any(0 <= layer < num_layers for layer in wanted):
        raise ConfigError(f"'layer' is from 0 to {num_layers - 1} for active features in {url}, not {wanted}")


def _is_number(given: Any) -> bool:
    return isinstance(given, Integral) and not isinstance(given, bool) and int(given) >= 0
