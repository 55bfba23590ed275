"""Jobs submitted to a Ray cluster with tokens on, as a user would: watched, killed, stopped, gone on with."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jobs_of_cases import CASE, job, plain_rows, write_prompts

from distributed_tracer import open_store
from distributed_tracer.cli.main import main
from distributed_tracer.errors import StoreNotFound
from distributed_tracer.pipeline import run_job
from distributed_tracer.report.status import status_of
from distributed_tracer.store.evaluations import read_checks

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
RAY = str(Path(sys.executable).with_name("ray"))


@dataclass(frozen=True)
class Head:
    """A running head: where its dashboard is, and the environment of those who know the token."""

    dashboard: str
    environment: dict[str, str]
    folder: str
    """Its temporary folder: sessions, logs, what was sent along with jobs."""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listening.getsockname()[1] for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    gcs, dashboard, agent, client = free_ports(4)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        # a short folder: socket paths end at 107 bytes
        command = [RAY, "start", "--head", "--block", "--num-cpus=2", "--include-dashboard=true"]
        command += [f"--port={gcs}", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
        command += [f"--ray-client-server-port={client}", f"--temp-dir={folder}"]
        log = Path(folder, "start.log")
        with log.open("w") as output:
            process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            address = f"http://127.0.0.1:{dashboard}"
            wait_until_up(address, process, log)
            yield Head(address, environment | {"RAY_API_SERVER_ADDRESS": address}, folder)
        finally:
            process.send_signal(signal.SIGTERM)  # --block ends everything it started
            process.wait(timeout=60)


def wait_until_up(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/api/gcs_healthz", timeout=5).close()
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.25)
        else:
            return
    raise AssertionError(f"no dashboard after a minute:\n{log.read_text()}")


def ray_submit(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [RAY, "job", "submit", "--working-dir", str(folder), "--", sys.executable, "trace.py"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)


def submission(*args: str) -> list[str]:
    return [sys.executable, "-m", "distributed_tracer", "submit", "--python", sys.executable, *args]


def submit(environment: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(submission(*args), env=environment, capture_output=True, text=True, timeout=400)


def status(store: Path) -> str:
    command = [sys.executable, "-m", "distributed_tracer", "status", str(store)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    """A copy of jobs/, changed as its first line asks for, and what it reads."""
    shared = tmp_path / "shared"
    shutil.copytree(CASE / "model", shared / "model")
    shutil.copytree(CASE / "transcoders", shared / "transcoders")
    prompts = [{"id": "text", "text": "Fact: the capital"}, {"id": "tokens", "tokens": [1, 40, 296]}, {"id": "bad"}]
    (shared / "prompts.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    source = (ROOT / "jobs" / "trace.py").read_text()
    (tmp_path / "jobs").mkdir()
    changed = source.replace('"/shared"', repr(str(shared))).replace("gpus_per_worker=1", "threads=1")
    assert changed.count(str(shared)) == 1
    assert "gpus_per_worker" not in changed
    (tmp_path / "jobs" / "trace.py").write_text(changed)
    return tmp_path / "jobs"


@pytest.mark.thorough
def test_a_submitted_job_fills_the_store_and_strangers_are_refused(head: Head, jobs: Path) -> None:
    stranger = {name: value for name, value in head.environment.items() if not name.startswith("RAY_AUTH")}
    refused = ray_submit(jobs, stranger | {"HOME": str(jobs)})
    assert refused.returncode != 0
    assert "token authentication is enabled" in refused.stderr.lower()

    done = ray_submit(jobs, head.environment)
    output = done.stdout + done.stderr
    assert "2 done, 0 skipped (done before), 1 failed" in output, output
    assert done.returncode != 0, output  # one prompt is bad, and the job's exit code says so
    store = open_store(str(jobs.parent / "shared" / "graphs"))
    assert sorted(store) == ["text", "tokens"]


def adapted(jobs: Path, name: str, **changes: str) -> str:
    """Another of our jobs beside the first, changed as its first lines ask for."""
    source = (ROOT / "jobs" / name).read_text()
    for before, after in {"/shared": str(jobs.parent / "shared"), **changes}.items():
        assert before in source
        source = source.replace(before, after)
    (jobs / name).write_text(source)
    return str(jobs / name)


def test_our_own_submissions_pass_their_exit_codes_on(head: Head, jobs: Path) -> None:
    done = submit(head.environment, str(jobs / "trace.py"))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "2 done, 0 skipped (done before), 1 failed" in done.stdout
    store = jobs.parent / "shared" / "graphs"
    compacted = submit(head.environment, adapted(jobs, "compact.py"))
    assert compacted.returncode == 0, compacted.stdout + compacted.stderr
    assert "2 prompts in" in compacted.stdout
    assert open_store(str(store)).index is not None


@pytest.mark.thorough
def test_other_jobs_of_ours_question_and_measure_the_store(head: Head, jobs: Path) -> None:
    store = jobs.parent / "shared" / "graphs"
    run_job(job(store.parent, plain_rows(2), store=store.name))
    mined = submit(head.environment, adapted(jobs, "mine.py"))
    assert mined.returncode == 0, mined.stdout + mined.stderr
    assert (store.parent / "mined" / "features.csv").read_text().startswith("layer,feature,prompts,")
    validated = submit(head.environment, adapted(jobs, "validate.py", **{"gpus_per_worker=1": "threads=1"}))
    assert validated.returncode == 0, validated.stdout + validated.stderr
    assert validated.stdout.count("2 measured, 0 skipped (done before), 0 failed") == 2, validated.stdout
    assert {one.kind for one in read_checks(open_store(str(store)).root)} == {"edges", "faithfulness"}


@pytest.mark.parametrize(
    "given", [{"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 32}, {"RAY_AUTH_MODE": "token"}, {}]
)
def test_without_the_token_a_submission_is_refused_in_a_sentence(head: Head, jobs: Path, given: dict[str, str]) -> None:
    stranger = {name: value for name, value in head.environment.items() if not name.startswith("RAY_AUTH")}
    refused = submit(stranger | {"HOME": str(jobs.parent / "shared")} | given, str(jobs / "trace.py"))
    assert refused.returncode == 1
    assert f"error: the job server at {head.dashboard} refuses: set RAY_AUTH_MODE=token" in refused.stderr
    assert "Traceback" not in refused.stderr


def scraped(head: Head) -> dict[str, float]:
    """Our metrics as Prometheus would get them: the sum over everything else, by name and tag of ours."""
    found: dict[str, float] = {}
    (discovered,) = json.loads(Path(head.folder, "prom_metrics_service_discovery.json").read_text())
    for target in discovered["targets"]:
        try:
            text = urllib.request.urlopen(f"http://{target}/metrics", timeout=10).read().decode()
        except urllib.error.URLError:  # the autoscaler's, where there is none
            continue
        for name, labels, value in re.findall(r"^ray_(tracer_\w+)\{(.*)\} (\S+)$", text, re.MULTILINE):
            tag = re.search(r'\b(phase|state)="(\w+)"', labels)
            key = f"{name} {tag[2]}" if tag else name
            found[key] = found.get(key, 0.0) + float(value)
    return found


@pytest.mark.thorough
def test_prometheus_finds_what_a_run_has_done(head: Head, tmp_path: Path) -> None:
    prompts = write_prompts(
        tmp_path / "prompts.jsonl", [*plain_rows(5), {"id": "x", "text": "a", "targets": ["no such"]}]
    )
    flags = ["--model", str(CASE / "model"), "--transcoders", str(CASE / "transcoders"), "--prompts", str(prompts)]
    before = scraped(head)
    done = submit(head.environment, "--", *flags, "--threads", "1", "--store", str(tmp_path / "store"))
    assert done.returncode == 3, done.stdout + done.stderr
    deadline = time.monotonic() + 30  # the exporter is told every ten seconds or so
    while (found := scraped(head)).get("tracer_prompts_done_total") == before.get("tracer_prompts_done_total"):
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    new = {name: value - before.get(name, 0.0) for name, value in found.items()}
    assert (new["tracer_prompts_done_total"], new["tracer_prompts_failed_total trace"]) == (5, 1)
    assert new["tracer_stored_bytes_total"] == status_of(str(tmp_path / "store"))["bytes"]
    assert new["tracer_prompt_seconds_count"] == 5
    assert new["tracer_rows_total"] > 5 * 10
    phases = ("load", "encode", "rows", "prune", "store", "idle")
    assert all(new[f"tracer_phase_seconds_total {phase}"] > 0 for phase in phases)
    gauges = ("prompts_left", "prompts_in_flight", "replicas ready", "replicas starting")
    assert [found[f"tracer_{gauge}"] for gauge in gauges] == [0, 0, 0, 0]


def test_where_no_server_is_it_says_so(head: Head, jobs: Path) -> None:
    (port,) = free_ports(1)
    refused = submit(head.environment, "--address", f"http://127.0.0.1:{port}", str(jobs / "trace.py"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"error: no job server answers at http://127.0.0.1:{port}" in refused.stderr


def wait_for_prompts(store: Path, count: int, process: subprocess.Popen[str]) -> dict[str, Any]:
    """The status of a run when so many of its prompts are done."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        try:
            run = status_of(str(store))["run"]
        except StoreNotFound:
            run = None
        if run and run["num_done"] >= count:
            return dict(run)
        time.sleep(0.1)
    raise AssertionError(f"fewer than {count} prompts after 200 seconds: {process.communicate()}")


