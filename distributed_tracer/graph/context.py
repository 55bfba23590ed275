"""GraphContext: what a store knows about a graph besides the graph itself, for people and for other tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..text import counted, short
from .labels import Labels


class NodeKey(NamedTuple):
    """What identifies a node of a prompt, also after the prompt is traced again: the columns of the node tables."""

    kind: str
    """`feature`, `error`, `token` or `target`."""
    layer: int
    """The layer; -1 for tokens, the number of layers for targets."""
    position: int
    feature: int
    """A feature's index in its transcoder; -1 for errors, a token's id, the number of a target."""


class Group(NamedTuple):
    """A supernode that somebody made of nodes of one graph. Names may repeat and may contain any character."""

    name: str
    members: tuple[NodeKey, ...]


@dataclass(frozen=True)
class GraphContext:
    """What a store knows about a graph besides the graph itself. Every field may be unknown."""

    labels: Labels = field(default_factory=Labels)
    groups: tuple[Group, ...] = ()
    pins: tuple[NodeKey, ...] = ()
    """Nodes that somebody pinned, in that order."""
    communities: tuple[Group, ...] | None = None
    """Communities that colour the features of a picture or a page; None for the colours of kinds."""
    model: str = ""
    """Directory or hub id of the model; `transcoders` likewise."""
    transcoders: str = ""
    content: Mapping[str, str] | None = None
    """Hashes of the files of `model` and `transcoders`, where they are known."""
    node_threshold: float | None = None
    """The share of the influence that pruning kept; `edge_threshold` likewise. None if they are not known, or if the
    graph was not pruned."""
    edge_threshold: float | None = None

    def __repr__(self) -> str:
        counts = ((len(self.labels), "labelled feature"), (len(self.groups), "group"), (len(self.pins), "pin"))
        known = ", ".join(counted(number, noun) for number, noun in counts)
        return f"<GraphContext of {short(self.model, 200)}: {known}>"

    @classmethod
    def of_run(cls, info: Mapping[str, Any], **known: Any) -> GraphContext:
        """Make the context that run.json gives to every traced graph of a store. `known` are further fields."""
        identity = info.get("identity", {})
        trace = identity.get("trace", {})
        pruned = {} if trace.get("keep_all") else trace
        return cls(
            model=str(identity.get("model", "")),
            transcoders=str(identity.get("transcoders", "")),
            content=info.get("content"),
            node_threshold=pruned.get("node_threshold"),
            edge_threshold=pruned.get("edge_threshold"),
            **known,
        )

    @classmethod
    def of_imported(cls, metadata: Mapping[str, Any], **known: Any) -> GraphContext:
        """Make the context of an imported graph, of which its metadata say what the file said. `known` are further
        fields."""
        node_threshold, edge_threshold = (
            value if isinstance(value := metadata.get(f"imported_{name}_threshold"), int | float) else None
            for name in ("node", "edge")
        )
        return cls(
            model=str(metadata.get("imported_model", "")),
            transcoders=str(metadata.get("imported_transcoders", "")),
            node_threshold=node_threshold,
            edge_threshold=edge_threshold,
            **known,
        )
