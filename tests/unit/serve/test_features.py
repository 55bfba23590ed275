"""What the API says about a feature: the same as the functions for analysts, with keys of nodes; labels are edited."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from profiles import write_profile
from serving import PROMPTS, make_store

from distributed_tracer.errors import ConfigError
from distributed_tracer.graph.labels import Label
from distributed_tracer.profile.feature_profile import Context, FeatureProfile, Neighbour, WeightedToken
from distributed_tracer.profile.reader import open_profile
from distributed_tracer.query.feature_counts import feature_counts
from distributed_tracer.query.feature_summary import feature_summary
from distributed_tracer.serve.api.features import ENDPOINTS
from distributed_tracer.serve.api.labels import ENDPOINTS as OF_LABELS
from distributed_tracer.serve.endpoint import Json
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings
from distributed_tracer.store.annotations import write_labels
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow
HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m"


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("features"))


@pytest.fixture
def store(traced: Path, tmp_path: Path) -> Path:
    """A store of its own for each test, as labels are written into it."""
    shutil.copytree(traced, tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def known(store: Path) -> ServedStore:
    return ServedStore(ServeSettings(str(store), author="me"))


def ask(known: ServedStore, path: str, **query: Any) -> Any:
    """The answer of a GET endpoint, whose parameters are checked as those of a request."""
    (endpoint,) = (one for one in (*ENDPOINTS, *OF_LABELS) if one.path == path and one.method == "GET")
    given = {name: [str(value)] for name, value in query.items()}
    reply = endpoint.handler(known, endpoint.arguments(given))
    assert isinstance(reply, Json)
    return reply.value


def write(known: ServedStore, **body: Any) -> Any:
    (endpoint,) = (one for one in OF_LABELS if one.method == "POST")
    assert endpoint.writes
    return endpoint.handler(known, {}, body).value


def common(known: ServedStore) -> tuple[int, int]:
    """The feature that is a node of the most graphs of the store."""
    best = feature_counts(known.store, top=1)
    return int(best["layer"][0]), int(best["feature"][0])


def texts(labels: list[dict[str, Any]]) -> list[str]:
    return [label["text"] for label in labels]


def test_a_feature_has_what_the_command_says(known: ServedStore) -> None:
    layer, feature = common(known)
    found = ask(known, "/feature", layer=layer, feature=feature)
    said = feature_summary(known.store, layer, feature, None, top=200)
    assert found["nodes"] == said["nodes"]
    assert found["nodes"]["num_prompts"] > 1
    assert found["contexts_of"] == "store"
    assert [context["prompt"] for context in found["contexts"]] == [one["prompt"] for one in said["contexts"]]
    assert found["histogram"]["of"] == "nodes"
    assert sum(found["histogram"]["counts"]) == said["nodes"]["num_nodes"]
    edges = ask(known, "/feature_edges", layer=layer, feature=feature, top=200)
    assert edges["prompts_averaged"] == edges["prompts_with"] == said["nodes"]["num_prompts"]
    for side in ("driven_by", "drives"):
        assert [row["name"] for row in edges[side]] == [row["name"] for row in said[side]]
        assert [row["mean_weight"] for row in edges[side]] == [row["mean_weight"] for row in said[side]]
    together = ask(known, "/feature_together", layer=layer, feature=feature, top=200)["together"]
    assert [(row["layer"], row["feature"]) for row in together] == [
        (row["layer"], row["feature"]) for row in said["together"]
    ]


def test_averages_are_over_the_most_influential_graphs_when_fewer_are_read(known: ServedStore) -> None:
    layer, feature = common(known)
    one = ask(known, "/feature_edges", layer=layer, feature=feature, prompts=1, top=200)
    assert one["prompts_averaged"] == 1 < one["prompts_with"]
    best = ask(known, "/occurrences", layer=layer, feature=feature, limit=200)["rows"]
    influence: dict[str, float] = {}
    for row in best:
        influence[row["prompt"]] = influence.get(row["prompt"], 0.0) + row["influence"]
    graph = known.store.graph(max(influence, key=influence.__getitem__))
    assert {row["name"] for row in one["driven_by"] if row["kind"] == "token"} <= set(graph.token_strings)


def test_each_occurrence_leads_to_its_node(known: ServedStore) -> None:
    layer, feature = common(known)
    whole = ask(known, "/occurrences", layer=layer, feature=feature, sort="prompt", limit=200)
    assert whole["num_nodes"] == len(whole["rows"])
    for row in whole["rows"]:
        kind, *numbers = row["key"].split(":")
        graph = known.store.graph(row["prompt"])
        nodes = graph.nodes
        columns = (nodes.layer_N, nodes.position_N, nodes.feature_N, nodes.kind_N)
        keys = list(zip(*(column.tolist() for column in columns), strict=True))
        assert kind == "feature"
        assert (*map(int, numbers), 0) in keys
        assert row["token"] == graph.token_strings[row["position"]]
        assert row["tokens"][row["position"] - row["start"]] == row["token"]
    by_activation = ask(known, "/occurrences", layer=layer, feature=feature, sort="activation", limit=200)["rows"]
    values = [row["activation"] for row in by_activation]
    assert values == sorted(values, reverse=True)
    part = ask(known, "/occurrences", layer=layer, feature=feature, sort="activation", offset=1, limit=1)["rows"]
    assert part == by_activation[1:2]
    assert ask(known, "/occurrences", layer=layer, feature=feature, offset=10_000)["rows"] == []


def test_a_feature_that_is_no_node_and_one_that_cannot_be_are_told_apart(known: ServedStore) -> None:
    layer, _ = common(known)
    sizes = known.store.info["num_features"]
    batches = known.store.nodes(columns=["feature"], where={"kind": "feature", "layer": layer})
    nodes = {number for batch in batches for number in batch["feature"].tolist()}
    absent = next(number for number in range(sizes[layer]) if number not in nodes)
    found = ask(known, "/feature", layer=layer, feature=absent)
    assert "as a node" in found["not_a_node"]
    assert found["histogram"] is None
    assert ask(known, "/feature_edges", layer=layer, feature=absent)["drives"] == []
    with pytest.raises(ConfigError, match=f"not among the {sizes[layer]:,}"):
        ask(known, "/feature", layer=layer, feature=sizes[layer])
    with pytest.raises(ConfigError, match="layer 99 is not among"):
        ask(known, "/occurrences", layer=99, feature=0)
    with pytest.raises(ConfigError, match="layer is a number from 0"):
        ask(known, "/feature", layer=-1, feature=0)


def test_contexts_of_a_profile_are_linked_where_the_store_has_the_same_text(store: Path, tmp_path: Path) -> None:
    known = ServedStore(ServeSettings(str(store)))
    layer, feature = common(known)
    row = ask(known, "/occurrences", layer=layer, feature=feature, limit=1)["rows"][0]
    prompt, position = row["prompt"], row["position"]
    tokens = known.store.graph(prompt).token_strings
    active = tuple(1.5 if place == position else 0.0 for place in range(len(tokens)))
    elsewhere = (0.5, *active[1:])
    contexts = (
        Context(0, prompt, position, 0, tuple(tokens), active),
        Context(0, prompt, 0, 0, tuple(tokens), elsewhere),
        Context(1, "dallas", 1, 0, ("other", " text"), (0.0, 1.0)),
        Context(1, "nobody", 0, 0, ("x",), (1.0,)),
    )
    profiled = FeatureProfile(
        layer,
        feature,
        num_active_tokens=4,
        num_active_prompts=3,
        num_tokens=20,
        num_prompts=5,
        max_activation=1.5,
        mean_activation=1.0,
        min_activation=0.5,
        quantiles=(0.5, 1.5),
        quantile_shares=(0.0, 1.0),
        histogram=(1, 3),
        bin_edges=(0.5, 1.0, 2.0),
        contexts=contexts,
        promoted=(WeightedToken(3, " Austin", 0.5),),
        suppressed=(WeightedToken(4, HOSTILE, -0.5),),
        neighbours=(Neighbour(layer, feature + 1, 0.75),),
    )
    write_profile(tmp_path / "profile", [profiled])
    assert open_profile(tmp_path / "profile").feature(layer, feature) is not None
    with_profile = ServedStore(ServeSettings(str(store), profile=str(tmp_path / "profile")))
    found = ask(with_profile, "/feature", layer=layer, feature=feature)
    assert found["contexts_of"] == "profile"
    assert found["histogram"] == {"of": "profile", "counts": [1, 3], "edges": [0.5, 1.0, 2.0]}
    links = [(context["in_store"], context["key"]) for context in found["contexts"]]
    assert links == [(True, f"feature:{layer}:{position}:{feature}"), (True, None), (False, None), (False, None)]
    assert found["suppressed"][0]["token"] == HOSTILE
    tokens_found = ask(with_profile, "/feature_search", text="  austin ")
    assert tokens_found["searches_tokens"]
    assert [(one["by"], one["match"]) for one in tokens_found["features"]] == [("token", " Austin")]


def test_search_finds_labels_the_best_matches_first(store: Path) -> None:
    first = ServedStore(ServeSettings(str(store)))
    rows = [(1, 3, "capital of Texas"), (0, 2, "Texas"), (0, 1, "texas towns"), (2, 0, HOSTILE)]
    write_labels(first.store.root, [(layer, index, Label(text, "test")) for layer, index, text in rows])
    known = ServedStore(ServeSettings(str(store)))
    found = ask(known, "/feature_search", text="TEXAS")
    assert [(one["layer"], one["feature"]) for one in found["features"]] == [(0, 2), (0, 1), (1, 3)]
    assert found["num_found"] == 3
    assert len(ask(known, "/feature_search", text="texas", limit=1)["features"]) == 1
    assert ask(known, "/feature_search", text="<SCRIPT>")["features"][0]["match"] == HOSTILE
    assert ask(known, "/feature_search", text="1:3")["features"][0]["by"] == "number"
    assert ask(known, "/feature_search", text="nothing like it")["features"] == []
    with pytest.raises(ConfigError, match="empty"):
        ask(known, "/feature_search", text="  ")
    with pytest.raises(ConfigError, match="layer 77"):
        ask(known, "/feature_search", text="77:0")


def test_a_saved_label_is_seen_at_once_and_by_everyone(known: ServedStore, store: Path) -> None:
    before = known.context(PROMPTS[0]["id"]).labels
    assert before.get(0, 1) == ()
    text = "towns of Texas\twith a tab"
    written = write(known, layer=0, feature=1, text=text)
    assert texts(written["labels"]) == [text]
    assert texts(ask(known, "/feature", layer=0, feature=1)["labels"]) == [text]
    assert known.context(PROMPTS[0]["id"]).labels.get(0, 1) == (Label(text, "me"),)
    assert ask(known, "/feature_search", text="towns")["num_found"] == 1
    assert open_store(str(store)).labels.get(0, 1) == (Label(text, "me"),)


def test_a_label_that_another_process_writes_is_seen_after_a_while(
    known: ServedStore, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_labels(open_store(str(store)).root, [(0, 1, Label("by another", "other"))])
    assert known.store.labels.get(0, 1) == ()
    monkeypatch.setattr("distributed_tracer.serve.served_store.REFRESH_SECONDS", 0.0)
    assert texts(ask(known, "/labels", layer=0, feature=1)["labels"]) == ["by another"]
    assert known.store.labels.get(0, 1) == (Label("by another", "other"),)


def test_edits_replace_one_label_and_never_those_of_others(known: ServedStore, store: Path) -> None:
    write_labels(known.store.root, [(0, 1, Label("from a file", "file")), (0, 2, Label("its neighbour", "file"))])
    known.reopen()
    of_file = known.annotations.heads("labels")[0].ref
    mine = write(known, layer=0, feature=1, text="mine")["ref"]
    changed = write(known, layer=0, feature=1, text="mine, better", parents=[mine])
    assert texts(changed["labels"]) == ["from a file", "mine, better"]
    removed = write(known, layer=0, feature=1, text=None, parents=[of_file], author="you")
    assert texts(removed["labels"]) == ["mine, better"]
    back = write(known, layer=0, feature=1, restores=of_file, parents=[removed["ref"]])
    assert sorted(texts(back["labels"])) == ["from a file", "mine, better"]
    assert {label["source"] for label in back["labels"]} == {"file", "me"}
    assert open_store(str(store)).labels.text(0, 2) == "'its neighbour'"
    history = ask(known, "/labels", layer=0, feature=1)
    assert history["num_records"] == 5
    assert [record["text"] for record in history["history"]][1] is None
    assert [record["author"] for record in history["history"]][1] == "you"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"layer": 0, "feature": 1, "text": "  "}, "a label has no text"),
        ({"layer": 0, "feature": 1, "text": "x" * 4_001}, "4,001 characters"),
        ({"layer": 0, "feature": 1, "text": HOSTILE}, "control character"),
        ({"layer": 0, "feature": 1, "text": None}, "nothing to remove"),
        ({"layer": 0, "feature": 1, "text": "x", "parents": ["0" * 32]}, "read it again"),
        ({"layer": 0, "feature": 1, "text": "x", "restores": "y"}, "restores goes without text"),
        ({"layer": 0, "feature": 1, "text": 7}, "text is text"),
        ({"layer": 0, "feature": 1, "text": "x", "parents": "y"}, "parents is a list"),
        ({"layer": 0, "feature": True, "text": "x"}, "whole numbers from 0"),
        ({"layer": 0, "feature": 10**9, "text": "x"}, "not among the"),
        ({"layer": 0, "feature": 1, "test": "x"}, "unknown key 'test'"),
        (["x"], "JSON object"),
    ],
)
def test_a_wrong_edit_is_refused_and_changes_nothing(body: Any, said: str, known: ServedStore) -> None:
    (endpoint,) = (one for one in OF_LABELS if one.method == "POST")
    with pytest.raises(ConfigError, match=said):
        endpoint.handler(known, {}, body)
    assert known.annotations.history("labels") == []


def test_a_damaged_annotation_is_left_out_and_counted(known: ServedStore, store: Path) -> None:
    write(known, layer=0, feature=1, text="whole")
    (file,) = (store / "annotations" / "labels").iterdir()
    file.with_name(f"{'0' * 32}{''.join(file.suffixes)}").write_bytes(b"{}")
    again = ServedStore(ServeSettings(str(store)))
    found = ask(again, "/feature", layer=0, feature=1)
    assert texts(found["labels"]) == ["whole"]
    assert found["num_damaged"] == 1
