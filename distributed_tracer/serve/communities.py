"""ServedCommunities: the communities of one result that a server shows, looked up by feature and by graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..graph.edge_strength import passing_influence
from ..graph.graph import Graph
from ..graph.node_keys import node_keys
from ..graph.nodes import NodeKind
from ..mine.community_labels import COMMUNITY_KINDS, SIGNIFICANT, community_text
from ..mine.result import Result
from .node_names import key_text
from .served_store import ServedStore

_NEEDED = ("community", "level", "name", "verdict", "size")


class Community(NamedTuple):
    """A community of a result."""

    number: int
    level: int
    name: str
    """What it is called: kind, number, and its name; the text may contain any character."""
    verdict: str
    size: int
    """Number of its features."""

    @property
    def is_significant(self) -> bool:
        """Whether its verdict is that it is significant."""
        return self.verdict == SIGNIFICANT


class ServedCommunities:
    """The communities of a result, which are read once. They stay in memory, with a number for each member."""

    def __init__(self, result: Result) -> None:
        """Read the communities. Raises ResultError for damaged files."""
        rows = result.table("communities", _NEEDED).rows()
        self.all = {
            row["community"]: Community(
                row["community"],
                row["level"],
                community_text(result, row["community"], row["name"]),
                row["verdict"],
                row["size"],
            )
            for row in rows
        }
        self._of_site: dict[tuple[int, int], list[int]] = {}
        for row in result.table("members", ("community", "layer", "feature")).rows():
            self._of_site.setdefault((row["layer"], row["feature"]), []).append(row["community"])

    def levels(self) -> list[dict[str, int]]:
        """Return each level with its numbers of communities and of significant ones."""
        found: dict[int, dict[str, int]] = {}
        for one in self.all.values():
            counts = found.setdefault(one.level, {"level": one.level, "communities": 0, "significant": 0})
            counts["communities"] += 1
            counts["significant"] += one.is_significant
        return [found[level] for level in sorted(found)]

    def of_feature(self, layer: int, feature: int) -> list[Community]:
        """Return the communities of a feature, the coarsest first."""
        found = [self.all[number] for number in self._of_site.get((layer, feature), ()) if number in self.all]
        return sorted(found, key=lambda one: (one.level, one.number))

    def of_graph(self, graph: Graph, level: int | None) -> list[tuple[Community, list[str]]]:
        """Return the communities in a graph with the names of their nodes, those with most influence there first.

        They are those of a level or, without one, for each feature the finest significant one.
        """
        keys, influence_N = node_keys(graph), passing_influence(graph)
        members: dict[int, list[int]] = {}
        for node in graph.nodes.where(NodeKind.FEATURE).tolist():
            own = [
                one
                for one in self.of_feature(keys[node].layer, keys[node].feature)
                if (one.is_significant if level is None else one.level == level)
            ]
            if own:
                members.setdefault(own[-1].number, []).append(node)
        sums = {number: float(influence_N[nodes].sum()) for number, nodes in members.items()}
        order = sorted(sums, key=lambda number: (-sums[number], number))
        return [(self.all[number], [key_text(keys[node]) for node in members[number]]) for number in order]


def community_results(served: ServedStore) -> Iterator[tuple[int, Result]]:
    """Yield number and result of those results of a server that have communities with levels and verdicts."""
    for number, result in enumerate(served.results):
        is_of_kind = result.info["what"] in COMMUNITY_KINDS and {"communities", "members"} <= {*result.tables}
        if is_of_kind and {*_NEEDED} <= {*result.describe("communities")["column"]}:
            yield number, result


def communities_of(served: ServedStore, number: int) -> ServedCommunities:
    """Return the communities of a result by its number, which must be one of `community_results`."""
    made: ServedCommunities = served.once(
        f"communities {number}", lambda: ServedCommunities(dict(community_results(served))[number])
    )
    return made


def community_values(one: Community) -> dict[str, Any]:
    """Return a community as JSON types."""
    return {
        "community": one.number,
        "level": one.level,
        "name": one.name,
        "verdict": one.verdict,
        "size": one.size,
    }
