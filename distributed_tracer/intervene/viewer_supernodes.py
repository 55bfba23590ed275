"""Reads groups of features that a person made in a graph viewer, as Supernodes. The input is not trusted.

The graph viewers in use keep these groups as `supernodes`, lists of a name and node ids, beside `pinnedIds` and
`clerps` (names of single nodes), either in a page's address or under `qParams` in a graph's JSON file. A node's id is
`layer_feature_position`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .. import plain_values
from ..documents.json_text import parse_json
from ..documents.text import read_text
from ..errors import InterventionError
from .supernode import Feature, Supernode

_SITE = re.compile(r"([0-9]{1,9})_([0-9]{1,9})_([0-9]{1,9})")
_MAX_BYTES = 256 * 2**20
"""Largest JSON file that is read. A graph of ten thousand nodes with all its edges has 100 MB."""
_MAX_FIELDS = 1000
_NO_FEATURES = ("embedding", "logit", "mlp reconstruction error")


@dataclass(frozen=True)
class ViewerSupernodes:
    """A supernode per group, then one per pinned feature in no group; `left_out` lists ids that are no features."""

    supernodes: tuple[Supernode, ...]
    left_out: tuple[str, ...]


def load_viewer_supernodes(place: str, num_layers: int) -> ViewerSupernodes:
    """Return the groups saved in a JSON file or in an address. Raises InterventionError."""
    return groups_of_url(place, num_layers) if "://" in place else groups_of_file(place, num_layers)


def groups_of_url(url: str, num_layers: int) -> ViewerSupernodes:
    """Return the groups in the address of a viewer's page, local or public. Nothing is fetched.

    Ids of layers from `num_layers` on are target nodes; an address does not distinguish them from features in any other
    way. The id of an error node looks like that of a feature of layer 0; only the JSON file tells them apart. Raises
    InterventionError.
    """
    try:
        found = parse_qs(urlsplit(url).query, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise InterventionError(f"not an address: {error}") from None
    return _groups({name: values[0] for name, values in found.items()}, {}, {}, num_layers)


def groups_of_file(path: str | PathLike[str], num_layers: int) -> ViewerSupernodes:
    """Return the groups saved in a graph's JSON file, with activations if it has them. Raises InterventionError."""
    try:
        document = _parsed(read_text(Path(path), InterventionError, _MAX_BYTES))
    except InterventionError as error:
        raise InterventionError(f"cannot read {str(path)!r}: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("qParams", {}), dict):
        raise InterventionError(f"{str(path)!r} is not the JSON of a graph: no object with qParams")
    nodes = [node for node in _list(document.get("nodes", [])) if isinstance(node, dict)]
    kinds = {str(node.get("node_id")): str(node.get("feature_type")) for node in nodes}
    activations = {str(node.get("node_id")): node.get("activation") for node in nodes}
    return _groups(document.get("qParams", {}), kinds, activations, num_layers)


def _groups(
    saved: Mapping[str, Any], kinds: Mapping[str, str], activations: Mapping[str, Any], num_layers: int
) -> ViewerSupernodes:
    groups = [group for group in map(_texts, _list(saved.get("supernodes"))) if group]
    pinned = saved.get("pinnedIds") or []
    pinned = pinned.split(",") if isinstance(pinned, str) else _texts(pinned)
    names = {clerp[0]: clerp[1] for clerp in map(_texts, _list(saved.get("clerps"))) if len(clerp) >= 2}
    grouped = {node_id for _, *members in groups for node_id in members}
    singles = [[_name(node_id, names), node_id] for node_id in dict.fromkeys(pinned) if node_id not in grouped]

    supernodes, left_out, numbers = list[Supernode](), list[str](), dict[str, int]()
    for name, *members in groups + singles:
        sites = {node_id: _site(node_id, kinds, num_layers) for node_id in members}
        left_out += [node_id for node_id, site in sites.items() if site is None]
        kept = {node_id: site for node_id, site in sites.items() if site is not None}
        if kept:
            values = [activations.get(node_id) for node_id in kept]
            whole = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
            known = tuple(plain_values.finite(value, "an activation", InterventionError) for value in values if whole)
            unique = _unique(name, numbers)
            supernodes.append(Supernode(unique, tuple(kept.values()), activations=known if whole else ()))
    return ViewerSupernodes(tuple(supernodes), tuple(dict.fromkeys(left_out)))


def _site(node_id: str, kinds: Mapping[str, str], num_layers: int) -> Feature | None:
    found = _SITE.fullmatch(node_id)
    if found is None or kinds.get(node_id) in _NO_FEATURES:
        return None
    layer, feature, position = map(int, found.groups())
    return Feature(layer, position, feature) if layer < num_layers else None


def _name(node_id: str, names: Mapping[str, str]) -> str:
    """Return the saved name of a node, or its id.

    Viewers save names by node id, or by layer and feature combined to one number with Cantor's pairing function.
    """
    found = _SITE.fullmatch(node_id)
    if found is None:
        return names.get(node_id, node_id)
    layer, feature = int(found[1]), int(found[2])
    paired = (layer + feature) * (layer + feature + 1) // 2 + feature
    return names.get(node_id) or names.get(str(paired)) or node_id


def _unique(name: str, numbers: dict[str, int]) -> str:
    """Return a name that is not yet a key of `numbers`, whose values count the groups of each name."""
    unique = name
    while unique in numbers:
        numbers[name] += 1
        unique = f"{name} ({numbers[name]})"
    numbers[unique] = 1
    return unique


def _list(value: Any) -> list[Any]:
    """Return a list that is given as a list or as JSON text: viewers save both."""
    value = _parsed(value) if isinstance(value, str) and value else value or []
    if not isinstance(value, list):
        raise InterventionError(f"groups are a list, not {type(value).__name__}")
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value) or isinstance(value, str):
        raise InterventionError("a group is a list of a name and node ids, all of them text")
    return list(value)


def _parsed(text: str) -> Any:
    try:
        return parse_json(text, InterventionError)
    except InterventionError as error:
        raise InterventionError(f"not JSON: {error}") from error
