"""The table of prompts of a served store: what it says, in which order, and what becomes of it as a store changes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import AWKWARD, random_graph
from random_stores import RUN_INFO, make_store, write_part

from distributed_tracer.errors import ConfigError, StoreCorrupt
from distributed_tracer.graph.graph import Graph, Target
from distributed_tracer.serve import served_store
from distributed_tracer.serve.api.prompts import ENDPOINTS
from distributed_tracer.serve.encode import json_bytes
from distributed_tracer.serve.endpoint import Json
from distributed_tracer.serve.newer_store import newer_store
from distributed_tracer.serve.prompts import loader as loading
from distributed_tracer.serve.prompts.loader import PromptLoader, prompts_of
from distributed_tracer.serve.prompts.snapshot import NotYet, PromptSnapshot
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.evaluations import EvaluatedPrompt, new_check, write_check
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.read.where import rows_meeting
from distributed_tracer.store.reader import open_store
from distributed_tracer.table import Table

BY_PATH = {endpoint.path: endpoint for endpoint in ENDPOINTS}
SECONDS = 60.0
TESTS = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every question look for new parts: the seconds between two looks would only be waited for."""
    monkeypatch.setattr(served_store, "REFRESH_SECONDS", 0.0)
    monkeypatch.setattr(loading, "REFRESH_SECONDS", 0.0)


def ask(served: ServedStore, path: str, **query: Any) -> Json:
    """Return the reply to a request with these parameters, as text, after all that is there has been read."""
    prompts_of(served).read_all(SECONDS)
    texts = {
        name: [str(one) for one in value] if isinstance(value, list) else [str(value)] for name, value in query.items()
    }
    endpoint = BY_PATH[path]
    reply = endpoint.handler(served, endpoint.arguments(texts))
    assert isinstance(reply, Json)
    return reply


def rows(served: ServedStore, **query: Any) -> dict[str, Any]:
    """Return the reply of /prompts as a browser gets it."""
    found: dict[str, Any] = json.loads(json_bytes(ask(served, "/prompts", **query).value))
    return found


def ids(served: ServedStore, **query: Any) -> list[str]:
    return [row["id"] for row in rows(served, **query)["rows"]]


def serve(url: Path | str) -> ServedStore:
    return ServedStore(ServeSettings(str(url)))


def corpus(metadata: Sequence[dict[str, Any]]) -> list[Graph]:
    """Return small graphs with these metadata."""
    return [
        random_graph(f"p{number}", seed=number, num_active=6, text=f"Text {number}", metadata=own)
        for number, own in enumerate(metadata)
    ]


MIXED: list[dict[str, Any]] = [
    {"topic": "capitals", "rank": 3, "ok": True, "mixed": 2},
    {"topic": "states", "rank": 1, "ok": False, "mixed": "2"},
    {"topic": "capitals", "rank": 2.5, "ok": None, "mixed": True},
    {"topic": None, "rank": float("nan"), "mixed": [1, {"a": 2}]},
    {"topic": "Städte", "rank": 1, "ok": True, "mixed": "true", "num_nodes": "other"},
    {"rank": 2**60, "date": "2024-05-31", "mixed": None},
    {"rank": 2**60 + 1, "date": "2025-01-01", "metadata.x": 5},
]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> ServedStore:
    """A store in three parts, whose ids are not in the order of the parts."""
    url = tmp_path_factory.mktemp("mixed") / "store"
    graphs = corpus(MIXED)
    make_store(str(url), graphs[4:], graphs[:2], graphs[2:4])
    return serve(url)


def test_rows_say_what_the_store_says(mixed: ServedStore) -> None:
    store, found = open_store(mixed.store.url), rows(mixed, column=["num_nodes", "replacement", "error_share", "topic"])
    assert [row["id"] for row in found["rows"]] == list(store)
    table = store.prompts
    for row, prompt in zip(found["rows"], table.rows(), strict=True):
        strongest = max(store[row["id"]].targets, key=lambda target: target.weight)
        assert (row["text"], row["answer"], row["probability"]) == (prompt["text"], strongest.label, strongest.weight)
        assert row["values"] == [prompt[name] for name in ("num_nodes", "replacement", "error_share", "topic")]
    assert (found["total"], found["matching"], found["loading"], found["problems"]) == (7, 7, 1.0, [])
    kinds = {column["name"]: (column["kind"], column["source"]) for column in found["columns"]}
    assert kinds["replacement"] == ("number", "score")
    assert kinds["num_edges"] == ("number", "size")
    assert kinds["topic"] == ("text", "metadata")
    assert kinds["ok"] == ("boolean", "metadata")
    assert kinds["mixed"] == ("other", "metadata")
    assert {"metadata.num_nodes", "metadata.metadata.x"} <= kinds.keys()


