"""Commands that question a store: what they say where there is nothing to say, and what they leave out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.labels import Label
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.query.feature_answer import answer_feature_query
from distributed_tracer.store.annotations import write_labels
from distributed_tracer.store.reader import Store, open_store


def graph(number: int) -> Graph:
    made = random_graph(f"two-hop-{number}", seed=number, metadata={"family": "two-hop", "held_out": number > 1})
    targets = tuple(replace(target, label=" Austin") for target in made.targets)
    return replace(made, targets=targets, weight_E=np.nan_to_num(made.weight_E))


GRAPHS = [graph(number) for number in range(3)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(str(tmp_path / "store"), GRAPHS)


def said(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    code = main(args)
    out, err = capsys.readouterr()
    return f"{code} {out}{err}"


def test_an_empty_answer_says_which_conditions_no_prompt_meets(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--where", "family=two-hops", "--where", "held_out=True", "--target", "Austim", "--token", "zzz"]
    lines = said(capsys, "query", store.url, *where).splitlines()
    assert lines[1:] == [
        "0 of 3 prompts",
        "no prompt has family=two-hops. Did you mean 'two-hop'?",
        "no prompt has a token 'zzz'",
        "no prompt has a target 'Austim'. Did you mean ' Austin'?",
    ]


def test_repeated_conditions_must_all_hold(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\n1 of 3 prompts" in said(
        capsys, "query", store.url, "--where", "held_out=True", "--where", "family=two-hop"
    )
    assert "no prompt of" in said(capsys, "split", store.url, f"{store.url}2", "--where", "held_out=true", "family=x")
    assert not Path(f"{store.url}2").exists()


@pytest.mark.parametrize("show", ["occurrences", "edges-into", "edges-out", "together"])
def test_a_feature_that_is_nowhere_and_a_layer_that_there_is_not(
    store: Store, show: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [made.nodes.take(made.nodes.where(NodeKind.FEATURE)) for made in GRAPHS]
    known = {int(f) for made in nodes for f in made.feature_N[made.layer_N == 2]}
    asked = ["query", store.url, "--show", show, "--feature"]
    says = f": no graph has feature 2:999999 as a node; of layer 2, {len(known)} features are, up to {max(known)}"
    assert said(capsys, *asked, "2:999999").rstrip().endswith(says)
    assert said(capsys, *asked, "99:1") == f"1 error: layer 99 is not among the 3 of {store.url}: 0 to 2\n"


@pytest.mark.parametrize("show", ["occurrences", "edges-into", "edges-out", "together"])
def test_an_index_that_no_feature_has_is_an_error_where_the_store_tells_their_number(
    store: Store, show: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(store.url) / "run.json"
    before = json.loads(run.read_text())
    run.write_text(json.dumps({**before, "num_features": [5, 10, 12_345]}))
    asked = ["query", store.url, "--show", show, "--feature"]
    says = f"1 error: feature 2:12345 is not among the 12,345 of layer 2 in {store.url}: 2:0 to 2:12344\n"
    assert said(capsys, *asked, "2:12345") == says
    assert "no graph has feature 2:12344 as a node" in said(capsys, *asked, "2:12344")
    assert "layer 99 is not among the 3" in said(capsys, *asked, "99:1")
    for unknown in ([5, 10], "many", [5, 10, None]):
        run.write_text(json.dumps({**before, "num_features": unknown}))
        assert "no graph has feature 2:12345 as a node" in said(capsys, *asked, "2:12345")


def test_sites_have_the_dtypes_of_the_table_of_nodes(store: Store) -> None:
    site = next((n.layer_N[0], n.feature_N[0]) for n in [GRAPHS[0].nodes])
    table, _ = answer_feature_query(store, int(site[0]), int(site[1]), "together")
    nodes = store.nodes().table()
    assert {name: table[name].dtype for name in ("layer", "feature")} == {
        n: nodes[n].dtype for n in ("layer", "feature")
    }


@pytest.mark.parametrize("args", [["query", "--limit", "-1"], ["show", "--prompt", "two-hop-0", "--top", "-1"]])
def test_a_negative_number_of_rows_is_refused(
    store: Store, args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"1 error: {args[-2]} must not be negative, not -1" in said(capsys, args[0], store.url, *args[1:])


def test_draw_and_export_say_what_they_did_or_refuse_before_they_do_it(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, out = [store.url, "--prompt", "two-hop-0", "--out"], tmp_path / "g"
    picture = said(capsys, "draw", *one, f"{out}.svg").splitlines()
    assert picture[0] == f"0 {out}.svg"
    assert picture[1].startswith("drawn are ")
    for command, ending in (("draw", "json"), ("draw", "gif"), ("export", "xml"), ("export", "gif")):
        assert f"unlike '{out}.{ending}'" in said(capsys, command, *one, f"{out}.{ending}")
        assert not Path(f"{out}.{ending}").exists()
    assert "Did you mean 'two-hop-0'" in said(
        capsys, "export", store.url, "--prompt", "TWO-HOP-0", "--out", f"{out}.npz"
    )
    assert "--by colours the prompts of a whole store" in said(capsys, "draw", *one, f"{out}.png", "--by", "family")


def test_each_other_feature_has_its_labels_and_the_asked_one_has_its_own_first(store: Store) -> None:
    made = GRAPHS[0]
    source_E, target_E = made.source_E, made.target_E()
    between = (made.nodes.kind_N[source_E] == NodeKind.FEATURE) & (made.nodes.kind_N[target_E] == NodeKind.FEATURE)
    edge = int(np.flatnonzero(between)[0])
    ends = [source_E[edge], target_E[edge]]
    (source, target) = ((int(made.nodes.layer_N[n]), int(made.nodes.feature_N[n])) for n in ends)
    write_labels(store.root, [(*source, Label("city\x1b[2J", "me")), (*target, Label("capital", "me"))])
    write_labels(store.root, [(3, 0, Label("of no feature: targets have this layer", "me"))])
    labelled = open_store(store.url)
    for site, show, other in ((target, "edges-into", source), (source, "edges-out", target)):
        table, summary = answer_feature_query(labelled, *site, show)  # type: ignore[arg-type]
        assert summary.startswith(f"{site[0]}:{site[1]} {labelled.labels.text(*site)}\n")
        column = "source" if show == "edges-into" else "target"
        rows = zip(*(table[name].tolist() for name in ("kind", "layer", column, "labels")), strict=True)
        for kind, layer, number, text in rows:
            known = kind == "feature" and (layer, number) in (source, target)
            assert text == (labelled.labels.text(layer, number) if known else "")
            assert text.isprintable()
        assert labelled.labels.text(*other) in table["labels"].tolist()
    assert "labels" not in answer_feature_query(labelled, *source, "occurrences")[0]
    together, _ = answer_feature_query(labelled, *source, "together")
    assert labelled.labels.text(*target) in together["labels"].tolist()
