"""What both kinds of executors share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from jobs_of_cases import job, plain_rows

from distributed_tracer.config import JobConfig, RunConfig
from distributed_tracer.plan.work import Outcome, WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.execute import executor_for
from distributed_tracer.runtime.executor import threads_per_worker
from distributed_tracer.runtime.local import LocalExecutor
from distributed_tracer.runtime.reply import WorkerReply


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (RunConfig(local=True), 8),
        (RunConfig(workers=2), 4),
        (RunConfig(workers=3), 2),
        (RunConfig(workers=20), 1),
        (RunConfig(workers=20, threads=5), 5),
        (RunConfig(local=True, threads=1), 1),
    ],
)
def test_workers_share_the_cores_unless_told_otherwise(run: RunConfig, expected: int) -> None:
    assert threads_per_worker(run, 8) == expected


def test_the_configuration_chooses_the_executor(tmp_path: Path) -> None:
    here = executor_for(job(tmp_path, plain_rows(1)), lambda *manifests: None)
    there = executor_for(job(tmp_path, plain_rows(1), RunConfig()), lambda *manifests: None)
    assert (type(here).__name__, type(there).__name__) == ("LocalExecutor", "RayExecutor")


class WritesInPairs:
    """A worker that writes no parts: results are durable once it has two of them, or is told to write."""

    def __init__(self, config: JobConfig, threads: int) -> None:
        self.kept: list[str] = []

    def trace(self, *units: WorkUnit) -> WorkerReply:
        self.kept += [unit.prompt.id for unit in units]
        outcomes = tuple(Outcome(unit.prompt.id, "traced") for unit in units)
        return WorkerReply(outcomes, durable=self.flush().durable if len(self.kept) == 2 else ())

    def flush(self) -> WorkerReply:
        written, self.kept = self.kept, []
        return WorkerReply(durable=tuple(written))


def test_a_worker_that_writes_no_parts_needs_no_commit(tmp_path: Path) -> None:
    executor = LocalExecutor(job(tmp_path, plain_rows(1)), None, WritesInPairs)
    found = [(one.prompt_id, one.status) for one in executor.run(WorkUnit(Prompt(name)) for name in "abc")]
    traced = [("a", "traced"), ("b", "traced"), ("a", "done"), ("b", "done"), ("c", "traced"), ("c", "done")]
    assert found == traced


@pytest.mark.parametrize(
    ("run", "absent"), [("RunConfig(local=True)", "ray"), ("RunConfig(workers=1)", "distributed_tracer.runtime.worker")]
)
def test_only_what_the_chosen_executor_needs_is_imported(run: str, absent: str) -> None:
    code = f"""
        import sys
        from distributed_tracer.config import *
        from distributed_tracer.runtime.execute import executor_for
        parts = ModelConfig("m"), TranscoderConfig("t"), CorpusConfig("p"), StoreConfig("s"), TraceConfig()
        executor_for(JobConfig(*parts, {run}), print)
        sys.exit({absent!r} in sys.modules)
    """
    code = "\n".join(line.strip() for line in code.splitlines())
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