@pytest.mark.thorough
@pytest.mark.timeout(600)  # three starts of a run
def test_a_submitted_run_is_watched_killed_stopped_and_gone_on_with(head: Head, tmp_path: Path) -> None:
    rows = plain_rows(80)  # more than are done while a process starts that stops the run
    prompts = write_prompts(tmp_path / "prompts.jsonl", rows)
    flags = ["--model", str(CASE / "model"), "--transcoders", str(CASE / "transcoders"), "--prompts", str(prompts)]
    flags += ["--sweep-rows", "8", "--max-feature-nodes", "none", "--threads", "1", "--part-prompts", "2"]
    store, undisturbed = tmp_path / "store", tmp_path / "undisturbed"
    command = submission("--", *flags, "--part-seconds", "2", "--store", str(store))
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    first = subprocess.Popen(command, env=head.environment, **pipes)
    run = wait_for_prompts(store, 4, first)
    assert run["num_prompts"] == 80
    assert re.search(r"of 80 prompts done, 0 failed, \d+ left; started .*\nwritten .* ago: running\n", status(store))

    os.kill(int(run["host"].rpartition(":")[2]), signal.SIGKILL)
    output, _ = first.communicate(timeout=60)
    assert first.returncode == 137, output
    time.sleep(7)  # three times the two seconds after which a part is due
    assert re.search(
        r", [1-9]\d* left; .*\nwritten .* ago: silent for \d+ s, and nothing says that the run ended", status(store)
    )

    second = subprocess.Popen(command, env=head.environment, **pipes)
    assert second.stdout is not None
    (name,) = re.findall(r"submitted (\S+);", second.stdout.readline())
    wait_for_prompts(store, len(open_store(str(store))) + 4, second)
    assert submit(head.environment, "--stop", name).stdout == f"{name} has ended: STOPPED\n"
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 130
    assert re.search(r"stopped with \d+ prompts left: run the same command again", output), output
    assert re.search(r"ago: stopped at \S+ by SIGTERM; the same command goes on from here", status(store))

    again = subprocess.run(command, env=head.environment, capture_output=True, text=True, timeout=400)
    assert again.returncode == 0, again.stdout + again.stderr
    assert re.search(r"\d+ done, [1-9]\d* skipped \(done before\), 0 failed", again.stdout)
    assert re.search(r"80 of 80 prompts done, 0 failed, 0 left; .*\nwritten .* ago: complete", status(store))
    assert main(["trace", *flags, "--local", "--no-progress", "--store", str(undisturbed)]) == 0
    assert open_store(str(store)).digest() == open_store(str(undisturbed)).digest()


