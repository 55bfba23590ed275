"""Pins and groups as graph viewers save them: by the ids of nodes, in a file or in the address of a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..graph.context import GraphContext
from ..graph.graph import Graph
from ..graph.node_keys import node_keys
from ..text import counted
from .viewer_nodes import without_markup

_SHOWN_PINS = 200
_UNNAMED = "supernode"
"""What circuit-tracer's viewer calls a group without a name, which it would show as no group."""


@dataclass(frozen=True)
class ViewerState:
    """Pins and groups by the ids of their nodes."""

    pins: list[str]
    """The pinned nodes, then the members of groups: viewers show only those members of a group that are pinned."""
    groups: list[list[str]]
    """Each group's name and its members."""
    num_missing: int
    """Number of pins and of members of groups that the graph does not have."""

    @classmethod
    def of(cls, graph: Graph, ids: list[str], context: GraphContext) -> ViewerState:
        """Return the pins and groups of a context by the `ids` of the graph's nodes."""
        id_of = dict(zip(node_keys(graph), ids, strict=True)) if context.pins or context.groups else {}
        found = [(group.name, [id_of[key] for key in group.members if key in id_of]) for group in context.groups]
        groups = [[name, *dict.fromkeys(members)] for name, members in found if members]
        pins = [id_of[key] for key in context.pins if key in id_of]
        wanted = len(context.pins) + sum(len(group.members) for group in context.groups)
        num_missing = wanted - len(pins) - sum(len(members) for _, members in found)
        return cls(list(dict.fromkeys([*pins, *(one for group in groups for one in group[1:])])), groups, num_missing)

    def notes(self) -> Iterator[str]:
        """Yield lines that say what viewers do not show."""
        if self.num_missing:
            missing = counted(self.num_missing, "pinned or grouped node")
            yield f"{missing} left out, because this graph does not have them"
        if len(self.pins) > _SHOWN_PINS:
            yield f"{len(self.pins):,} nodes are pinned or grouped, and viewers show {_SHOWN_PINS} of them"

    def as_json(self) -> dict[str, Any]:
        """Return the saved state of a file, `qParams`."""
        return {"pinnedIds": self.pins, "supernodes": self.groups, "linkType": "both", "clickedId": "", "sg_pos": ""}

    def circuit_tracer_query(self, slug: str) -> str:
        """Return the query of the address at which circuit-tracer's viewer shows pins and groups.

        It ignores the groups that a file has. It decodes each value twice, so percent signs are encoded twice.
        """
        groups = [[without_markup(name) or _UNNAMED, *members] for name, *members in self.groups]
        fields = {"pinnedIds": ",".join(self.pins), "supernodes": json.dumps(groups)}
        return _query(slug, {name: value.replace("%", "%25") for name, value in fields.items()})

    def neuronpedia_query(self, slug: str) -> str:
        """Return the query of the address at which Neuronpedia shows pins and groups."""
        return _query(slug, {"pinnedIds": ",".join(self.pins), "supernodes": json.dumps(self.groups)})


def _query(slug: str, fields: Mapping[str, str]) -> str:
    return f"?slug={slug}" + "".join(f"&{name}={quote(value, safe='')}" for name, value in fields.items())
