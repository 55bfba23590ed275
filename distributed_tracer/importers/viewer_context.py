"""viewer_context: what a viewer's JSON says beside its graph, as a GraphContext: names, groups, pins, thresholds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .. import plain_values
from ..errors import GraphFileError
from ..graph.columns import KINDS
from ..graph.context import GraphContext, Group, NodeKey
from ..graph.labels import Label, Labels
from ..graph.nodes import NodeKind
from ..graph.viewer_groups import SavedGroups, cantor_pair, features_of_ids, saved_groups
from ..text import counted, listed
from .json_fields import object_of, text

Key = tuple[int, int, int, int]
"""Kind, layer, position and feature of a node."""


def context_of(
    document: Mapping[str, Any], ids: Sequence[str], keys: Sequence[Key], fields: Sequence[Mapping[str, Any]]
) -> tuple[GraphContext, list[str]]:
    """Return what a document says beside its graph, and notes on what could not be kept. Raises GraphFileError."""
    metadata = object_of(document, "metadata")
    saved = saved_groups((document.get("qParams") and object_of(document, "qParams")) or {}, GraphFileError)
    resolve = _Resolver(ids, keys, fields, saved)
    groups = tuple(Group(name, resolve.nodes(members)) for name, members in saved.groups)
    pins = resolve.nodes(saved.pins)
    labels = Labels.of(_labels(metadata, saved, keys, fields))
    notes = []
    if missing := list(dict.fromkeys(resolve.missing)):
        notes.append(
            f"left out {counted(len(missing), 'member')} of groups or pins that mean no node, or two: {listed(missing)}"
        )
    pruning = metadata.get("pruning_settings")
    pruning = pruning if isinstance(pruning, Mapping) else {}
    return (
        GraphContext(
            labels=labels,
            groups=groups,
            pins=pins,
            model=_text(metadata.get("scan")),
            transcoders=_transcoders(metadata),
            node_threshold=_share(metadata.get("node_threshold", pruning.get("node_threshold")), "node_threshold"),
            edge_threshold=_share(pruning.get("edge_threshold"), "edge_threshold"),
        ),
        notes,
    )


class _Resolver:
    """Finds the nodes that saved ids mean. `missing` lists the ids that mean none."""

    def __init__(
        self, ids: Sequence[str], keys: Sequence[Key], fields: Sequence[Mapping[str, Any]], saved: SavedGroups
    ) -> None:
        self.missing: list[str] = []
        num_of = Counter(ids)  # two nodes may share an id: it then says of neither that it was grouped
        self._by_id = {one: key for one, key in zip(ids, keys, strict=True) if num_of[one] == 1}
        # Anthropic's viewer saves `jsNodeId`, which is not unique in the files of other programs.
        by_page_id: dict[str, list[Key]] = {}
        for key, node in zip(keys, fields, strict=True):
            if isinstance(page_id := node.get("jsNodeId"), str):
                by_page_id.setdefault(page_id, []).append(key)
        self._by_page_id = {page_id: found[0] for page_id, found in by_page_id.items() if len(found) == 1}
        features = {key for key in keys if key[0] == NodeKind.FEATURE}
        unknown = [one for one in saved.ids if one not in self._by_id and one not in self._by_page_id]
        sites = features_of_ids(unknown, max((key[1] for key in features), default=-1) + 1)
        places = {one: (int(NodeKind.FEATURE), layer, at, feature) for one, (layer, feature, at) in sites.items()}
        self._by_place = {one: key for one, key in places.items() if key in features}

    def nodes(self, ids: Sequence[str]) -> tuple[NodeKey, ...]:
        """Return the nodes that these ids mean."""
        found = []
        for one in ids:
            key = self._by_id.get(one) or self._by_page_id.get(one) or self._by_place.get(one)
            if key is None:
                self.missing.append(one)
            else:
                found.append(NodeKey(KINDS[key[0]], *key[1:]))
        return tuple(found)


def _labels(
    metadata: Mapping[str, Any], saved: SavedGroups, keys: Sequence[Key], fields: Sequence[Mapping[str, Any]]
) -> list[tuple[int, int, Label]]:
    """Return the names of features: those that nodes have, then those that were saved by a number or a node's id."""
    scan = _text(metadata.get("scan"))
    # The number in circuit-tracer's own names for lists of transcoders differs from one run of it to the next.
    source = f"{scan}/clerps" if scan and not scan.startswith("custom-") else "clerps"
    found, sites = [], dict[str, tuple[int, int]]()
    for (kind, layer, position, feature), node in zip(keys, fields, strict=True):
        if kind != NodeKind.FEATURE:
            continue
        given, paired = node.get("feature"), cantor_pair(layer, feature)
        if (name := text(node.get("clerp") or "", "a clerp")) and name != f"F{given}":
            found.append((layer, feature, Label(name, source)))
        for key in (f"{layer}_{given}_{position}", f"{layer}_{paired}_{position}", str(paired), str(given)):
            sites.setdefault(key, (layer, feature))
        sites[str(node.get("node_id"))] = (layer, feature)
    found += [(*sites[key], Label(name, source)) for key, name in saved.names if key in sites and name]
    return found


def _share(value: Any, what: str) -> float | None:
    return None if value is None else plain_values.finite(value, what, GraphFileError)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _transcoders(metadata: Mapping[str, Any]) -> str:
    """Return the name of the transcoders, which different programs keep in different fields."""
    given = metadata.get("transcoder_list")
    if isinstance(given, list) and given and all(isinstance(one, str) for one in given):
        return ", ".join(given)
    for section, name in (("info", "transcoder_set"), ("feature_details", "neuronpedia_source_set")):
        details = metadata.get(section)
        if isinstance(details, Mapping) and (found := _text(details.get(name))):
            return found
    return ""
