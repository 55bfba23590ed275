"""Results of mining as the pages get them: rows in every order, what is left out, and the graphs behind an edge."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rounding import round_off
from serving import make_store

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.columns import KINDS
from distributed_tracer.mine.atlas_instances import Site
from distributed_tracer.mine.result import open_result
from distributed_tracer.serve.api import findings
from distributed_tracer.serve.edge_witnesses import strongest_edge, witnesses
from distributed_tracer.serve.finding_tables import FindingTables, Question
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings

pytestmark = pytest.mark.slow

ATLAS, CHAINS, SIMILAR, DARK = range(4)
HOSTILE = "<img src=x onerror=alert(1)>"


def ask(served: ServedStore, path: str, **query: Any) -> Any:
    """Return the value of an endpoint's reply for parameters as a request has them."""
    endpoint = next(one for one in findings.ENDPOINTS if one.path == path)
    texts = {
        name: [str(one) for one in (value if isinstance(value, list) else [value])] for name, value in query.items()
    }
    return getattr(endpoint.handler(served, endpoint.arguments(texts)), "value", None)


def test_each_result_says_what_it_is_and_what_it_cannot_say(inside: ServedStore) -> None:
    found = ask(inside, "/results")["results"]
    assert [one["what"] for one in found] == ["atlas", "chains", "similar", "dark-matter"]
    for one in found:
        assert one["question"]
        assert one["misfits"] == []
        assert any("clusters" in said for said in one["limits"])
        assert ["prompts", "5"] in one["numbers"]
        assert "/tmp" not in one["provenance"]


def test_rows_are_those_of_the_whole_table_in_any_order(inside: ServedStore, mined: list[Path]) -> None:
    table = open_result(mined[ATLAS]).table("edges", ["source_feature", "sum_abs", "prompts"])
    for by, key in (
        ("largest", -table["sum_abs"]),
        ("smallest", table["sum_abs"]),
        ("largest absolute", -np.abs(table["sum_abs"])),
    ):
        found = ask(inside, "/result_rows", result=ATLAS, table="edges", sort="prompts", limit=1)
        assert found["num_rows"] == len(table)
        found = ask(inside, "/result_rows", result=ATLAS, table="edges", sort="sum_abs", by=by, offset=7, limit=20)
        wanted = table["source_feature"][np.argsort(key, kind="stable")[7:27]]
        assert [row["values"]["source_feature"] for row in found["rows"]] == wanted.tolist()
        assert found["offset"] == 7


def test_conditions_and_words_leave_rows_out(inside: ServedStore, mined: list[Path]) -> None:
    table = open_result(mined[ATLAS]).table("edges")
    wanted = (table["prompts"] >= 2) & (table["source_kind"] == "feature")
    query = {"result": ATLAS, "table": "edges", "sort": ""}
    found = ask(inside, "/result_rows", **query, where=["prompts>=2", "source_kind = feature"], limit=500)
    assert found["num_meeting"] == int(wanted.sum()) > 0
    assert all(row["nodes"]["source"]["kind"] == "feature" for row in found["rows"])

    row = int(np.flatnonzero(table["source_kind"] == "feature")[0])
    layer, feature = int(table["source_layer"][row]), int(table["source_feature"][row])
    found = ask(inside, "/result_rows", **query, find=f"{layer}:{feature}", limit=500)
    of_end = [
        (table[f"{side}_kind"] == "feature") & (table[f"{side}_layer"] == layer) & (table[f"{side}_feature"] == feature)
        for side in ("source", "target")
    ]
    assert found["num_meeting"] == int((of_end[0] | of_end[1]).sum()) > 0

    found = ask(inside, "/result_rows", **query, find="dallas", limit=500)
    assert found["rows"]
    assert all("Dallas" in str([row["nodes"][end]["known"] for end in ("source", "target")]) for row in found["rows"])


def test_text_columns_sort_as_a_dictionary_does(inside: ServedStore) -> None:
    query = {"result": SIMILAR, "table": "neighbours", "sort": "neighbour", "limit": 500}
    own = ask(inside, "/result_rows", **{**query, "sort": ""})["rows"]
    texts = [row["values"]["neighbour"] for row in own]
    found = ask(inside, "/result_rows", **query, by="smallest")
    assert found["order"] == {"column": "neighbour", "by": "smallest", "least": {}, "is_text": True}
    wanted = sorted(range(len(own)), key=lambda row: texts[row].casefold())
    assert [row["values"] for row in found["rows"]] == [own[row]["values"] for row in wanted]
    found = ask(inside, "/result_rows", **query, by="largest")
    wanted = sorted(range(len(own)), key=lambda row: texts[row].casefold(), reverse=True)
    assert [row["values"] for row in found["rows"]] == [own[row]["values"] for row in wanted]
    assert len(set(texts)) > 2


