"""The atlas by Python dictionaries, one edge after another: slow, and too simple to be wrong in the same way."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from distributed_tracer.graph.columns import KINDS
from distributed_tracer.graph.graph import Graph

Site = tuple[int, int, int]
Row = dict[str, Any]


def distance_class(distance: int) -> str:
    if distance < 0:
        return "negative"
    return {0: "0", 1: "1", 2: "2_3", 3: "2_3"}.get(distance, "4_7" if distance < 8 else "8_up")


def site_of(graph: Graph, node: int) -> Site:
    """Layer, kind and feature; of targets the token id."""
    nodes = graph.nodes
    feature = int(nodes.feature_N[node])
    if nodes.kind_N[node] == 3:
        feature = graph.targets[feature].token_id
    return int(nodes.layer_N[node]), int(nodes.kind_N[node]), feature


def ratio(number: float, count: int) -> float:
    return number / count if count > 0 else math.nan


def atlas_of(graphs: Iterable[Graph], clusters: Mapping[str, Any] | None = None) -> tuple[list[Row], list[Row]]:
    """Return the rows of the tables of edges and of features."""
    graphs = sorted(graphs, key=lambda graph: graph.prompt_id)
    total = len(graphs)
    pairs: dict[tuple[Site, Site], Row] = {}
    sites: dict[Site, Row] = defaultdict(lambda: defaultdict(float))
    where: dict[Site, set[str]] = defaultdict(set)
    rows: dict[Site, set[str]] = defaultdict(set)
    for graph in graphs:
        _add_graph(graph, pairs, sites, where, rows, clusters)
    edges = [
        _edge_row(source, target, found, sites[target], where, rows, total, clusters is not None)
        for (target, source), found in sorted(pairs.items())
    ]
    features = [_feature_row(site, found, len(rows[site])) for site, found in sorted(sites.items()) if site[1] == 0]
    for row in features:
        row |= _active_row((row["layer"], row["feature"]), graphs)
    return edges, features


def _active_row(feature: tuple[int, int], graphs: list[Graph]) -> Row:
    """Prompts in which a feature is active, and in which the edges into it were computed."""
    active = [zip(graph.active.layer_A.tolist(), graph.active.feature_A.tolist(), strict=True) for graph in graphs]
    computed = [
        {name for name, done in zip(zip(one.layer_A, one.feature_A, strict=True), one.computed_A, strict=True) if done}
        for one in (graph.active for graph in graphs)
        if one.computed_A is not None
    ]
    return {
        "prompts_active": sum(feature in set(one) for one in active),
        "prompts_active_known": len(graphs),
        "prompts_computed": sum(feature in one for one in computed),
        "prompts_computed_known": len(computed),
    }


def _add_graph(graph: Graph, pairs: Any, sites: Any, where: Any, rows: Any, clusters: Any) -> None:
    name = graph.prompt_id
    row_sum: dict[Site, float] = defaultdict(float)
    error_sum: dict[Site, float] = defaultdict(float)
    dropped: dict[Site, float] = defaultdict(float)
    influence: dict[Site, float] = defaultdict(float)
    has_row: set[Site] = set()
    unknown: dict[str, set[Site]] = defaultdict(set)
    weights: dict[tuple[Site, Site], list[tuple[float, str]]] = defaultdict(list)
    own_sites = [site_of(graph, node) for node in range(len(graph.nodes))]
    for node, site in enumerate(own_sites):
        first, end = int(graph.indptr[node]), int(graph.indptr[node + 1])
        found = sites[site]
        found["nodes"] += 1
        activation = float(graph.nodes.activation_N[node])
        if math.isfinite(activation):
            found["sum_activation"] += activation
            found["sum_activation_squared"] += activation * activation
        else:
            found["nodes_unknown"] += 1
        _add(influence, unknown["influence"], site, float(graph.influence_N[node]))
        where[site].add(name)
        of_errors = 0.0
        for edge in range(first, end):
            source = int(graph.source_E[edge])
            weight = float(graph.weight_E[edge])
            distance = int(graph.nodes.position_N[node]) - int(graph.nodes.position_N[source])
            weights[site, own_sites[source]].append((weight, distance_class(distance)))
            if own_sites[source][1] == 1:
                of_errors += abs(weight)
        row_abs_sum = float(graph.row_abs_sum_N[node])
        if end > first or not math.isnan(row_abs_sum):
            has_row.add(site)
            _add(row_sum, unknown["row"], site, row_abs_sum)
            _add(dropped, unknown["dropped"], site, float(graph.row_abs_dropped_N[node]))
            _add(error_sum, unknown["error"], site, of_errors)
    for site in {*own_sites}:
        found = sites[site]
        found["prompts"] += 1
        if site in unknown["influence"]:
            found["prompts_influence_unknown"] += 1
        else:
            found["sum_influence"] += influence[site]
        if site not in has_row:
            continue
        rows[site].add(name)
        if site in unknown["dropped"]:
            found["dropped_unknown"] += 1
        else:
            found["dropped"] += dropped[site]
        if site in unknown["row"] or row_sum[site] <= 0:
            row_sum[site] = math.nan
        elif site not in unknown["error"]:
            found["prompts_error_share"] += 1
            found["sum_error_share"] += error_sum[site] / row_sum[site]
    for key, instances in weights.items():
        pair = pairs.setdefault(key, defaultdict(float, present=set(), clusters=set(), min=math.inf, max=-math.inf))
        _add_instances(pair, instances, row_sum[key[0]])
        pair["present"].add(name)
        if clusters is not None and clusters[name] is not None:
            pair["clusters"].add(clusters[name])


def _add(sums: dict[Site, float], unknown: set[Site], site: Site, value: float) -> None:
    if math.isfinite(value):
        sums[site] += value
    else:
        unknown.add(site)


def _add_instances(pair: Row, instances: list[tuple[float, str]], row_sum: float) -> None:
    total = absolute = 0.0
    for weight, place in instances:
        pair["instances"] += 1
        pair[f"instances_at_{place}"] += 1
        if not math.isfinite(weight):
            pair["instances_unknown"] += 1
            continue
        total += weight
        absolute += abs(weight)
        pair["instances_positive"] += weight > 0
        pair["instances_negative"] += weight < 0
        pair["min"], pair["max"] = min(pair["min"], weight + 0.0), max(pair["max"], weight + 0.0)
        pair[f"sum_at_{place}"] += weight
    if not all(math.isfinite(weight) for weight, _ in instances):
        pair["prompts_unknown"] += 1
        return
    pair["sum"] += total
    pair["sum_abs"] += absolute
    pair["sum_squares"] += total * total
    if not math.isnan(row_sum):
        pair["prompts_share"] += 1
        pair["sum_share"] += total / row_sum


def _edge_row(
    source: Site, target: Site, pair: Row, of_target: Row, where: Any, rows: Any, total: int, with_clusters: bool
) -> Row:
    row = {}
    for side, site in (("source", source), ("target", target)):
        row |= {f"{side}_kind": KINDS[site[1]], f"{side}_layer": site[0], f"{side}_feature": site[2]}
    prompts, unknown = len(pair["present"]), pair["prompts_unknown"]
    both = len(where[source] & where[target])

    def bound(number: float) -> float:
        return math.nan if of_target["dropped_unknown"] else ratio(number, len(rows[target]) - unknown)

    row |= {"prompts": prompts, "prompts_unknown": unknown}
    row |= {"clusters": len(pair["clusters"])} if with_clusters else {}
    row |= {
        "prompts_source": len(where[source]),
        "prompts_target": len(where[target]),
        "prompts_both": both,
        "prompts_row": len(rows[target]),
        "lift": both * float(total) / (len(where[source]) * float(len(where[target]))),
        **{name: pair[name] for name in ("instances", "instances_positive", "instances_negative")},
        **{name: pair[name] for name in ("instances_unknown", "sum", "sum_abs", "sum_squares")},
        **{name: pair[name] if math.isfinite(pair[name]) else math.nan for name in ("min", "max")},
        "mean_present": ratio(pair["sum"], prompts - unknown),
        "mean_row": ratio(pair["sum"], len(rows[target]) - unknown),
        "mean_row_low": bound(pair["sum"] - of_target["dropped"]),
        "mean_row_high": bound(pair["sum"] + of_target["dropped"]),
        "mean_all": ratio(pair["sum"], total - unknown),
        "sum_dropped": of_target["dropped"],
        "prompts_dropped_unknown": of_target["dropped_unknown"],
        "prompts_share": pair["prompts_share"],
        "sum_share": pair["sum_share"],
    }
    classes = ("0", "1", "2_3", "4_7", "8_up", "negative")
    return row | {f"{what}_at_{name}": pair[f"{what}_at_{name}"] for what in ("instances", "sum") for name in classes}


def _feature_row(site: Site, found: Row, num_row: int) -> Row:
    return {
        "layer": site[0],
        "feature": site[2],
        "prompts": found["prompts"],
        "prompts_row": num_row,
        "nodes": found["nodes"],
        "nodes_unknown": found["nodes_unknown"],
        "sum_activation": found["sum_activation"],
        "sum_activation_squared": found["sum_activation_squared"],
        "prompts_influence_unknown": found["prompts_influence_unknown"],
        "sum_influence": found["sum_influence"],
        "mean_influence": ratio(found["sum_influence"], found["prompts"] - found["prompts_influence_unknown"]),
        "prompts_error_share": found["prompts_error_share"],
        "sum_error_share": found["sum_error_share"],
        "mean_error_share": ratio(found["sum_error_share"], found["prompts_error_share"]),
    }
