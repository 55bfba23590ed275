"""What a person saved in a graph viewer: groups of nodes, pinned nodes and names. The input is not trusted.

The viewers of the field keep it under `qParams` in a graph's JSON file, or in a page's address: `supernodes`, lists of
a name and node ids; `pinnedIds`; and `clerps`, names of features or nodes. Each of them may be a list, JSON text of a
list or, for pins, ids with commas between them, as the programs that write these files disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..documents.json_text import parse_json
from ..documents.text import Refuse

_MAX_FIELDS = 1000
_ID = re.compile(r"([0-9]{1,9})_([0-9]{1,18})_([0-9]{1,9})")
_OFFSET = 100_000
_LARGEST = 2**31


@dataclass(frozen=True)
class SavedGroups:
    """What was saved, as texts that are not interpreted yet. Names may repeat and may be empty."""

    groups: tuple[tuple[str, tuple[str, ...]], ...]
    """A name and the ids of the members of each supernode."""
    pins: tuple[str, ...]
    names: tuple[tuple[str, str], ...]
    """A key, which means a feature or a node, and its name."""

    @property
    def ids(self) -> list[str]:
        """All node ids, each once, in the order in which they occur."""
        return list(dict.fromkeys([*(one for _, members in self.groups for one in members), *self.pins]))


def saved_groups(saved: Mapping[str, Any], refuse: Refuse) -> SavedGroups:
    """Return what is under `qParams`, or in the query of an address. Raises `refuse` for what is malformed."""
    groups = [_texts(group, refuse) for group in _list(saved.get("supernodes"), refuse)]
    names = [_texts(name, refuse) for name in _list(saved.get("clerps"), refuse)]
    return SavedGroups(
        tuple((group[0], tuple(group[1:])) for group in groups if group),
        tuple(_pins(saved.get("pinnedIds"), refuse)),
        tuple((name[0], name[1]) for name in names if len(name) >= 2),
    )


def saved_in_address(url: str, refuse: Refuse) -> SavedGroups:
    """Return what the address of a viewer's page says, local or public. Nothing is fetched. Raises `refuse`."""
    try:
        query = urlsplit(url).query
        found = parse_qs(query, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise refuse(f"not an address: {error}") from None
    return saved_groups({name: values[0] for name, values in found.items()}, refuse)


def features_of_ids(ids: Iterable[str], num_layers: int) -> dict[str, tuple[int, int, int]]:
    """Return layer, index and position of each id that can be a feature, as `layer_feature_position`.

    Layers from `num_layers` on are those of targets. In the addresses of published notebooks, the number in the middle
    is layer times 100,000 plus the index: it is read so if that holds for all ids of layers from 1 on, and if they are
    of at least two layers, or one of layers from 2 on; for a few ids of layer 1 it may be chance.
    """
    found = {}
    for one in ids:
        if (parts := _ID.fullmatch(one)) and int(parts[1]) < num_layers:
            found[one] = (int(parts[1]), int(parts[2]), int(parts[3]))
    numbers = [(layer, feature) for layer, feature, _ in found.values() if layer >= 1]
    layers = {layer for layer, _ in numbers}
    if all(feature // _OFFSET == layer for layer, feature in numbers) and (
        len(layers) > 1 or max(layers, default=0) > 1
    ):
        found = {one: (layer, feature - layer * _OFFSET, position) for one, (layer, feature, position) in found.items()}
    return {one: site for one, site in found.items() if site[1] < _LARGEST}


def cantor_pair(layer: int, feature: int) -> int:
    """Return the one number that viewers make of a layer and an index, with Cantor's pairing function."""
    return (layer + feature) * (layer + feature + 1) // 2 + feature


def _pins(value: Any, refuse: Refuse) -> list[str]:
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [one for one in value.split(",") if one]
    return _texts(_list(value, refuse), refuse)


def _list(value: Any, refuse: Refuse) -> list[Any]:
    """Return a list that is given as a list or as JSON text: viewers save both."""
    if isinstance(value, str) and value:
        try:
            value = parse_json(value, refuse)
        except refuse as error:
            raise refuse(f"not JSON: {error}") from error
    value = value or []
    if not isinstance(value, list):
        raise refuse(f"groups are a list, not {type(value).__name__}")
    return value


def _texts(value: Any, refuse: Refuse) -> list[str]:
    if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value) or isinstance(value, str):
        raise refuse("a group is a list of a name and node ids, all of them text")
    return list(value)
