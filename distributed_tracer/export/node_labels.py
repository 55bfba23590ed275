"""Labels of nodes, as the formats that have values by node write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..graph.labels import Label, Labels


def labels_of(attributes: Mapping[str, Any], labels: Labels) -> Sequence[Label]:
    """Return the labels of a node, given its values as `Graph.node_attributes` yields them; only features have some."""
    return labels.get(attributes["layer"], attributes["feature"]) if attributes["kind"] == "feature" else ()


def as_objects(attributes: Mapping[str, Any], labels: Labels) -> list[dict[str, str]]:
    """Return the labels of a node as plain objects with the keys `text` and `source`."""
    return [label._asdict() for label in labels_of(attributes, labels)]
