"""What a store holds, told from the store alone."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from ledgers import record_failure
from random_graphs import random_graph
from random_stores import RUN_INFO, make_store, write_part

from distributed_tracer.cli.main import main
from distributed_tracer.documents.json_text import to_json_types
from distributed_tracer.errors import StoreCorrupt, StoreNotFound
from distributed_tracer.report.status import status_of, status_text
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.format.run_record import How
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.copy import copy_store
from distributed_tracer.store.maintenance.merge import merge_stores
from distributed_tracer.store.maintenance.verify import verify


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = str(tmp_path / "store")
    make_store(url, [random_graph("a"), random_graph("b", seed=1)], [random_graph("c", seed=2)])
    write_part(url, [random_graph("lost", seed=3)])
    ledger = Ledger(url)
    record_failure(ledger, "bad", "trace", "no \x1b[31m such token", 1)
    record_failure(ledger, "c", "worker", "died", 3)
    return url


def test_status_counts_what_is_committed_failed_and_orphaned(store: str) -> None:
    status = status_of(store)
    assert (status["done"], status["parts"], len(status["orphans"])) == (3, 2, 1)
    assert [(one["prompt_id"], one["phase"], one["attempts"]) for one in status["failed"]] == [("bad", "trace", 1)]
    graphs = [random_graph(), random_graph(seed=1), random_graph(seed=2)]
    assert status["edges"] == sum(graph.num_edges for graph in graphs)
    assert status["nodes"] == sum(len(graph.nodes) for graph in graphs)
    assert status["info"]["identity"] == RUN_INFO["identity"]


def test_status_for_people_says_the_same_and_cannot_steer_the_terminal(store: str) -> None:
    text = status_text(status_of(store))
    assert "done     3 prompts" in text
    assert r"'bad' in trace, tried 1x: no \x1b[31m such token" in text
    assert "orphans  1 parts" in text
    assert "\x1b" not in text


def test_status_for_machines_is_json(store: str) -> None:
    status = status_of(store)
    assert json.loads(json.dumps(to_json_types(status), allow_nan=False)) == status


def test_many_failures_are_cut_short_for_people_only(store: str) -> None:
    for number in range(30):
        record_failure(Ledger(store), f"f{number:02}", "read", "malformed", 1)
    status = status_of(store)
    assert len(status["failed"]) == 31
    assert "... and 11 more" in status_text(status)


def at(monkeypatch: pytest.MonkeyPatch, time: datetime) -> None:
    """The clock of the machine that a run is on stands still."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return time.astimezone(tz)

    monkeypatch.setattr("distributed_tracer.store.ledger.datetime", Clock)


