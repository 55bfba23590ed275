"""Communities as the pages get them: those in a graph, and those of a feature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from certificate_results import communities as other_communities
from community_results import HOSTILE, Chosen, write_communities

from distributed_tracer.errors import ConfigError, ResultError
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.node_keys import node_keys
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.serve.api import communities
from distributed_tracer.serve.node_names import key_text
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow
PLAIN, MINED = range(2)


def ask(served: ServedStore, path: str, **query: object) -> Any:
    endpoint = next(one for one in communities.ENDPOINTS if one.path == path)
    arguments = endpoint.arguments({name: [str(value)] for name, value in query.items()})
    return getattr(endpoint.handler(served, arguments), "value", None)


@pytest.fixture(scope="module")
def graph(small_store: Path) -> Graph:
    return open_store(str(small_store)).graph("dallas")


def strongest(graph: Graph, count: int) -> list[int]:
    """The feature nodes with most influence, of different features."""
    found: dict[tuple[int, int], int] = {}
    for node in sorted(graph.nodes.where(NodeKind.FEATURE).tolist(), key=lambda node: -graph.influence_N[node]):
        found.setdefault((int(graph.nodes.layer_N[node]), int(graph.nodes.feature_N[node])), node)
    return list(found.values())[:count]


@pytest.fixture(scope="module")
def sites(graph: Graph) -> list[tuple[int, int]]:
    return [(int(graph.nodes.layer_N[node]), int(graph.nodes.feature_N[node])) for node in strongest(graph, 6)]


@pytest.fixture(scope="module")
def chosen(small_store: Path, sites: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory) -> ServedStore:
    """A server of a result without levels, and of one with two levels."""
    folder, store = tmp_path_factory.mktemp("mined"), open_store(str(small_store))
    other_communities(store, folder / "plain", {"a": sites[:2]})
    levels = [Chosen(0, HOSTILE, sites), Chosen(1, "weak", sites[3:5], "unstable"), Chosen(1, "strong", sites[:2])]
    write_communities(store, folder / "roles", levels)
    mined = str(folder / "plain"), str(folder / "roles")
    return ServedStore(ServeSettings(str(small_store), mined=mined))


def test_results_with_levels_can_be_chosen(chosen: ServedStore) -> None:
    assert ask(chosen, "/community_levels") == {
        "results": [
            {
                "result": MINED,
                "what": "roles",
                "levels": [
                    {"level": 0, "communities": 1, "significant": 1},
                    {"level": 1, "communities": 2, "significant": 1},
                ],
            }
        ]
    }


def test_a_graph_has_the_nodes_of_its_communities(
    chosen: ServedStore, graph: Graph, sites: list[tuple[int, int]]
) -> None:
    def members(own: list[tuple[int, int]]) -> list[str]:
        return [key_text(key) for key in node_keys(graph) if key.kind == "feature" and (key.layer, key.feature) in own]

    found = ask(chosen, "/communities", prompt="dallas", result=MINED)["communities"]
    assert [(one["community"], one["members"]) for one in sorted(found, key=lambda one: one["community"])] == [
        (0, members(sites[2:])),
        (2, members(sites[:2])),
    ]
    assert {one["name"] for one in found} == {f"role 0: {HOSTILE}", "role 2: strong"}
    of_level = ask(chosen, "/communities", prompt="dallas", result=MINED, level=1)["communities"]
    assert [(one["community"], one["verdict"]) for one in of_level] == [(2, "significant"), (1, "unstable")]
    assert of_level[1]["members"] == members(sites[3:5])


def test_a_feature_has_communities_of_all_levels(chosen: ServedStore, sites: list[tuple[int, int]]) -> None:
    layer, feature = sites[0]
    found = ask(chosen, "/feature_communities", layer=layer, feature=feature)["communities"]
    assert [(one["result"], one["community"], one["level"], one["size"]) for one in found] == [
        (MINED, 0, 0, 6),
        (MINED, 2, 1, 2),
    ]
    assert ask(chosen, "/feature_communities", layer=layer, feature=10**9) == {"communities": []}


def test_what_is_not_there_is_named(chosen: ServedStore, small_store: Path) -> None:
    with pytest.raises(ConfigError, match="no result with communities '0'; there are 1"):
        ask(chosen, "/communities", prompt="dallas", result=PLAIN)
    with pytest.raises(ConfigError, match=r"this result has the levels \[0, 1\], not 4"):
        ask(chosen, "/communities", prompt="dallas", result=MINED, level=4)
    without = ServedStore(ServeSettings(str(small_store)))
    assert ask(without, "/community_levels") == {"results": []}
    with pytest.raises(ConfigError, match="no result with communities '0'; there are none"):
        ask(without, "/communities", prompt="dallas", result=0)


def test_damage_is_said(small_store: Path, sites: list[tuple[int, int]], tmp_path: Path) -> None:
    write_communities(open_store(str(small_store)), tmp_path / "roles", [Chosen(0, "a", sites)])
    served = ServedStore(ServeSettings(str(small_store), mined=(str(tmp_path / "roles"),)))
    members = tmp_path / "roles" / "tables" / "members.parquet"
    members.write_bytes(members.read_bytes()[:-9])
    with pytest.raises(ResultError, match=r"members\.parquet"):
        ask(served, "/communities", prompt="dallas", result=0)
