"""What happens to a run while a part is in flight: kill -9, signals, a store that refuses the part, no memory.

A worker on a CPU with a store on a disk writes in its own thread. `Flight.use` has it write beside the tracing, as on
a GPU or to a server (`test_s3.py`).
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import wait
from itertools import islice
from pathlib import Path

import pytest
from jobs_of_cases import job, plain_rows

from distributed_tracer.config import JobConfig, TraceConfig
from distributed_tracer.errors import OutOfMemory, StoreUnavailable
from distributed_tracer.graph.graph import Graph
from distributed_tracer.pipeline import run_job
from distributed_tracer.plan.work import WorkUnit
from distributed_tracer.report.status import status_of
from distributed_tracer.runtime.reply import WorkerReply
from distributed_tracer.runtime.worker import Worker
from distributed_tracer.store.backend.local import LocalBackend
from distributed_tracer.store.reader import open_store

TESTS = Path(__file__).parents[1]
NUM_PROMPTS = 6
SECONDS = 60.0
put_many, graph_of = LocalBackend.put_many, Worker.graph_of


class Flight:
    """The parts that are written beside the tracing. One of them is held once half of its objects are written."""

    def __init__(self) -> None:
        self.held_number = -1
        """Number of the part that is held, from 0; none by default."""
        self.error: Exception | None = None
        """Raised when a held part goes on."""
        self.half, self.go_on = threading.Event(), threading.Event()
        self.num_begun = self.num_traced = 0
        self.meet: Callable[[Worker], object] = lambda worker: None
        """Called with half a part written, by the worker, as it begins the next prompt."""

    def put_many(self, root: LocalBackend, objects: Mapping[str, bytes]) -> None:
        number, self.num_begun = self.num_begun, self.num_begun + 1
        if number == self.held_number:
            assert threading.current_thread() is not threading.main_thread()
            put_many(root, dict(islice(objects.items(), len(objects) // 2)))
            self.half.set()
            assert self.go_on.wait(SECONDS)
            if self.error is not None:
                raise self.error
        put_many(root, objects)

    def graph_of(self, worker: Worker, unit: WorkUnit, config: TraceConfig) -> Graph:
        self.num_traced += 1
        if 0 <= self.held_number < (self.num_traced - 1) // 2 and not self.go_on.is_set():
            assert self.half.wait(SECONDS)
            self.meet(worker)
        return graph_of(worker, unit, config)

    def use(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr("distributed_tracer.runtime.worker.overlap_helps", lambda *about: True)
        patch.setattr(LocalBackend, "put_many", lambda root, objects: self.put_many(root, objects))
        patch.setattr(Worker, "graph_of", lambda worker, unit, config: self.graph_of(worker, unit, config))


@pytest.fixture
def flight() -> Iterator[Flight]:
    """A flight in which the second part is held."""
    with pytest.MonkeyPatch.context() as patch:
        flight = Flight()
        flight.held_number = 1
        flight.use(patch)
        yield flight
        flight.go_on.set()


def config_of(tmp_path: Path, retry_seconds: float = 0.0) -> JobConfig:
    return job(tmp_path, plain_rows(NUM_PROMPTS), part_prompts=2, retry_seconds=retry_seconds)


def check_goes_on(config: JobConfig, tmp_path: Path, num_done: int) -> None:
    """`num_done` prompts are done, and the same command does the rest."""
    assert len(open_store(config.store.store)) == num_done
    assert open_store(config.store.store).verify() > 0
    summary = run_job(config)
    assert (summary.num_done, summary.num_skipped, summary.failed) == (NUM_PROMPTS - num_done, num_done, ())
    undisturbed = job(tmp_path, plain_rows(NUM_PROMPTS), store="undisturbed")
    run_job(undisturbed)
    assert open_store(config.store.store).digest() == open_store(undisturbed.store.store).digest()


def stop_flight(flight: Flight) -> None:
    flight.held_number = -1
    flight.go_on.set()


def test_the_next_prompts_are_traced_while_a_part_is_in_flight_and_it_is_waited_for_at_the_end(
    tmp_path: Path, flight: Flight
) -> None:
    met = list[int]()

    def meet(worker: Worker) -> None:
        met.append(flight.num_begun)
        if len(met) == 2:
            threading.Timer(0.2, flight.go_on.set).start()

    flight.meet = meet
    assert run_job(config_of(tmp_path)).num_done == NUM_PROMPTS
    assert met == [2, 2], "the fifth and the sixth prompt, beside the second part"
    check_goes_on(config_of(tmp_path), tmp_path, NUM_PROMPTS)


KILLED = f"""
import os, signal, sys
sys.path[:0] = {[str(TESTS), str(TESTS / "faults"), str(TESTS.parent)]!r}
from pathlib import Path
import pytest
from test_part_in_flight import Flight, config_of
from distributed_tracer.pipeline import run_job

flight = Flight()
flight.held_number = 1
flight.meet = lambda worker: os.kill(os.getpid(), signal.SIGKILL)
flight.use(pytest.MonkeyPatch())
run_job(config_of(Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_a_kill_while_a_part_is_in_flight_loses_that_part_alone(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list((tmp_path / "store/parts").iterdir())) == 2, "one of them is half written"
    check_goes_on(config_of(tmp_path), tmp_path, 2)


def test_a_signal_while_a_part_is_in_flight_has_it_written_with_what_is_traced(tmp_path: Path, flight: Flight) -> None:
    def meet(worker: Worker) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Timer(0.2, flight.go_on.set).start()
        flight.meet = lambda worker: None

    flight.meet = meet
    config = config_of(tmp_path)
    summary = run_job(config)
    assert (summary.num_done, summary.num_left, summary.exit_code) == (5, 1, 130)
    check_goes_on(config, tmp_path, 5)


def test_a_second_signal_does_not_wait_for_the_part_in_flight(tmp_path: Path, flight: Flight) -> None:
    def meet(worker: Worker) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        flight.meet = lambda worker: None

    flight.meet = meet
    config = config_of(tmp_path)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_job(config)
    assert time.monotonic() - began < SECONDS / 2
    end = status_of(config.store.store)["run"]["end"]
    assert (end["how"], end["reason"]) == ("stopped", "SIGTERM")
    stop_flight(flight)
    check_goes_on(config, tmp_path, 2)


FAILURES: dict[str, tuple[Exception, type[Exception], str]] = {
    "store": (StoreUnavailable("no room"), StoreUnavailable, "no room; tried 1 times.*the same command goes on"),
    "memory": (MemoryError("part"), OutOfMemory, "no memory left to write a part: MemoryError: part.*--part-prompts"),
    "bug": (OSError(errno.EBADF, "bad file"), OSError, "bad file"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_part_in_flight_that_fails_ends_the_run_with_its_own_error_before_another_prompt_is_traced(
    what: str, tmp_path: Path, flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, kind, text = FAILURES[what]
    trace, flight.error = Worker.trace, error

    def after_it_has_failed(worker: Worker, *units: WorkUnit) -> WorkerReply:
        if flight.num_traced == 5 and flight.held_number >= 0:
            flight.go_on.set()
            assert worker._writer._in_flight is not None
            wait([worker._writer._in_flight], SECONDS)
        return trace(worker, *units)

    monkeypatch.setattr(Worker, "trace", after_it_has_failed)
    config = config_of(tmp_path)
    with pytest.raises(kind, match=text):
        run_job(config)
    assert flight.num_traced == 5
    assert what == "store" or kind.__name__ in status_of(config.store.store)["run"]["end"]["reason"]
    stop_flight(flight)
    check_goes_on(config, tmp_path, 2)
