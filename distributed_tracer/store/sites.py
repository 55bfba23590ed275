"""Layers and features that the graphs of a store can have: what is out of range is an error, not an empty answer."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from ..errors import ConfigError
from .tables.conditions import Conditions, wanted_values


def check_site(layer: Any, feature: Any) -> None:
    """Raises ConfigError if the layer or the feature's index is not an integer from 0."""
    if not (_is_number(layer) and _is_number(feature)):
        raise ConfigError(f"a feature is (layer, index), whole numbers from 0, not ({layer!r}, {feature!r})")


def check_layer(layer: Any, num_layers: int, url: str) -> None:
    """Raises ConfigError for a layer that the graphs do not have; of no graphs, nothing is known."""
    if num_layers and not (_is_number(layer) and layer < num_layers):
        raise ConfigError(f"layer {layer!r} is not among the {num_layers} of {url}: 0 to {num_layers - 1}")


def check_layers(where: Conditions, num_layers: int, url: str) -> None:
    """Of conditions on nodes that nothing met: raises ConfigError if no node can be of the layers that they ask for.

    Tokens have layer -1, and targets the number of layers.
    """
    for name in sorted({"layer", "source_layer", "target_layer"} & where.keys()):
        wanted = [] if callable(where[name]) else wanted_values(where[name])
        if num_layers and wanted and not any(-1 <= layer <= num_layers for layer in wanted):
            raise ConfigError(f"{name!r} is from -1 (tokens) to {num_layers} (targets) in {url}, not {wanted}")


def _is_number(given: Any) -> bool:
    return isinstance(given, Integral) and not isinstance(given, bool) and int(given) >= 0