SLOW_TO_STOP = """
import pathlib, signal, sys, time
def stop(number, frame):
    time.sleep(5)  # Ray's own patience ends after three
    pathlib.Path(sys.argv[1]).write_text("written")
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(200)
"""


def test_a_job_that_is_stopped_has_time_to_write(head: Head, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "slow.py").write_text(SLOW_TO_STOP)
    (tmp_path / "job" / ".secret").write_text("stays here")
    mark = tmp_path / "mark"
    following = subprocess.Popen(
        submission(str(tmp_path / "job" / "slow.py"), str(mark)),
        env=head.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert following.stdout is not None
    name = next(re.findall(r"submitted (\S+);", line)[0] for line in following.stdout if "submitted" in line)
    assert any("ready" in line for line in following.stdout)
    assert list(Path(head.folder).glob("session_*/runtime_resources/working_dir_files/*/slow.py"))
    assert not list(Path(head.folder).glob("session_*/runtime_resources/working_dir_files/*/.secret"))
    stopped = submit(head.environment, "--stop", name)
    assert (stopped.returncode, stopped.stdout) == (0, f"{name} has ended: STOPPED\n"), stopped.stderr
    assert mark.read_text() == "written"
    following.communicate(timeout=30)
    assert following.returncode == 130
    unknown = submit(head.environment, "--stop", "nobody")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (1, 1), unknown.stderr