@pytest.mark.parametrize(
    "where",
    [
        ["topic=capitals"],
        ["topic=null"],
        ["topic>=capitals"],
        ["rank=1"],
        ["rank>=2", "topic=capitals"],
        ["rank>=1152921504606846977"],
        ["ok=true"],
        ["mixed=2"],
        ["mixed=true"],
        ['mixed=[1,{"a":2}]'],
        ["mixed=null"],
        ["date<=2024-12-31"],
        ["num_nodes>=20", "replacement<=0.9"],
        ["metadata.num_nodes=other"],
        ["metadata.metadata.x=5"],
        ["replacement=null"],
        ["id=p3"],
        ["text=Text 5"],
        ["part>=a"],
    ],
)
def test_conditions_mean_what_they_mean_on_the_command_line(where: list[str], mixed: ServedStore) -> None:
    table = open_store(mixed.store.url).prompts
    assert ids(mixed, where=where) == table["id"][rows_meeting(table, where)].tolist()
    reply = ask(mixed, "/ids", where=where).value
    assert (reply["ids"], reply["matching"], reply["is_cut"]) == (
        ids(mixed, where=where),
        len(ids(mixed, where=where)),
        False,
    )


@pytest.mark.parametrize("where", ["topic>=3", "replacement=high", "nothing=1", "topic"])
def test_a_condition_that_nothing_can_meet_is_refused_in_the_same_words(where: str, mixed: ServedStore) -> None:
    with pytest.raises(ConfigError) as expected:
        rows_meeting(open_store(mixed.store.url).prompts, where)
    with pytest.raises(ConfigError) as found:
        rows(mixed, where=[where])
    assert str(found.value)[:20] == str(expected.value)[:20]


def test_order_is_stable_with_ties_by_id_and_what_is_missing_last(mixed: ServedStore) -> None:
    assert ids(mixed, sort="rank") == ["p1", "p4", "p2", "p0", "p5", "p6", "p3"]
    assert ids(mixed, sort="rank", descending="true") == ["p6", "p5", "p0", "p2", "p1", "p4", "p3"]
    assert ids(mixed, sort="topic") == ["p4", "p0", "p2", "p1", "p3", "p5", "p6"]
    assert ids(mixed, sort="topic", descending="true") == ["p1", "p0", "p2", "p4", "p3", "p5", "p6"]
    assert ids(mixed, sort="id", descending="true") == [f"p{number}" for number in range(6, -1, -1)]
    assert ids(mixed, sort="rank", offset=2, limit=3) == ["p2", "p0", "p5"]
    assert ids(mixed, offset=100) == []


def test_what_is_searched_is_found_in_ids_texts_and_answers_in_any_case(tmp_path: Path) -> None:
    graphs = [
        replace(random_graph("GRÜN-1", seed=1, num_active=6), text="a.b*c \x00 STRASSE"),
        replace(random_graph("two", seed=2, num_active=6), text="abc straße", targets=()),
        replace(random_graph("tokens", seed=3, num_active=6, text=None)),
        replace(random_graph("plain", seed=4, num_active=6), text="nothing"),
    ]
    label = Target("Paris", 7, 2.0, 4, 1.0)
    graphs[3] = replace(graphs[3], targets=(graphs[3].targets[0], label))
    graphs[1] = random_graph("two", seed=2, num_active=6, num_targets=0, text="abc straße")
    make_store(str(tmp_path / "store"), graphs)
    served = serve(tmp_path / "store")
    for wanted, found in (
        ("grün", ["GRÜN-1"]),
        ("A.B*", ["GRÜN-1"]),
        ("strasse", ["GRÜN-1", "two"]),
        ("\x00", ["GRÜN-1"]),
        ("PARIS", ["plain"]),
        ("token", ["tokens"]),
        ("two", ["two"]),
        ("twoabc", []),
        ("^", []),
    ):
        assert ids(served, search=wanted) == found, wanted
    assert rows(served, search="two")["rows"][0]["answer"] is None
    assert rows(served, search="token")["rows"][0]["text"] is None


