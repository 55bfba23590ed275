"""An S3 that throttles, errs, breaks off or does not answer: a run outlives it, or ends with an error and can go on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from faulty_proxy import FAULTS, Fault, FaultyS3, Request, Spoil, at_random, everything, faulty, nothing
from jobs_of_cases import CASE, LOCAL, job, plain_rows
from random_graphs import random_graph
from random_stores import RUN_INFO, write_part
from s3 import s3_server

from distributed_tracer.config import JobConfig
from distributed_tracer.errors import StoreError
from distributed_tracer.pipeline import run_job
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NUM_PROMPTS = 24
ROWS = plain_rows(NUM_PROMPTS)
WAITS = {"FSSPEC_S3": '{"config_kwargs": {"read_timeout": 1}}'}
"""A client that waits a second for an answer."""
HASTY = {**WAITS, "AWS_MAX_ATTEMPTS": "1"}
"""And that asks once."""
ON_RAY = pytest.param(["--workers", "2"], id="ray", marks=[pytest.mark.ray, pytest.mark.thorough])
EXECUTORS = pytest.mark.parametrize("executor", [pytest.param(["--local"], id="here"), ON_RAY])


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultyS3]:
    with s3_server() as server, faulty(server) as s3, s3.server.used():
        yield s3


@pytest.fixture
def s3(proxy: FaultyS3) -> Iterator[FaultyS3]:
    proxy.spoil = nothing
    proxy.counts.clear()
    yield proxy
    proxy.spoil = nothing


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run that nobody disturbs ends in."""
    config = job(tmp_path_factory.mktemp("undisturbed"), ROWS, LOCAL)
    run_job(config)
    return open_store(config.store.store).digest()


def on_s3(s3: FaultyS3, tmp_path: Path, bucket: str) -> JobConfig:
    """A job of six parts or more."""
    config = job(tmp_path, ROWS, LOCAL, part_prompts=4)
    return replace(config, store=replace(config.store, store=s3.server.make_bucket(bucket) + "/store"))


def start(
    s3: FaultyS3, config: JobConfig, *options: str, client: Mapping[str, str] = HASTY
) -> subprocess.CompletedProcess[str]:
    """The command that does the job, as a user would start it."""
    args = ["trace", "--model", str(CASE / "model"), "--transcoders", str(CASE / "transcoders")]
    args += ["--prompts", config.corpus.prompts, "--store", config.store.store, "--part-prompts", "4", "--threads", "1"]
    args += ["--max-feature-nodes", "40", "--round-size", "16", "--sweep-rows", "32", "--no-progress", *options]
    return subprocess.run(
        [sys.executable, "-m", "distributed_tracer", *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **s3.server.environment, **client},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def after_commits(count: int, spoil: Spoil) -> Spoil:
    """All is well until so many commits are made."""
    seen: set[str] = set()

    def late(request: Request) -> Fault | None:
        if len(seen) >= count:
            return spoil(request)
        if request.method == "PUT" and "/commits/" in request.path:
            seen.add(request.path)
        return None

    return late


def for_seconds(seconds: float, spoil: Spoil) -> Spoil:
    """What goes wrong, from the first request on, for so long."""
    began: list[float] = []

    def early(request: Request) -> Fault | None:
        began.append(time.monotonic())
        return spoil(request) if began[-1] - began[0] < seconds else None

    return early


def test_a_job_outlives_an_s3_that_spoils_a_fifth_of_all_requests(
    s3: FaultyS3, tmp_path: Path, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 1}})
    config = on_s3(s3, tmp_path, "fifth")
    s3.counts.clear()
    s3.spoil, s3.stall_seconds = at_random(0.2, seed=1), 1.5
    summary = run_job(config)
    assert (summary.num_done, summary.failed, summary.exit_code) == (NUM_PROMPTS, (), 0)
    assert all(s3.counts[fault] >= 5 for fault in FAULTS), s3.counts
    s3.spoil = nothing
    store = open_store(config.store.store)
    assert store.digest() == digest
    assert store.verify() > 0


@pytest.mark.ray
def test_two_workers_outlive_an_s3_that_spoils_a_fifth_of_all_requests(
    s3: FaultyS3, tmp_path: Path, digest: str
) -> None:
    config = on_s3(s3, tmp_path, "fifth-ray")
    s3.spoil, s3.stall_seconds = at_random(0.2, seed=2), 1.5
    done = start(s3, config, "--workers", "2", client=WAITS)
    assert done.returncode == 0, done.stderr
    assert f"{NUM_PROMPTS} done, 0 skipped (done before), 0 failed" in done.stdout
    assert all(s3.counts[fault] >= 5 for fault in FAULTS), s3.counts
    s3.spoil = nothing
    assert open_store(config.store.store).digest() == digest


