"""Names of communities: the label of most members, or the tokens where they are strongest and what they feed.

Axes: F feature, I site, N node, X pair of a feature and a token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ..graph.labels import Labels
from ..graph.nodes import NodeKind
from ..table import Table
from ..text import printable, short
from .cluster_edges import ClusterEdges
from .community_enrichment import TOKEN
from .community_graph import Ints
from .feature_contexts import FeatureContexts
from .profiled_tokens import ProfiledTokens
from .sites import Sites

_NAME = 60
_TOKENS_IN_NAME = 2


class NodeNames:
    """Names of nodes for people, from the texts of tokens and the labels of features."""

    def __init__(self, edges: ClusterEdges, sites: Sites, tokens: Mapping[int, str], labels: Labels) -> None:
        self.kind_N = edges.kind_N
        self.layer_N = edges.layer_N
        self.feature_N = sites.feature_I[edges.site_N]
        self._tokens, self._labels = tokens, labels

    def of(self, node: int) -> str:
        """Return the name of a node."""
        feature = int(self.feature_N[node])
        if self.kind_N[node] == NodeKind.FEATURE:
            layer = int(self.layer_N[node])
            return f"{layer}:{feature} {self._labels.text(layer, feature, 24)}".strip()
        return repr(self._tokens[feature]) if feature in self._tokens else f"token of id {feature}"

    def label(self, node: int) -> str:
        """Return the first label of a feature; empty if it has none."""
        labels = self._labels.get(int(self.layer_N[node]), int(self.feature_N[node]))
        return labels[0].text if labels else ""


def community_names(
    labels: Sequence[Ints],
    nodes: NodeNames,
    contexts: FeatureContexts,
    tokens: Mapping[int, str],
    neighbours: Table,
    enriched: Table,
    profiled: ProfiledTokens | None = None,
) -> list[str]:
    """Return a name for each community, given the labels of features [F] on each level, the texts of tokens, and the
    tables of neighbours and of enrichment. Tokens of a profile take the place of those of the graphs where there are
    any. Text that may contain any character is escaped and cut."""
    feeds, values = _fed(neighbours), _values(enriched)
    found: list[str] = []
    for label_F in labels:
        for community, strongest in enumerate(_strongest_tokens(label_F, contexts)):
            members = np.flatnonzero(label_F == community).tolist()
            texts = Counter(text for member in members if (text := nodes.label(member)))
            label = min(texts, key=lambda text: (-texts[text], text), default="")
            if label and 2 * texts[label] >= len(members):
                found.append(printable(label)[:_NAME])
                continue
            active = profiled.strongest(members, _TOKENS_IN_NAME) if profiled else []
            at = ", ".join(
                short(text, 20) for text in active or [tokens.get(one, f"token of id {one}") for one in strongest]
            )
            said = profiled.promotes(members) if profiled else ""
            feed, value = repr(said) if said else feeds.get(len(found), ""), values.get(len(found), "")
            arrow = f" → {printable(feed)[:_NAME]}" if feed else ""
            found.append(f"{at}{arrow}{f' ({printable(value)[:_NAME]})' if value else ''}".strip())
    return found


def _fed(neighbours: Table) -> dict[int, str]:
    """Return the name of the strongest target that each community feeds, or else of the strongest feature."""
    found: dict[int, tuple[bool, str]] = {}
    for row in neighbours.rows():  # the strongest first
        is_target = row["kind"] == "target"
        known = found.get(row["community"])
        if row["side"] == "out" and (known is None or (is_target and not known[0])):
            found[row["community"]] = is_target, row["name"]
    return {community: name for community, (_, name) in found.items()}


def _values(enriched: Table) -> dict[int, str]:
    """Return the metadata with the smallest p of each community."""
    found: dict[int, tuple[float, str]] = {}
    for row in enriched.rows():
        if row["field"] != TOKEN:
            own = row["p"], f"{row['field']}={row['value']}"
            found[row["community"]] = min(own, found.get(row["community"], own))
    return {community: text for community, (_, text) in found.items()}


def _strongest_tokens(label_F: Ints, contexts: FeatureContexts) -> list[list[int]]:
    """Return the tokens where the members of each community have most influence, more than all features have."""
    found: list[list[int]] = [[] for _ in range(int(label_F.max(initial=-1)) + 1)]
    of_X = label_F[contexts.feature_X]
    own = (of_X >= 0) & (contexts.influence_X > 0)
    code, place = np.unique(of_X[own] << 32 | contexts.token_X[own], return_inverse=True)
    if not len(code):
        return found
    sums = np.bincount(place, contexts.influence_X[own], len(code))
    every, at = np.unique(contexts.token_X, return_inverse=True)
    total = np.bincount(at, contexts.influence_X, len(every))
    community, token = code >> 32, code & 0xFFFFFFFF
    share = sums / np.bincount(community, sums)[community]
    surprise = share * np.log(share / (total[np.searchsorted(every, token)] / total.sum()))
    order = np.lexsort((token, -surprise, community))
    for number, one in zip(community[order].tolist(), token[order].tolist(), strict=True):
        if len(found[number]) < _TOKENS_IN_NAME:
            found[number].append(one)
    return found
