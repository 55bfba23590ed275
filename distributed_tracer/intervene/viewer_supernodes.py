"""Reads groups of features that a person made in a graph viewer, as Supernodes. The input is not trusted.

`graph/viewer_groups.py` says what viewers save, and where.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from .. import plain_values
from ..documents.json_text import parse_json
from ..documents.text import read_text
from ..errors import GraphFileError, InterventionError
from ..graph.feature_numbers import FeatureNode, indices_of
from ..graph.viewer_groups import SavedGroups as Saved
from ..graph.viewer_groups import cantor_pair, features_of_ids, saved_groups, saved_in_address
from .supernode import Feature, Supernode

_MAX_BYTES = 256 * 2**20
"""Largest JSON file that is read. A graph of ten thousand nodes with all its edges has 100 MB."""
_LAYER = re.compile(r"[0-9]{1,5}")
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
    return _supernodes(saved_in_address(url, InterventionError), {}, {}, num_layers, {})


def groups_of_file(path: str | PathLike[str], num_layers: int) -> ViewerSupernodes:
    """Return the groups saved in a graph's JSON file, with activations if it has them. Raises InterventionError."""
    try:
        document = _parsed(read_text(Path(path), InterventionError, _MAX_BYTES))
    except InterventionError as error:
        raise InterventionError(f"cannot read {str(path)!r}: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("qParams", {}), dict):
        raise InterventionError(f"{str(path)!r} is not the JSON of a graph: no object with qParams")
    listed = document.get("nodes", [])
    nodes = [node for node in (listed if isinstance(listed, list) else []) if isinstance(node, dict)]
    kinds = {str(node.get("node_id")): str(node.get("feature_type")) for node in nodes}
    activations = {str(node.get("node_id")): node.get("activation") for node in nodes}
    saved = saved_groups(document.get("qParams", {}), InterventionError)
    return _supernodes(saved, kinds, activations, num_layers, _sites(nodes, document.get("metadata")))


def _sites(nodes: Sequence[Mapping[str, Any]], metadata: Any) -> dict[str, tuple[int, int, int]]:
    """Return layer, index and position of each feature node that has them as fields, by its id."""
    version = metadata.get("schema_version") if isinstance(metadata, Mapping) else None
    found = []
    for node in nodes:
        layer, position, number = (_whole(node.get(name)) for name in ("layer", "ctx_idx", "feature"))
        is_feature = node.get("feature_type") == "cross layer transcoder" and isinstance(node.get("node_id"), str)
        if is_feature and layer is not None and position is not None and number is not None:
            found.append(FeatureNode(node["node_id"], layer, position, number))
    try:
        indices = indices_of(found, version if type(version) is int else 0)
    except GraphFileError as error:
        raise InterventionError(str(error)) from error
    return {node.node_id: (node.layer, index, node.position) for node, index in zip(found, indices, strict=True)}


def _whole(value: Any) -> int | None:
    """Return a number from 0 on, which may be given as text, as layers are; None for anything else."""
    if isinstance(value, str) and _LAYER.fullmatch(value):
        return int(value)
    return value if type(value) is int and 0 <= value < 2**63 else None


def _supernodes(
    saved: Saved,
    kinds: Mapping[str, str],
    activations: Mapping[str, Any],
    num_layers: int,
    by_fields: Mapping[str, tuple[int, int, int]],
) -> ViewerSupernodes:
    """Make supernodes of what was saved. `by_fields` are the features that the file has."""
    unknown = (one for one in saved.ids if one not in by_fields and kinds.get(one) not in _NO_FEATURES)
    of_model = {one: site for one, site in by_fields.items() if site[0] < num_layers}
    sites = {**features_of_ids(unknown, num_layers), **of_model}
    names, grouped = dict(saved.names), {one for _, members in saved.groups for one in members}
    singles = [(_name(one, sites, names), (one,)) for one in dict.fromkeys(saved.pins) if one not in grouped]

    supernodes, left_out, numbers = list[Supernode](), list[str](), dict[str, int]()
    for name, members in (*saved.groups, *singles):
        left_out += [one for one in members if one not in sites]
        kept = {one: sites[one] for one in members if one in sites}
        if kept:
            values = [activations.get(one) for one in kept]
            whole = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
            known = tuple(plain_values.finite(value, "an activation", InterventionError) for value in values if whole)
            features = tuple(Feature(layer, position, feature) for layer, feature, position in kept.values())
            supernodes.append(Supernode(_unique(name, numbers), features, activations=known if whole else ()))
    return ViewerSupernodes(tuple(supernodes), tuple(dict.fromkeys(left_out)))


def _name(node_id: str, sites: Mapping[str, tuple[int, int, int]], names: Mapping[str, str]) -> str:
    """Return the saved name of a node, or its id.

    Viewers save names by node id, by layer and feature combined to one number with Cantor's pairing function, or by
    node id with this number in the middle.
    """
    if node_id not in sites:
        return names.get(node_id) or node_id
    layer, feature, position = sites[node_id]
    paired = cantor_pair(layer, feature)
    return names.get(node_id) or names.get(str(paired)) or names.get(f"{layer}_{paired}_{position}") or node_id


def _unique(name: str, numbers: dict[str, int]) -> str:
    """Return a name that is not yet a key of `numbers`, whose values count the groups of each name."""
    unique = name
    while unique in numbers:
        numbers[name] += 1
        unique = f"{name} ({numbers[name]})"
    numbers[unique] = 1
    return unique


def _parsed(text: str) -> Any:
    try:
        return parse_json(text, InterventionError)
    except InterventionError as error:
        raise InterventionError(f"not JSON: {error}") from error