@EXECUTORS
def test_a_run_on_an_s3_that_no_longer_answers_ends_and_the_next_goes_on(
    executor: list[str], s3: FaultyS3, tmp_path: Path, digest: str
) -> None:
    config = on_s3(s3, tmp_path, f"stalled{len(executor)}")
    s3.spoil, s3.stall_seconds = after_commits(2, everything("stall")), 3600.0
    stopped = start(s3, config, "--retry-seconds", "5", *executor)
    assert time.monotonic() - s3.last_good < 45, "5 for patience, 4 for each write, the rest to end"
    assert stopped.returncode == 1
    assert "tried" in stopped.stderr
    assert "What is committed stays" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    s3.spoil = nothing
    done = len(open_store(config.store.store))
    assert done >= 4
    again = start(s3, config, *executor)
    assert again.returncode == 0, again.stderr
    assert f"{NUM_PROMPTS - done} done, {done} skipped (done before), 0 failed" in again.stdout
    assert open_store(config.store.store).digest() == digest


@EXECUTORS
def test_a_run_outlives_an_outage_in_which_nothing_can_be_written(
    executor: list[str], s3: FaultyS3, tmp_path: Path, digest: str
) -> None:
    config = on_s3(s3, tmp_path, f"outage{len(executor)}")
    s3.spoil = after_commits(1, for_seconds(4.0, everything("error")))
    done = start(s3, config, *executor)
    assert done.returncode == 0, done.stderr
    assert s3.counts["error"] > 2
    assert f"{NUM_PROMPTS} done" in done.stdout
    assert open_store(config.store.store).digest() == digest
    root = open_backend(config.store.store)
    assert len(root.list_dir("parts")) == len(root.list_dir("commits")), "no part was written twice"


def test_without_patience_the_same_outage_ends_a_run(s3: FaultyS3, tmp_path: Path) -> None:
    config = on_s3(s3, tmp_path, "impatient")
    s3.spoil = after_commits(1, for_seconds(4.0, everything("error")))
    done = start(s3, config, "--local", "--retry-seconds", "0")
    assert (done.returncode, "tried 1 times" in done.stderr) == (1, True), done.stderr


ENDS_AT_ONCE = """
import sys
from distributed_tracer.store.backend.open import open_backend
root = open_backend(sys.argv[1])
root.read("missing")
sys.setswitchinterval(100)  # so that obstore's thread, which has the answer, still waits for the interpreter
root.read("missing")
"""


def test_a_program_that_ends_right_after_a_request_is_not_aborted(s3: FaultyS3) -> None:
    """Each of these programs was aborted once in five times."""
    url = s3.server.make_bucket("ends") + "/store"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **s3.server.environment}
    programs = [subprocess.Popen([sys.executable, "-c", ENDS_AT_ONCE, url], env=environment) for _ in range(16)]
    assert [program.wait() for program in programs] == [0] * len(programs)


def lost(request: Request) -> Fault | None:
    """The answer to every conditional PUT is lost: it is done, and nobody hears of it."""
    return "lost answer" if request.headers.get("If-None-Match") == "*" else None


def lost_once(s3: FaultyS3) -> Spoil:
    return lambda request: lost(request) if not s3.counts["lost answer"] else None


@pytest.mark.parametrize("times", ["once", "always"])
def test_a_creation_whose_answer_is_lost_is_known_as_ones_own(times: str, s3: FaultyS3) -> None:
    root = open_backend(s3.server.make_bucket(f"lost-{times}") + "/store")
    root.put_if_absent("commits/0.json", b"first")
    assert root.list_dir("commits") == ["0.json"], "a listing that says nothing of what comes"
    s3.spoil = lost_once(s3) if times == "once" else lost
    assert root.put_if_absent("commits/1.json", b"mine") == b"mine"
    assert (s3.counts["lost answer"] == 1) == (times == "once")
    assert root.put_if_absent("commits/1.json", b"yours") == b"mine"


def test_a_commit_of_a_resumed_run_whose_answer_is_lost_counts_once(s3: FaultyS3) -> None:
    url = s3.server.make_bucket("lost-commit") + "/store"
    ledger = Ledger(url)
    ledger.create_or_check(RUN_INFO)
    ledger.commit(write_part(url, [random_graph("a")]))
    manifest, resumed = write_part(url, [random_graph("b")]), Ledger(url)
    s3.spoil = lost_once(s3)
    resumed.commit(manifest)
    assert s3.counts["lost answer"] == 1
    assert len(open_backend(url).list_dir("commits")) == 2
    assert set(open_store(url)) == {"a", "b"}


def test_an_object_of_another_under_the_same_name_is_an_error_that_waiting_does_not_mend(s3: FaultyS3) -> None:
    url = s3.server.make_bucket("taken") + "/store"
    ledger = Ledger(url, retry_seconds=60.0)
    ledger.create_or_check(RUN_INFO)
    ledger.commit(write_part(url, [random_graph("a")]))
    mine, other = write_part(url, [random_graph("b")]), write_part(url, [random_graph("c")])
    open_backend(url).put_if_absent(f"commits/0000000002-{mine.part}.json", other.to_json("now"))
    s3.spoil = lost_once(s3)
    with pytest.raises(StoreError, match=f"holds another part than {mine.part}"):
        ledger.commit(mine)
    assert s3.counts["lost answer"] == 1
