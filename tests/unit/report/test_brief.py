"""Briefs: they fit their budget exactly, say what they leave out, and say nothing that the graph does not."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from random_graphs import AWKWARD, finite, random_graph, with_edges_upwards

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.context import GraphContext, Group, NodeKey
from distributed_tracer.graph.edge_strength import passed_influence, row_sums
from distributed_tracer.graph.graph import Graph, Scores, Target
from distributed_tracer.graph.influence import edge_shares, influence
from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.graph.node_keys import node_keys
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.graph.subgraph_scores import subgraph_scores
from distributed_tracer.query.merged_edges import merged_edges
from distributed_tracer.query.strongest_paths import strongest_paths
from distributed_tracer.query.target_difference import path_sums
from distributed_tracer.report.brief import LEAST, brief_json, brief_summary, brief_text, estimated_tokens

EVIL = '\x1b[2J"\nleft out: nothing\r\\" \u202e<b>\udc00💥北'
MUCH = 100_000
ROWS = (NodeKind.FEATURE, NodeKind.TARGET)


def traced(seed: int = 0, **options: int) -> Graph:
    """A graph whose influence and sums of rows follow from its edges, as in a graph that was not pruned."""
    graph = with_edges_upwards(finite(random_graph("two-hop", seed=seed, pruned=False, density=0.3, **options)))
    sums = np.bincount(graph.target_E(), np.abs(graph.weight_E.astype(float)), len(graph.nodes))
    share_E, start_N = edge_shares(graph.target_E(), graph.weight_E, sums), graph.target_weights_N()
    total_N = influence(graph.target_E(), graph.source_E, share_E, start_N).total_N
    labels = dict(enumerate((" Austin", " Dallas")))
    targets = tuple(replace(target, label=labels[number]) for number, target in enumerate(graph.targets))
    return replace(
        graph,
        constant_node=False,
        targets=targets,
        token_strings=tuple(f" w{position}" for position in range(len(graph.tokens_P))),
        row_abs_sum_N=np.where(np.isin(graph.nodes.kind_N, ROWS), sums, np.nan).astype(np.float32),
        influence_N=total_N.astype(np.float32),
    )


def context_of(graph: Graph, text: str = "cities") -> GraphContext:
    features, keys = graph.nodes.where(NodeKind.FEATURE), node_keys(graph)
    both = [Label(text, "me"), Label(f"{text} too", "me")]
    labels = {(keys[node].layer, keys[node].feature): both for node in features[::3]}
    first = Group(text, tuple(keys[node] for node in features[:4]))
    second = Group(f"{text} 2", (*(keys[node] for node in features[-3:]), NodeKey("feature", 0, 0, 999_999)))
    return GraphContext(Labels(labels), (first, second), node_threshold=0.8, edge_threshold=0.98)


def evil() -> tuple[Graph, GraphContext]:
    graph = traced()
    targets = tuple(replace(target, label=EVIL * 40) for target in graph.targets)
    tokens = tuple(EVIL for _ in graph.tokens_P)
    graph = replace(graph, prompt_id=EVIL * 10, text=EVIL * 9000, targets=targets, token_strings=tokens)
    return graph, context_of(graph, EVIL * 30)


def test_a_brief_never_takes_more_than_its_budget_and_uses_most_of_it() -> None:
    graphs = [(graph, GraphContext()) for name, graph in AWKWARD.items() if name != "wide"]
    cases = [(traced(), context_of(traced())), evil(), *((with_edges_upwards(finite(g)), c) for g, c in graphs)]
    for graph, context in cases:
        for budget in (1500, 1501, 1777, 2500, 3999, 9000, MUCH):
            text = brief_text(graph, context, budget)
            line = brief_json(brief_summary(graph, context, budget))
            assert len(text) < budget  # the line break at the end counts
            assert len(line) < budget
            assert len(json.dumps(json.loads(line), separators=(",", ":"))) < budget
        for budget in (800, 801, 1200, 2000, 7000):
            assert estimated_tokens(brief_text(graph, context, budget, unit="tokens") + "\n") <= budget
            assert estimated_tokens(brief_json(brief_summary(graph, context, budget, unit="tokens")) + "\n") <= budget
    large = traced(num_active=300, num_positions=12)
    for budget in (2500, 4000, 20_000):
        assert len(brief_text(large, context_of(large), budget)) > budget - 200
        assert len(brief_json(brief_summary(large, context_of(large), budget))) > budget - 400


def test_a_larger_budget_says_more_and_the_same_budget_the_same() -> None:
    graph = traced(num_active=200, num_positions=9)
    context = context_of(graph)
    previous: dict[str, list[object]] = {}
    for budget in (1500, 2500, 4000, 8000, 16_000):
        found = brief_summary(graph, context, budget)
        assert found == brief_summary(graph, context, budget)
        assert brief_text(graph, context, budget) == brief_text(graph, context, budget)
        rows = {name: found.get(name, []) for name in ("answers", "tokens", "routes", "groups", "features", "edges")}
        for name, before in previous.items():
            assert rows[name][: len(before)] == before
        assert sum(map(len, rows.values())) > sum(map(len, previous.values()))
        previous = rows


def test_hostile_text_stays_in_its_quotes() -> None:
    graph, context = evil()
    for budget in (1500, 4000, MUCH):
        text = brief_text(graph, context, budget)
        assert all(character.isprintable() or character == "\n" for character in text)
        plain = brief_text(replace(traced(), text="x"), context_of(traced()), MUCH)
        starts = {re.split(r'[ ":,]', line)[0] for line in plain.split("\n") if not line.startswith("  ")}
        for line in text.split("\n"):
            outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
            assert '"' not in outside
            assert "💥" not in outside
            assert line.startswith("  ") or re.split(r'[ ":,]', line)[0] in starts | {"left"}
        assert text.count("\nleft out: ") == 1
        decoded = json.loads(brief_json(brief_summary(graph, context, budget)))
        assert decoded == brief_summary(graph, context, budget)
        assert all(character.isprintable() for character in brief_json(decoded))
        assert decoded["prompt"]["characters"] == len(EVIL) * 9000
        assert "…" in decoded["prompt"]["text"]


def test_a_long_text_is_cut_in_the_middle_and_says_so() -> None:
    graph = replace(traced(), text=f"First {'word ' * 5000}last")
    text = brief_text(graph, None, 2500)
    assert re.search(r'\ntext "First word .*….*word last", of 25,010 characters\n', text)
    assert '\ntext "some text"\n' in brief_text(traced(), None, 2500)
    assert brief_summary(replace(graph, text=None))["prompt"]["text"] == " w0 w1 w2 w3 w4"
    assert '\ntext of its tokens " w0 w1 w2 w3 w4"\n' in brief_text(replace(graph, text=None))


def test_features_are_the_most_influential_with_their_effects_on_the_likeliest_answer() -> None:
    graph = traced()
    found = brief_summary(graph, context_of(graph), MUCH)
    main = int(np.argmax([target.weight for target in graph.targets]))
    node = int(graph.nodes.where(NodeKind.TARGET)[main])
    assert found["effects_on"] == graph.targets[main].label
    direct, paths = dict(zip(*(part.tolist() for part in graph.row(node)), strict=True)), path_sums(graph, node)
    features = graph.nodes.where(NodeKind.FEATURE)
    order = sorted(features.tolist(), key=lambda one: (-graph.influence_N[one], one))
    assert len(found["features"]) == len(order) == 40
    for row, one in zip(found["features"], order, strict=True):
        nodes = graph.nodes
        assert row["name"] == f"{nodes.layer_N[one]}:{nodes.feature_N[one]}@{nodes.position_N[one]}"
        assert row["token"] == graph.token_strings[nodes.position_N[one]]
        for key, value in (
            ("influence", graph.influence_N[one]),
            ("activation", nodes.activation_N[one]),
            ("direct", direct.get(one, 0.0)),
            ("paths", paths[one]),
        ):
            assert row[key] == float(f"{value:.3g}")
        assert row.get("label") == ("cities | cities too" if one in features[::3] else None)
    assert any(row["direct"] < 0 for row in found["features"])
    assert "features" not in found["left_out"]


def test_routes_go_through_features_and_the_rest_of_the_influence_is_named() -> None:
    graph = traced()
    found = brief_summary(graph, None, MUCH)
    paths = [row for row in strongest_paths(graph, 500).rows() if row["edges"] > 1]
    whole = sum(target.weight for target in graph.targets)
    assert len(found["routes"]) == 24
    for route, row in zip(found["routes"], paths, strict=False):
        assert (route["share"], route["sign"]) == (float(f"{row['share'] / whole:.3g}"), row["sign"])
        assert len(route["path"]) == row["edges"] + 1
        assert route["path"][0].startswith("token@")
        assert route["path"][-1] in ('target " Austin"', 'target " Dallas"')
    assert {route["sign"] for route in found["routes"]} == {-1, 1}
    share_E = edge_shares(graph.target_E(), graph.weight_E, graph.row_abs_sum_N.astype(float))
    tokens, targets = (graph.nodes.where(kind) for kind in (NodeKind.TOKEN, NodeKind.TARGET))
    is_direct_E = np.isin(graph.source_E, tokens) & np.isin(graph.target_E(), targets)
    direct = float((share_E * graph.target_weights_N()[graph.target_E()])[is_direct_E].sum()) / whole
    assert found["direct_routes"] == float(f"{direct:.3g}")
    rest = 1 - direct - sum(row["share"] for row in paths[:24]) / whole
    assert found["left_out"]["routes"]["influence"] == float(f"{rest:.3g}")
    left = found["left_out"]["routes"]["influence"]
    assert f"{100 * left:.3g}% of all influence, which flows" in brief_text(graph, None, MUCH)


def test_what_is_left_out_carries_what_it_says() -> None:
    graph = traced(num_active=200, num_positions=9)
    found = brief_summary(graph, None, 4000)
    features = graph.nodes.where(NodeKind.FEATURE)
    for name, sizes in (
        ("features", np.sort(graph.influence_N[features].astype(float))[::-1]),
        ("edges", np.sort(passed_influence(graph))[::-1]),
        ("tokens", np.sort(graph.influence_N[graph.nodes.where(NodeKind.TOKEN)].astype(float))[::-1]),
    ):
        shown, left = len(found[name]), found["left_out"][name]
        assert left["number"] == len(sizes) - shown > 0
        assert left["influence"] == float(f"{sizes[shown:].sum() / sizes.sum():.3g}")
    edges, sums = graph.target_E(), row_sums(graph)
    strongest = int(np.argsort(-passed_influence(graph), kind="stable")[0])
    first = found["edges"][0]
    assert first["weight"] == float(f"{graph.weight_E[strongest]:.3g}")
    assert first["share"] == float(f"{graph.weight_E[strongest] / sums[edges[strongest]]:.3g}")


def test_groups_have_the_merged_edges_to_and_from_what_feeds_them_most() -> None:
    graph = traced()
    context = context_of(graph)
    found = {row["name"]: row for row in brief_summary(graph, context, MUCH)["groups"]}
    ends = [*graph.nodes.where(NodeKind.TOKEN), *graph.nodes.where(NodeKind.TARGET)]
    merged = list(merged_edges(graph, context.groups, ends).rows())
    for number, group in enumerate(context.groups):
        row = found[group.name]
        members = [node for node, key in enumerate(node_keys(graph)) if key in group.members]
        assert (row["nodes"], row["missing"]) == (len(members), number)
        assert row["influence"] == float(f"{graph.influence_N[members].astype(float).sum():.3g}")
        inputs = [edge["share"] for edge in merged if edge["target_group"] == number][:3]
        outputs = [edge["share"] for edge in merged if edge["source_group"] == number][:3]
        assert [end["share"] for end in row["from"]] == [float(f"{share:.3g}") for share in inputs]
        assert [end["share"] for end in row["to"]] == [float(f"{share:.3g}") for share in outputs]
    gone = replace(context, groups=(*context.groups, Group("gone", (NodeKey("feature", 0, 0, 999_999),))))
    assert brief_summary(graph, gone, MUCH)["left_out"]["groups"] == {"number": 1, "influence": 0.0}
    text = brief_text(graph, context, MUCH)
    assert re.search(r'\n  "cities 2": \S+, 3 nodes, 1 not in the graph; <- ', text)
    assert "supernodes" not in brief_text(graph, None, MUCH)


def test_a_subgraph_has_its_own_scores_features_edges_and_routes() -> None:
    graph = traced()
    features = graph.nodes.where(NodeKind.FEATURE)
    chosen = [int(node) for node in features[::5]]
    found = brief_summary(graph, context_of(graph), MUCH, chosen)
    scores = subgraph_scores(graph, chosen)
    influence_N = graph.influence_N.astype(float)
    assert found["subgraph"] == {
        "features": len(chosen),
        "influence": float(f"{influence_N[chosen].sum() / influence_N[features].sum():.3g}"),
        "replacement": float(f"{scores.replacement:.3g}"),
        "completeness": float(f"{scores.completeness:.3g}"),
    }
    names = {row["name"] for row in brief_summary(graph, None, MUCH)["features"]}
    own = {row["name"] for row in found["features"]}
    assert len(own) == len(chosen) < len(names)
    assert own < names
    inner = [re.sub(' ".*', "", name) for route in found["routes"] for name in route["path"][1:-1]]
    inner += [edge[side] for edge in found["edges"] for side in ("from", "to") if "@" in edge[side]]
    assert {name for name in inner if not name.startswith("token@")} <= own
    assert "errors" not in found
    keys = node_keys(graph)
    assert brief_summary(graph, context_of(graph), MUCH, [keys[node] for node in chosen]) == found
    assert f"subgraph: {len(chosen)} features with " in brief_text(graph, None, MUCH, chosen)
    empty = brief_summary(graph, None, MUCH, [])
    assert empty["subgraph"]["features"] == 0
    assert "features" not in empty


def test_what_an_imported_graph_does_not_say_is_unknown() -> None:
    graph = traced()
    nan = float("nan")
    imported = replace(
        graph,
        row_abs_sum_N=np.full_like(graph.row_abs_sum_N, np.nan),
        influence_N=np.full_like(graph.influence_N, np.nan),
        scores=Scores(nan, nan, nan, (nan,) * graph.num_layers, (), nan),
        targets=tuple(Target(target.label, -1, nan, target.position, nan) for target in graph.targets),
    )
    found = json.loads(brief_json(brief_summary(imported, context_of(imported), MUCH)))
    assert found["scores"] == dict.fromkeys(found["scores"], None)
    assert found["graph"]["stored_share"] is None
    assert {row["weight"] for row in found["answers"]} == {row["influence"] for row in found["features"]} == {None}
    assert "routes" not in found
    assert found["left_out"] == {"routes": {"influence": None}}
    assert all(row["share"] is not None for row in found["edges"])
    text = brief_text(imported, None, MUCH)
    assert "replacement unknown: an unknown part of the influence" in text
    assert "dark matter: an unknown part of all influence ends in errors; an unknown part ends in the constant" in text
    assert "left out: an unknown part of all influence, which flows along other routes" in text
    assert not re.search(r"\bnan\b|\bNone\b", text)


def test_an_imported_graph_says_so_and_what_its_influence_is() -> None:
    graph = replace(traced(), metadata={"imported_format": "viewer", "imported_influence": "shares"})
    found, text = brief_summary(graph, None, 4000), brief_text(graph, None, 4000)
    assert (found["graph"]["imported"], found["graph"]["influence"]) == ("viewer", "shares")
    assert '; imported, format "viewer"\n' in text
    assert "Influence is a node's share of the influence of all nodes" in text
    assert found["left_out"]["edges"]["influence"] is None  # the weights of targets are in another unit
    computed = brief_text(replace(graph, metadata={"imported_format": EVIL, "imported_influence": "file"}), None, 4000)
    assert "Influence is the part of the answers' weight that flows through a node" in computed
    assert all(character.isprintable() or character == "\n" for character in computed)


def test_scores_are_said_in_words() -> None:
    graph = replace(traced(), scores=Scores(0.75, 0.9, 0.125, (0.0, 0.25, 0.0625), (), 0.0))
    text = brief_text(graph, context_of(graph), MUCH)
    assert "\nreplacement 0.75: 75% of the influence that ends in tokens or errors ends in tokens\n" in text
    assert "\ncompleteness 0.9: 90% of what feeds the nodes, by influence, is not from errors\n" in text
    assert "\ndark matter: 31.2% of all influence ends in errors, most in layer 1; 12.5% ends in the constant\n" in text
    assert "\nthe edges have 100% of what fed the nodes before pruning\n" in text
    assert "; pruned to 80% of the nodes' influence and 98% of the edges'\n" in text
    assert brief_summary(graph)["in_words"] == text.split("\n")[3:7]


def test_tokens_of_a_text_are_counted_as_documented() -> None:
    assert estimated_tokens("") == 0
    assert estimated_tokens("four word") == 2
    assert estimated_tokens("longer 12:3045\n") == 2 + 1 + 2 + 1 + 4 + 1
    assert estimated_tokens("  é北") == 1 + 2 + 3
    assert estimated_tokens('"},{"name":') == 3 + 1 + 1
    assert estimated_tokens("a b") == 2


def test_budgets_units_and_nodes_that_cannot_be_are_refused() -> None:
    graph = traced()
    with pytest.raises(ConfigError, match=r"a budget of 1,499 characters is too small: a brief takes 1,500 characters"):
        brief_text(graph, None, LEAST["characters"] - 1)
    with pytest.raises(ConfigError, match="a budget of 799 tokens is too small"):
        brief_summary(graph, None, 799, unit="tokens")
    with pytest.raises(ConfigError, match="a budget must be an integer, not"):
        brief_text(graph, None, 4000.0)
    with pytest.raises(ConfigError, match="no unit of budgets 'words'; there are characters, tokens"):
        brief_text(graph, None, 4000, unit="words")
    with pytest.raises(ConfigError, match="not 1 of the 1 given"):
        brief_text(graph, None, 4000, [NodeKey("feature", 0, 0, 999_999)])