def test_a_hostile_store_is_shown_and_the_conditions_of_its_values_find_them_again(tmp_path: Path) -> None:
    make_store(str(tmp_path / "store"), [graph for name, graph in AWKWARD.items() if name != "wide"])
    served = serve(tmp_path / "store")
    names = [column["name"] for column in rows(served)["columns"]]
    found = ask(served, "/prompts", column=names, limit=500).value["rows"]
    assert {row["id"] for row in found} == set(open_store(served.store.url))
    for row in found:
        for name, value, condition in zip(names, row["values"], row["conditions"], strict=True):
            if condition is not None and value is not None:
                assert row["id"] in ids(served, where=[condition]), (name, value)
    assert json.loads(json_bytes(ask(served, "/histograms", column=names).value))["total"] == len(found)


def test_histograms_count_what_meets_all_other_conditions(mixed: ServedStore) -> None:
    where = ["topic=capitals", "rank>=2"]
    reply = json.loads(json_bytes(ask(mixed, "/histograms", where=where, column=["topic", "rank", "num_nodes"]).value))
    topic, rank, nodes = reply["columns"]
    assert reply["matching"] == 2
    assert topic["values"] == ["capitals", "Städte", "states"]
    assert topic["all"] == {"counts": [2, 1, 1], "rest": 0, "missing": 3}
    assert topic["others"] == {"counts": [2, 0, 0], "rest": 0, "missing": 2}
    assert topic["matching"] == {"counts": [2, 0, 0], "rest": 0, "missing": 0}
    assert sum(rank["others"]["counts"]) + rank["others"]["rest"] + rank["others"]["missing"] == 2
    assert nodes["others"] == nodes["matching"]
    assert sum(nodes["all"]["counts"]) == 7
    assert topic["conditions"][0] == "topic=capitals"


