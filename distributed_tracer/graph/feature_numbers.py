"""Feature numbers: what the field `feature` of a viewer's JSON means, which depends on the program that wrote it.

There are three ways to write the feature with index i of layer l: i itself; Cantor's pairing function of l and i, since
`schema_version` 1; and l times a power of ten, plus i, in files of early versions. A file uses one way for all of its
features, and the way is decided for the whole file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ..errors import GraphFileError
from ..text import short
from .viewer_groups import cantor_pair

LARGEST = 2**31 - 1
_CHANCE = 4
"""From this number of features on, numbers that fit one way to write them do not do so by chance."""
_POWERS = (10**5, 10**6)
"""Powers of ten that programs used; viewers know the transcoders of each."""
_ID = re.compile(r"([0-9]{1,9})_([0-9]{1,18})_([0-9]{1,9})")


@dataclass(frozen=True)
class FeatureNode:
    """One feature node as a file has it."""

    node_id: str
    layer: int
    position: int
    number: int
    """The value of the field `feature`."""

    @property
    def id_index(self) -> int | None:
        """The number in the middle of the id, if the id is made of layer, number and position; else None."""
        parts = _ID.fullmatch(self.node_id)
        if parts is None or (int(parts[1]), int(parts[3])) != (self.layer, self.position):
            return None
        return int(parts[2])


def indices_of(nodes: Sequence[FeatureNode], schema_version: int) -> list[int]:
    """Return the index of each feature in its layer's transcoder.

    From `schema_version` 1 on, every number must be a Cantor pair with the node's layer. Before, the way is that which
    agrees with all node ids; if the ids do not say it, the one that fits all features. Raises GraphFileError, which
    names a node, if none does, or if it may be chance that one does.
    """
    if schema_version >= 1:
        found = [_from_cantor(node) for node in nodes]
        if None in found:
            node = nodes[found.index(None)]
            raise GraphFileError(
                f"node {short(node.node_id)} has the feature {node.number}, which is no Cantor pair with layer "
                f"{node.layer}, as schema_version {schema_version} says"
            )
        return _checked(nodes, found)
    by_id = [node.id_index for node in nodes]
    if nodes and None not in by_id:
        return _of_ids(nodes, by_id)
    return _of_numbers(nodes)


def _of_ids(nodes: Sequence[FeatureNode], by_id: Sequence[int | None]) -> list[int]:
    """Return the indices of features whose ids have them, or have the same number as the field."""
    for way in _ways():
        if [way(node) for node in nodes] == list(by_id):
            return _checked(nodes, by_id)
    if [node.number for node in nodes] == list(by_id):
        return _of_numbers(nodes)
    for node, index in zip(nodes, by_id, strict=True):
        if index not in [node.number, *(way(node) for way in _ways())]:
            raise GraphFileError(f"node {short(node.node_id)} has the feature {node.number}, which its id contradicts")
    raise GraphFileError(
        f"its features are numbered in different ways: that of node {short(nodes[0].node_id)} is {nodes[0].number}, "
        f"that of node {short(nodes[-1].node_id)} is {nodes[-1].number}"
    )


def _of_numbers(nodes: Sequence[FeatureNode]) -> list[int]:
    """Return the indices as the way says that fits all numbers; without one they are indices themselves."""
    for way in _ways():
        found = [way(node) for node in nodes]
        if nodes and None not in found:
            # In layer 0, an index and the sum of 0 and an index are the same: such features say nothing.
            telling = [node for node, index in zip(nodes, found, strict=True) if node.number != index]
            if not telling:
                continue
            if len(telling) < _CHANCE:
                raise GraphFileError(
                    f"node {short(telling[0].node_id)} has the feature {telling[0].number}: whether it is an index or "
                    f"{way(telling[0])} with the layer, {len(telling)} such features do not tell"
                )
            return _checked(nodes, found)
    return _checked(nodes, [node.number for node in nodes])


def _ways() -> Iterator[Callable[[FeatureNode], int | None]]:
    """Yield functions that take the layer out of a node's number; they return None if it is not in it."""
    yield _from_cantor
    for power in _POWERS:
        yield partial(_from_power, power)


def _from_power(power: int, node: FeatureNode) -> int | None:
    return node.number % power if node.number // power == node.layer else None


def _from_cantor(node: FeatureNode) -> int | None:
    total = (math.isqrt(8 * node.number + 1) - 1) // 2 if node.number >= 0 else 0
    index = node.number - total * (total + 1) // 2
    return index if node.number >= 0 and cantor_pair(node.layer, index) == node.number else None


def _checked(nodes: Sequence[FeatureNode], found: Sequence[int | None]) -> list[int]:
    indices = []
    for node, index in zip(nodes, found, strict=True):
        if index is None or not 0 <= index <= LARGEST:
            raise GraphFileError(f"node {short(node.node_id)} has the feature {node.number}, which is no index")
        indices.append(index)
    return indices
