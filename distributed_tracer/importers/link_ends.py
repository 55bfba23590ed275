"""Link ends: which node each end of a link means, although two nodes of a file may have one id.

circuit-tracer gives feature 2 of layer 0 at position 5 and the error of layer 2 at position 5 the same id, `0_2_5`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from ..errors import GraphFileError
from ..graph.nodes import NodeKind
from ..text import short


class Link(NamedTuple):
    """A link of a file, with ids as its ends."""

    source: str
    target: str


def places_by_id(ids: Sequence[str], kinds: Sequence[NodeKind]) -> dict[str, list[int]]:
    """Return the numbers of the nodes of each id: one, or a feature and an error, in that order.

    Raises GraphFileError for any other two nodes with one id.
    """
    places: dict[str, list[int]] = {}
    for place, node_id in enumerate(ids):
        places.setdefault(node_id, []).append(place)
    for node_id, found in places.items():
        if len(found) > 1:
            found.sort(key=kinds.__getitem__)
            if [kinds[place] for place in found] != [NodeKind.FEATURE, NodeKind.ERROR]:
                raise GraphFileError(f"two nodes have the id {short(node_id)}")
    return places


def ends_of(
    links: Sequence[Link], places: dict[str, list[int]], kinds: Sequence[NodeKind], layers: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the numbers of both nodes of each link.

    Of a feature and an error with one id, only the feature can be explained. As a source, the one below the target is
    meant; if both are, the order of the file decides: programs write the links into a node in the order of the nodes.
    Raises GraphFileError if it does not decide.
    """
    found: list[tuple[int, int]] = []
    of_target: dict[int, list[int]] = {}
    doubtful: dict[int, list[int]] = {}
    for number, link in enumerate(links):
        target = next((place for place in places[link.target] if kinds[place] is not NodeKind.ERROR), None)
        target = places[link.target][0] if target is None else target
        below = [place for place in places[link.source] if layers[place] < layers[target]] or places[link.source]
        if len(below) > 1:
            doubtful[number] = below
        found.append((below[0], target))
        if len(places) < sum(map(len, places.values())):
            of_target.setdefault(target, []).append(number)
    for target in dict.fromkeys(found[number][1] for number in doubtful):
        _decide(of_target[target], doubtful, found, links)
    return found


def _decide(
    numbers: Sequence[int], doubtful: dict[int, list[int]], found: list[tuple[int, int]], links: Sequence[Link]
) -> None:
    """Set the sources of the links into one node, given by number, such that they ascend."""
    known = [found[number][0] for number in numbers if number not in doubtful]
    after = list(accumulate((_END if number in doubtful else found[number][0] for number in reversed(numbers)), min))
    left = Counter(links[number] for number in numbers)
    before = -1
    for number, later in zip(numbers, [*after[-2::-1], _END], strict=True):
        left[links[number]] -= 1
        if number in doubtful:
            fitting = [place for place in doubtful[number] if before < place < later]
            if left[links[number]]:
                fitting = fitting[:1]  # both nodes have an edge: this is the feature's, and the error's follows
            if len(fitting) != 1 or known != sorted(known):
                raise GraphFileError(
                    f"two nodes have the id {short(links[number].source)}, a feature and an error, and nothing says "
                    f"which of them the link to {short(links[number].target)} comes from"
                )
            found[number] = (fitting[0], found[number][1])
        before = found[number][0]


_END = 2**62
"""A number that no node has."""