@pytest.mark.parametrize("name", ["whole", "real", "skewed", "one value", "huge", "negative"])
def test_the_bounds_of_a_bin_choose_exactly_the_prompts_that_it_counts(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    values = {
        "whole": rng.integers(-3, 9, 60).tolist(),
        "real": (rng.integers(0, 20, 60) / 20).tolist(),
        "skewed": np.exp(rng.normal(0, 4, 60)).tolist(),
        "one value": [0.1] * 60,
        "huge": (rng.normal(0, 1e300, 60)).tolist(),
        "negative": (-rng.random(60) / 10_000_000).tolist(),
    }[name]
    graph = random_graph(num_active=4)
    graphs = [replace(graph, prompt_id=f"p{number:02d}", metadata={"x": value}) for number, value in enumerate(values)]
    make_store(str(tmp_path / "store"), graphs)
    served = serve(tmp_path / "store")
    (found,) = ask(served, "/histograms", column=["x"]).value["columns"]
    assert sum(found["all"]["counts"]) == 60
    for low, high, count in zip(found["low"], found["high"], found["all"]["counts"], strict=True):
        meeting = ask(served, "/ids", where=[f"x>={low!r}", f"x<={high!r}"]).value["ids"]
        assert len(meeting) == count, (low, high)


def test_limits_are_said(mixed: ServedStore) -> None:
    for path, query, said in (
        ("/prompts", {"limit": 501}, "limit is a number from 0 to 500"),
        ("/ids", {"limit": 10_001}, "limit is a number from 0 to 10000"),
        ("/histograms", {"column": ["rank"] * 41}, "41 histograms are asked for; at most 40"),
        ("/histograms", {"column": ["nothing"]}, "no column that is sorted and counted 'nothing'"),
        ("/prompts", {"sort": "text"}, "no column that is sorted and counted 'text'"),
        ("/prompts", {"column": ["rnak"]}, "Did you mean 'rank'"),
    ):
        with pytest.raises(ConfigError) as error:
            ask(mixed, path, **query)
        assert said in str(error.value)
    assert ask(mixed, "/ids", limit=2).value == {"ids": ["p0", "p1"], "matching": 7, "is_cut": True}


def test_a_store_without_prompts_has_an_empty_table(tmp_path: Path) -> None:
    Ledger(str(tmp_path / "store")).create_or_check(RUN_INFO)
    served = serve(tmp_path / "store")
    found = rows(served, sort="replacement", search="x")
    assert (found["total"], found["matching"], found["rows"], found["loading"]) == (0, 0, [], 1.0)
    reply = ask(served, "/histograms", column=["replacement", "answer.label"]).value
    assert [column["all"]["counts"] for column in reply["columns"]] == [[], []]
    progress = ask(served, "/progress").value
    assert progress == {
        "num_stored": 0,
        "num_failed": 0,
        "run": None,
        "state": None,
        "rate": None,
        "seconds_left": None,
    }
    assert ask(served, "/failures").value["failures"] == []


def test_imported_graphs_have_rows_too(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    ledger = Ledger(url)
    ledger.create_or_check({"identity": {"imported": True}})
    nan = float("nan")
    graph = random_graph("imported", num_active=6)
    scores = replace(graph.scores, replacement=nan, completeness=nan, error_share_L=())
    ledger.commit(write_part(url, [replace(graph, scores=scores), random_graph("other", seed=2, num_active=6)]))
    served = serve(url)
    found = rows(served, sort="replacement", column=["replacement"])
    assert [(row["id"], row["values"] == [None]) for row in found["rows"]] == [("other", False), ("imported", True)]


def test_new_parts_extend_the_table_and_nothing_is_read_again(tmp_path: Path) -> None:
    url, graphs = str(tmp_path / "store"), corpus(MIXED)
    make_store(url, graphs[:2])
    served = serve(url)
    assert ids(served, search="text") == ["p0", "p1"]
    first = prompts_of(served).now().blocks[0]
    Ledger(url).commit(write_part(url, graphs[2:5]))
    assert ids(served, search="text", where=["topic=capitals"]) == ["p0", "p2"]
    assert prompts_of(served).now().blocks[0] is first
    assert newer_store(served.store, url) is served.store


def test_a_compacted_store_has_the_same_table(tmp_path: Path) -> None:
    url, graphs = str(tmp_path / "store"), corpus(MIXED)
    make_store(url, graphs[:3], graphs[3:])
    served = serve(url)
    before = rows(served, sort="rank", column=["topic", "mixed"])
    compact(url)
    assert served.refresh().index is not None
    assert rows(served, sort="rank", column=["topic", "mixed"]) == before


def test_parts_that_another_process_commits_meanwhile_appear(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    make_store(url, corpus(MIXED[:1]))
    served = serve(url)
    script = (
        "import sys; from random_graphs import random_graph; from random_stores import write_part\n"
        "from distributed_tracer.store.ledger import Ledger\n"
        "for n in range(6):\n"
        "    Ledger(sys.argv[1]).commit(write_part(sys.argv[1], [random_graph(f'q{n}', seed=n, num_active=4)]))\n"
        "    print(n, flush=True)\n"
    )
    path = {"PYTHONPATH": f"{TESTS}:{TESTS.parent}", "PATH": ""}
    with subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE, text=True, env=path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = ids(served, sort="num_nodes", search="q")
            assert set(found) >= {f"q{number}" for number in range(int(line) + 1)}
    assert process.returncode == 0
    assert ids(served) == ["p0", *(f"q{number}" for number in range(6))]


def test_a_damaged_part_is_said_and_all_others_are_shown(tmp_path: Path) -> None:
    url, graphs = tmp_path / "store", corpus(MIXED)
    store = make_store(str(url), graphs[:3], graphs[3:])
    part = store.catalogue.commits[1].part
    for chunk in (url / "parts" / part / "prompts" / "text").rglob("c/*"):
        chunk.write_bytes(b"\x00" * chunk.stat().st_size)
    served = serve(url)
    found = rows(served, column=["num_nodes", "topic"])
    assert [row["text"] for row in found["rows"]] == ["Text 0", "Text 1", "Text 2", None, None, None, None]
    assert [row["is_read"] for row in found["rows"]] == [True] * 3 + [False] * 4
    assert all(row["values"][0] > 0 for row in found["rows"])
    assert "of 4 prompts only sizes and scores are known" in found["problems"][0]
    assert "prompts/text" in found["problems"][0]
    assert ids(served, where=["topic=capitals"]) == ["p0", "p2"]
    assert ids(served, where=["topic=null"]) == []
    assert len(ids(served, sort="num_nodes")) == 7


def test_until_parts_are_read_only_what_commits_say_is_answered(tmp_path: Path) -> None:
    store = make_store(str(tmp_path / "store"), corpus(MIXED))
    partial = PromptSnapshot(store, [None], {}, {}, is_complete=False)
    everything = np.ones(7, dtype=bool)
    assert [partial.catalogue.ids[n] for n in partial.page(everything, "id", False, 1, 2)] == ["p1", "p2"]
    assert len(partial.page(everything, "num_nodes", True, 0, 100)) == 7
    assert partial.loading == 0
    assert partial.mask(partial.condition("replacement>=0")).all()
    for question in (
        lambda: partial.order("answer.weight", False),
        lambda: partial.found("x"),
        lambda: partial.condition("topic=capitals"),
        lambda: partial.binned("error_share"),
    ):
        with pytest.raises(NotYet):
            question()


def test_texts_beyond_the_memory_are_not_kept_and_this_is_said(tmp_path: Path) -> None:
    graphs = corpus(MIXED)
    make_store(str(tmp_path / "store"), graphs[:3], graphs[3:])
    served = serve(tmp_path / "store")
    found = PromptLoader(served, most_bytes=1).read_all(SECONDS)
    assert found.is_complete
    assert [found.text(number) for number in range(7)] == ["Text 0", "Text 1", "Text 2", None, None, None, None]
    said = " ".join(found.said())
    assert "the texts of 4 prompts are not kept" in said
    assert "not kept, as their values take more than" in said
    few = PromptLoader(served, most_columns=2).read_all(SECONDS)
    assert "some have no column here" in " ".join(few.said())


def test_figures_of_evaluations_are_columns(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    store = make_store(url, corpus(MIXED[:3]))
    served = serve(url)
    assert not any(column["source"] == "check" for column in rows(served)["columns"])
    edges = Table({"distance": [1, "all"], "edges": np.array([2, 3]), "spearman": np.array([0.1, 0.5])})
    kept = Table({"share": np.array([0.5, 1.0]), "keep_kl": np.array([0.25, np.nan])})
    entry = EvaluatedPrompt("p1", store.catalogue.content_hashes[1], "")
    for kind, table in (("edges", edges), ("faithfulness", kept)):
        write_check(open_backend(url), new_check(kind, {}, {}, (entry,), [table], 1))
    found = rows(served, sort="edges.spearman", column=["edges.spearman", "edges.edges", "faithfulness.keep_kl.0.5"])
    assert [(row["id"], row["values"]) for row in found["rows"]] == [
        ("p1", [0.5, 3, 0.25]),
        ("p0", [None] * 3),
        ("p2", [None] * 3),
    ]


def test_failed_prompts_have_phase_and_reason_until_they_are_traced(tmp_path: Path) -> None:
    url, graphs = str(tmp_path / "store"), corpus(MIXED[:2])
    make_store(url, graphs[:1])
    ledger = Ledger(url)
    ledger.start_run(4, 1, 60.0, {"host": "here:1", "started": "2024-05-31T10:00:00.000+00:00"})
    ledger.record_failures(
        [("p1", "trace", "no memory at https://user:secret@host/x", 2), ("<b>", "tokenize", "empty", 1)]
    )
    served = serve(url)
    reply = ask(served, "/failures").value
    assert [(one["prompt_id"], one["phase"], one["attempts"]) for one in reply["failures"]] == [
        ("<b>", "tokenize", 1),
        ("p1", "trace", 2),
    ]
    assert "secret" not in reply["failures"][1]["reason"]
    assert ask(served, "/failures", offset=1, limit=1).value["failures"][0]["prompt_id"] == "p1"
    ledger.commit(write_part(url, graphs[1:]))
    assert ask(served, "/failures").value["total"] == 1
    (record,) = [path for path in Path(url, "failures").iterdir() if b"<b>" in path.read_bytes()]
    record.write_bytes(b"{")
    reply = ask(served, "/failures").value
    assert reply["total"] == 0
    assert "is not a failure record" in reply["problems"][0]


def test_progress_says_how_far_the_latest_run_is(tmp_path: Path) -> None:
    url, graphs = str(tmp_path / "store"), corpus(MIXED)
    make_store(url, graphs[:1])
    ledger = Ledger(url)
    ledger.start_run(6, 1, 60.0, {})
    ledger.commit(write_part(url, graphs[1:3]))
    ledger.record_failures([("bad", "trace", "why", 1)])
    progress = ask(serve(url), "/progress").value
    run = progress["run"]
    assert (run["num_prompts"], run["num_done"], run["num_failed"], run["num_left"]) == (6, 3, 1, 2)
    assert (progress["state"], progress["num_stored"], progress["num_failed"]) == ("running", 3, 1)
    ledger.end("stopped", "SIGTERM")
    assert ask(serve(url), "/progress").value["state"] == "stopped"


def test_a_damaged_commit_is_an_error_and_not_an_endless_wait(tmp_path: Path) -> None:
    url, graphs = str(tmp_path / "store"), corpus(MIXED)
    make_store(url, graphs[:2])
    served = serve(url)
    assert ids(served) == ["p0", "p1"]
    Ledger(url).commit(write_part(url, graphs[2:]))
    newest = max(Path(url, "commits").iterdir())
    newest.write_bytes(newest.read_bytes()[:-9])
    assert ids(served) == ["p0", "p1"]
    with pytest.raises(StoreCorrupt, match="is not a commit"):
        newer_store(served.store, url)