def test_the_run_that_knew_of_the_others_is_the_latest_whatever_its_clock_said(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, merged = str(tmp_path / "other"), str(tmp_path / "merged")
    at(monkeypatch, datetime(2031, 1, 1, tzinfo=UTC))
    begin(Ledger(store), 3, 3)
    assert ": complete" in status_text(status_of(store))
    at(monkeypatch, datetime(2020, 1, 1, tzinfo=UTC))
    begin(Ledger(store), 8, 3)
    assert status_of(store)["run"]["num_left"] == 5
    copy_store(store, other)
    assert status_of(other)["run"]["num_left"] == 5
    merge_stores(merged, [store, other])
    begin(Ledger(merged), 9, 3)
    assert status_of(merged)["run"]["num_left"] == 6


def test_runs_of_stores_from_before_there_were_numbers_are_ordered_by_their_clocks(store: str) -> None:
    root = open_backend(store)
    for year, left in ((2024, 1), (2023, 2)):
        began = {"started": f"{year}-01-01T00:00:00.000+00:00", "host": "h:1"}
        counts = {"num_prompts": 3 + left, "num_done": 3, "part_seconds": 60.0}
        document = {"format": "distributed_tracer run", "format_version": 1, **began, **counts}
        root.put_if_absent(f"runs/{year:032}.json", json.dumps(document).encode())
    assert status_of(store)["run"]["num_left"] == 1
    begin(Ledger(store), 8, 3)
    assert status_of(store)["run"]["num_left"] == 5


def test_a_record_that_is_damaged_keeps_no_run_from_starting(store: str) -> None:
    open_backend(store).put_if_absent(f"runs/{'a' * 32}.json", b"{")
    begin(Ledger(store), 8, 3)
    assert len(open_backend(store).list_dir("runs")) == 2


def begin(ledger: Ledger, num_prompts: int, num_done: int) -> None:
    ledger.start_run(num_prompts, num_done, part_seconds=10.0, info={})


def test_status_tells_how_far_the_latest_run_is(store: str) -> None:
    assert status_of(store)["run"] is None
    earlier, latest = Ledger(store), Ledger(store)
    begin(earlier, 100, 0)
    begin(latest, 8, 1)
    earlier.commit(write_part(store, [random_graph("d", seed=4)]))
    latest.commit(write_part(store, [random_graph("e", seed=5), random_graph("f", seed=6)]))
    record_failure(latest, "no such token", "trace", "?", 1)
    run = status_of(store)["run"]
    assert (run["num_prompts"], run["num_done"], run["num_failed"], run["num_left"]) == (8, 3, 1, 4)
    assert run["host"].rpartition(":")[2] == str(os.getpid())


@pytest.mark.parametrize(
    ("age", "verdict"),
    [(29, "0:00:29 ago: running"), (10_800, "3:00:00 ago: silent for 10,800 s, and nothing says that")],
)
def test_a_run_that_has_not_written_for_long_is_called_silent(store: str, age: int, verdict: str) -> None:
    ledger = Ledger(store)
    begin(ledger, 8, 1)
    ledger.commit(write_part(store, [random_graph("d", seed=4)]))
    status = status_of(store)
    now = datetime.fromisoformat(status["run"]["written"]) + timedelta(seconds=age)
    assert f"run      2 of 8 prompts done, 0 failed, 6 left; started {status['run']['started']}" in status_text(status)
    assert verdict in status_text(status, now)


@pytest.mark.parametrize(
    ("skew", "age", "says"),
    [
        (86_400, 5, r"clocks   that of \S+ is (1 day, 0:00:0\d|23:59:5\d) or more ahead .*\n.*0:00:0\d ago: running"),
        (86_400, 7_200, r"ahead of the store's.*\nwritten  .*2:00:0\d ago: silent for 7,20\d s"),
        (-86_400, 5, r"1 day, 0:00:0\d ago by the clock of \S+, 0:00:0\d by the store's: that clock is behind, and"),
        (-86_400, 7_200, r"1 day, 2:00:0\d ago: silent for 93,60\d s"),
        (
            0,
            -7_200,
            r"clocks   this machine's is (2:00:00|1:59:5\d) or more behind the store's\n.*0:00:00 ago: running",
        ),
    ],
)
def test_a_wrong_clock_is_named_and_nothing_false_is_said(
    store: str, monkeypatch: pytest.MonkeyPatch, skew: int, age: int, says: str
) -> None:
    """`skew`: of the driver's clock, in seconds; `age`: of what it wrote, by this machine's."""
    at(monkeypatch, datetime.now(UTC) + timedelta(seconds=skew))
    ledger = Ledger(store)
    begin(ledger, 8, 1)
    ledger.commit(write_part(store, [random_graph("d", seed=4)]))
    text = status_text(status_of(store), datetime.now(UTC) + timedelta(seconds=age))
    assert re.search(says, text), text


@pytest.mark.parametrize(
    ("how", "reason", "verdict"),
    [
        ("stopped", "SIGTERM", r"ago: stopped at \S+ by SIGTERM; the same command goes on"),
        ("failed", "WorkerLost: \x1b[31mgone", r"ago: failed at \S+: WorkerLost: \\x1b\[31mgone; the same command"),
        ("finished", "", r"ago: finished at \S+; the same command goes on"),
    ],
)
def test_a_run_that_said_how_it_ended_is_never_called_silent(store: str, how: How, reason: str, verdict: str) -> None:
    ledger = Ledger(store)
    begin(ledger, 8, 1)
    ledger.end(how, reason)
    status = status_of(store)
    assert (status["run"]["end"]["how"], status["run"]["end"]["reason"]) == (how, reason)
    text = status_text(status, datetime.now(UTC) + timedelta(days=400))
    assert re.search(verdict, text)
    assert "silent" not in text


def test_watching_ends_with_the_run(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger(store)
    begin(ledger, 8, 1)
    ledger.end("stopped", "SIGINT")
    assert main(["status", store, "--watch", "600"]) == 0
    assert capsys.readouterr().out.count("stopped at") == 1


def test_a_damaged_record_of_a_runs_end_is_said_to_be(store: str) -> None:
    ledger = Ledger(store)
    begin(ledger, 3, 3)
    ledger.end("finished")
    (record,) = Path(store, "runs").glob("*.end.json")
    record.write_text(record.read_text().replace("finished", "exploded"))
    with pytest.raises(StoreCorrupt, match="does not say how a run ended"):
        status_of(store)
    assert [damage.key for damage in verify(open_backend(store)).damages] == [f"runs/{record.name}"]


def test_a_run_without_anything_left_is_complete_however_long_ago(store: str) -> None:
    begin(Ledger(store), 3, 3)
    status = status_of(store)
    now = datetime.now(UTC) + timedelta(days=400)
    assert "ago: complete" in status_text(status, now)


def test_times_that_make_no_sense_are_passed_over(store: str) -> None:
    (commit, *_) = sorted(Path(store, "commits").iterdir())
    document = json.loads(commit.read_text())
    del document["sha256"]
    commit.write_text(json.dumps({**document, "created": "teatime"}))
    assert status_of(store)["written"] is not None


def test_a_damaged_record_of_a_run_is_said_to_be(store: str) -> None:
    begin(Ledger(store), 3, 3)
    (record,) = Path(store, "runs").iterdir()
    record.write_text("[]")
    with pytest.raises(StoreCorrupt, match=f"{record.name} does not describe a run"):
        status_of(store)


def test_where_there_is_no_store_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="no store at"):
        status_of(str(tmp_path / "nothing"))