def test_what_no_table_has_is_refused_in_words(inside: ServedStore) -> None:
    for query, said in (
        ({"result": 9, "table": "edges"}, "result"),
        ({"result": ATLAS, "table": "edgs"}, "Did you mean 'edges'"),
        ({"result": ATLAS, "table": "edges", "sort": "sum_sharre"}, "Did you mean 'sum_share'"),
        ({"result": ATLAS, "table": "edges", "sort": "source_kind", "by": "largest absolute"}, "is text"),
        ({"result": ATLAS, "table": "edges", "where": "prompts"}, "a condition is"),
        ({"result": ATLAS, "table": "edges", "where": "prompts>=many"}, "prompts is a number"),
        ({"result": ATLAS, "table": "edges", "where": "source_kind>=feature"}, "has no order"),
        ({"result": ATLAS, "table": "edges", "limit": 100_000}, "limit is a number from 1 to 500"),
    ):
        with pytest.raises(ConfigError, match=said):
            ask(inside, "/result_rows", **query)


def test_a_table_longer_than_what_is_kept_says_so(inside: ServedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distributed_tracer.serve.finding_tables.MOST_ROWS", 10)
    rows = FindingTables(inside).rows(Question(ATLAS, "edges", "sum_abs"))
    assert len(rows.table) == 10
    assert rows.num_rows > 10


def test_prompts_lead_to_graphs_and_pairs_to_comparisons(inside: ServedStore) -> None:
    found = ask(inside, "/result_rows", result=SIMILAR, table="neighbours")
    assert found["compare"] == ["prompt", "neighbour"]
    assert {one["column"] for one in found["head"] if one.get("is_prompt")} == {"prompt", "neighbour"}
    assert HOSTILE in {row["values"]["neighbour"] for row in found["rows"]}
    assert all(row["unknown"] == [] for row in found["rows"])
    found = ask(inside, "/result_rows", result=DARK, table="strongest", limit=5)
    for row in found["rows"]:
        graph = inside.graph(row["values"]["prompt"])
        kind, layer, position, feature = row["node"].split(":")
        nodes = graph.nodes
        is_there = (
            (nodes.kind_N == KINDS.index(kind))
            & (nodes.layer_N == int(layer))
            & (nodes.position_N == int(position))
            & (nodes.feature_N == int(feature))
        )
        assert is_there.sum() == 1


def test_chains_are_rows_of_boxes_from_their_first_to_their_last_edge(inside: ServedStore, mined: list[Path]) -> None:
    edges = open_result(mined[CHAINS]).table("edges")
    found = ask(inside, "/result_rows", result=CHAINS, table="chains", limit=500)
    assert found["rows"]
    for row in found["rows"]:
        own = edges.where(edges["chain"] == row["values"]["chain"])
        own = own.take(np.argsort(own["step"]))
        assert [node["layer"] for node in row["chain"]] == [own["source_layer"][0], *own["target_layer"].tolist()]
        assert [node["feature"] for node in row["chain"]] == [own["source_feature"][0], *own["target_feature"].tolist()]
        assert [node["share"] for node in row["chain"][1:]] == own["mean_share"].tolist()
        assert row["chain"][-1]["kind"] == "target"


def judged(served: ServedStore, source: Site, target: Site) -> dict[str, tuple[float, int]]:
    """The sum of absolute weights and the number of the edges between two sites in each graph that has any."""
    found = {}
    for graph in served.store.graphs():
        nodes = graph.nodes
        sites = []
        rows = zip(nodes.kind_N.tolist(), nodes.layer_N.tolist(), nodes.feature_N.tolist(), strict=True)
        for kind, layer, feature in rows:
            named = KINDS[kind]
            sites.append(Site(named, layer, graph.targets[feature].token_id if named == "target" else feature))
        ends = zip(graph.source_E.tolist(), graph.target_E().tolist(), graph.weight_E.tolist(), strict=True)
        own = [abs(weight) for one, other, weight in ends if (sites[one], sites[other]) == (source, target)]
        if own:
            found[graph.prompt_id] = (sum(own), len(own))
    return found


def test_the_prompts_of_an_edge_are_those_whose_graph_has_it(inside: ServedStore, mined: list[Path]) -> None:
    atlas = open_result(mined[ATLAS])
    table = atlas.table(
        "edges", [f"{side}_{of}" for side in ("source", "target") for of in ("kind", "layer", "feature")]
    )
    rows = list(table.rows())
    chosen = [rows[number] for number in np.random.default_rng(0).integers(len(rows), size=12)]
    for row in chosen:
        source, target = (Site(*(row[f"{side}_{of}"] for of in Site._fields)) for side in ("source", "target"))
        wanted = judged(inside, source, target)
        said = {side: ":".join(map(str, site)) for side, site in (("source", source), ("target", target))}
        found = ask(inside, "/result_prompts", result=ATLAS, **said)
        assert {one["prompt"]: one["edges"] for one in found["prompts"]} == {p: n for p, (_, n) in wanted.items()}
        assert found["num_prompts"] == len(wanted)
        of_atlas = atlas.prompts_of_edge(source, target)  # type: ignore[attr-defined]
        sums = dict(zip(of_atlas["prompt"].tolist(), of_atlas["weight_abs"].tolist(), strict=True))
        assert sums.keys() == wanted.keys()
        for prompt, (total, count) in wanted.items():
            assert abs(sums[prompt] - total) <= round_off(torch.float64, count, total)
        assert list(of_atlas["weight_abs"]) == sorted(of_atlas["weight_abs"], reverse=True)
        if source.kind == target.kind == "feature":
            others = witnesses(inside.results[CHAINS], (), inside.store, source, target)
            assert {one["prompt"] for one in others["prompts"]} == set(wanted)


def test_an_edge_that_nobody_has_has_no_prompts(inside: ServedStore) -> None:
    found = ask(inside, "/result_prompts", result=ATLAS, source="feature:0:500000", target="feature:3:50")
    assert found["prompts"] == []
    assert strongest_edge(inside.graph("dallas"), Site("feature", 0, 500_000), Site("feature", 3, 50)) is None
    for wrong in ("feature:2", "feature:2:x", "thing:2:3", "feature:-5:3"):
        with pytest.raises(ConfigError):
            ask(inside, "/result_prompts", result=ATLAS, source=wrong, target="feature:3:50")
    with pytest.raises(ConfigError, match="--mined ATLAS"):
        witnesses(inside.results[CHAINS], (), inside.store, Site("token", -1, 5), Site("target", 4, 5))


def test_pictures_are_files_of_svg_in_which_nothing_runs(inside: ServedStore) -> None:
    picture = next(one for one in findings.ENDPOINTS if one.path == "/result_picture")
    for number, table in ((ATLAS, "edges"), (SIMILAR, "unlike_texts"), (DARK, "prompts")):
        for place, said in enumerate(ask(inside, "/result_pictures", result=number, table=table)["pictures"]):
            assert said["caption"]
            for theme in ("light", "dark"):
                query = {"result": [str(number)], "table": [table], "picture": [str(place)], "theme": [theme]}
                file = picture.handler(inside, picture.arguments(query))
                assert file.media_type == "image/svg+xml"  # type: ignore[union-attr]
                root = ElementTree.fromstring(file.content)  # type: ignore[union-attr]
                names = {element.tag.partition("}")[2] for element in root.iter()}
                assert root.tag == "{http://www.w3.org/2000/svg}svg"
                assert not names & {"script", "foreignObject", "image", "a", "use", "animate", "set", "iframe"}
                assert not any(name.lower().startswith("on") for element in root.iter() for name in element.attrib)


def test_a_result_of_another_store_is_shown_with_a_warning_and_without_links(mined: list[Path], tmp_path: Path) -> None:
    rows = [{"id": "dallas", "text": "Fact: the capital of the state containing Dallas is", "topic": "capitals"}]
    other = ServedStore(ServeSettings(str(make_store(tmp_path, rows)), mined=tuple(map(str, mined))))
    for one in ask(other, "/results")["results"]:
        assert any("4 of the 5 prompts of this result are not in this store" in said for said in one["misfits"])
    found = ask(other, "/result_rows", result=SIMILAR, table="neighbours")
    assert any(row["unknown"] for row in found["rows"])
    assert not any("dallas" in row["unknown"] for row in found["rows"])


def test_a_server_without_results_says_how_to_show_some(small_store: Path) -> None:
    served = ServedStore(ServeSettings(str(small_store)))
    assert ask(served, "/results") == {"results": []}
    with pytest.raises(ConfigError, match="--mined FOLDER"):
        ask(served, "/result_rows", result=0, table="edges")
