"""The commands `labels` and `feature`: what they say, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from profiles import write_profile
from random_graphs import random_graph
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.graph.labels import Label
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.profile.feature_profile import Context, FeatureProfile, WeightedToken
from distributed_tracer.store.annotations import read_annotations
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.text import printable

HOSTILE = "\x1b[2J\r\n<b>\u202e"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(str(tmp_path / "store"), [random_graph("a", seed=1), random_graph("b", seed=2)])


def said(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(args)
    out, err = capsys.readouterr()
    assert all(c.isprintable() or c == "\n" for c in out + err)
    return code, out, err


def label_file(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_labels_are_added_listed_exported_and_removed(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"layer": 0, "index": 5, "text": HOSTILE}, {"layer": 9, "index": 5, "text": "x"}, {"layer": 1}]
    first = label_file(tmp_path / "one.jsonl", *rows)
    second = label_file(tmp_path / "two.jsonl", {"layer": "1-tc-16k", "index": "7", "description": "Texas"})
    code, out, err = said(capsys, "labels", "add", store.url, first, second, "--author", "ada")
    assert code == 3
    assert out.splitlines()[-1] == "added 2 labels; 0 were there; 2 rows refused"
    assert f"{second}: labels of source sets '1-tc-16k'" in out
    assert err.splitlines() == [
        f"{first}:2: layer 9 is not among the 3 of {store.url}: 0 to 2",
        f"{first}:3: no whole number from 0: found None as an index",
    ]
    assert [one.author for one in read_annotations(store.root, "labels")] == ["ada"]
    assert said(capsys, "labels", "add", store.url, second)[:2] == (
        *(0, f"{second}: labels of source sets '1-tc-16k'\nadded 0 labels; 1 were there\n"),
    )
    assert said(capsys, "labels", "add", store.url, second, "--source", HOSTILE)[0] == 0
    out = said(capsys, "labels", "list", store.url, "--limit", "2")[1]
    assert "... 1 more\n3 labels\n" in out
    assert len(json.loads(said(capsys, "labels", "list", store.url, "--feature", "1:7", "--json")[1])) == 2
    assert len(json.loads(said(capsys, "labels", "list", store.url, "--source", first, "--json")[1])) == 1
    assert said(capsys, "labels", "export", store.url, str(tmp_path / "out.csv"))[1].startswith("wrote 3 labels to")
    assert said(capsys, "labels", "remove", store.url, "--source", HOSTILE)[:1] == (0,)
    code, _, err = said(capsys, "labels", "remove", store.url, "--source", "two")
    assert code == 1
    assert f"no source of labels 'two'; there are {first!r}, {second!r}. Did you mean {second!r}?" in err
    assert said(capsys, "labels", "add", store.url, str(tmp_path / "out.csv"))[1] == "added 1 label; 2 were there\n"


def test_mistakes_are_one_line(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for args, message in (
        (("list", store.url, "--feature", "x"), "error: --feature is LAYER:INDEX, as in 12:3045, not 'x'"),
        (("list", store.url, "--source", "x"), "error: no source of labels 'x'; there are none"),
        (("add", store.url), "error: no file: name at least one file of labels"),
        (("make", store.url, "--profile", str(tmp_path)), f"error: there is no profile at {tmp_path}"),
        (("export", store.url, "x.txt"), "error: labels are written to a file that ends in .jsonl or .csv"),
    ):
        code, _, err = said(capsys, "labels", *args)
        assert code == 1
        assert err.startswith(message)
        assert err.count("\n") == 1
    assert "error: a feature is LAYER:INDEX" in said(capsys, "feature", store.url, "3")[2]
    assert "layer 3 is not among the 3" in said(capsys, "feature", store.url, "3:0")[2]
    assert "there is no profile" in said(capsys, "feature", store.url, "0:1", "--profile", str(tmp_path))[2]


def test_a_feature_is_printed_with_its_labels_and_as_json(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = store.graph("a")
    node = int(graph.nodes.where(NodeKind.FEATURE)[0])
    layer, index = int(graph.nodes.layer_N[node]), int(graph.nodes.feature_N[node])
    path = label_file(tmp_path / "l.jsonl", {"layer": layer, "index": index, "text": HOSTILE, "source": "me"})
    assert main(["labels", "add", store.url, path]) == 0
    assert open_store(store.url).labels.get(layer, index) == (Label(HOSTILE, "me"),)
    capsys.readouterr()
    code, out, _ = said(capsys, "feature", store.url, f"{layer}:{index}")
    assert code == 0
    assert out.startswith(f"feature   {layer}:{index} in {store.url}\nlabels    {HOSTILE!r} (me)\n")
    assert "[[" in out
    found = json.loads(said(capsys, "feature", store.url, f"{layer}:{index}", "--json", "--top", "1")[1])
    assert found["labels"] == [{"text": HOSTILE, "source": "me"}]
    assert said(capsys, "show", store.url, "--prompt", "a")[0] == 0
    assert said(capsys, "query", store.url, "--feature", f"{layer}:{index}")[0] == 0


def profile_of(feature: int, weight: float) -> FeatureProfile:
    """The profile of a feature of layer 1 that promotes ` Austin` with this weight, and another token with 1."""
    contexts = (Context(0, "a", 1, 0, ("x", HOSTILE), (0.0, 3.0)), Context(1, "b", 0, 0, ("y",), (1.0,)))
    promoted = (WeightedToken(3, " Austin", weight), WeightedToken(4, HOSTILE, 1.0))
    return FeatureProfile(
        *(1, feature, 2, 2, 40, 2, 3.0, 2.0, (2.5, 2.9), (0.5, 0.99), (1, 1), (0.5, 1.5, 3.5)),
        contexts=contexts,
        promoted=promoted,
    )


def test_a_profile_gives_labels_by_rule_and_contexts(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_profile(tmp_path / "P", [profile_of(5, 3.0), profile_of(6, 1.5)]))
    for expected in ("1 new, 0 as before, 0 removed", "0 new, 1 as before, 0 removed"):
        code, out, _ = said(capsys, "labels", "make", store.url, "--profile", path)
        assert (code, out) == (0, f"labels by rule: {expected}; the profile has 2 features\n")
    other = str(write_profile(tmp_path / "Q", [profile_of(6, 3.0)]))
    assert "1 new, 0 as before, 1 removed" in said(capsys, "labels", "make", store.url, "--profile", other)[1]
    assert dict(open_store(store.url).labels) == {(1, 6): (Label("says ' Austin'", "rule"),)}
    code, out, err = said(capsys, "feature", store.url, "1:6", "--profile", path)
    assert (code, err) == (0, "")
    assert "labels    \"says ' Austin'\" (rule)\n" in out
    assert "profile   active at 2 of 40 tokens (5.00%), in 2 of 2 prompts; activation up to 3, mean 2\n" in out
    assert "quantiles of the activation: 50% 2.5, 99% 2.9\n" in out
    assert f"       3  x[[{printable(HOSTILE)}]]\n       1  [[y]]  (weaker: quantile 1)\n" in out
    assert "promotes  ' Austin' +1.5, " in out
    code, out, err = said(capsys, "feature", store.url, "1:7", "--profile", path)
    assert (code, err) == (0, "feature 1:7 is active nowhere in the profile\n")
