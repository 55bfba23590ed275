"""Memory that runs out for real: a process may not take more, and torch's allocator is refused."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jobs_of_cases import job, units_of
from tiny import TOKENIZER, save_transcoders

from distributed_tracer.config import JobConfig, ModelConfig, RunConfig, TraceConfig, TranscoderConfig
from distributed_tracer.plan.work import WorkUnit
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.ray.executor import RayExecutor
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WIDTH, ROWS = 768, 512
STACK = 2**20
"""Of a thread. Each counts as a whole, 8 MiB by itself, and a part is written by dozens."""
SMALL = (1, *range(5, 25))
LARGE = (1, *(5 + 7 * n % 300 for n in range(299)))
PROMPTS = [{"id": f"small {n}", "tokens": [*SMALL, n]} for n in range(5, 8)] + [{"id": "large", "tokens": list(LARGE)}]
GRAPH = TraceConfig(max_feature_nodes=2048, round_size=2048, sweep_rows=ROWS)
PROGRAM = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from process_memory import data_bytes, held_bytes, peak_bytes, reset_peak
from test_memory import LARGE, graph_of, large_job, warm_worker
from pathlib import Path

worker = warm_worker(large_job(Path(sys.argv[2])), 1)
data, held = data_bytes(), held_bytes()
reset_peak()
graph_of(worker, LARGE, int(sys.argv[3]))
print(json.dumps([data, peak_bytes() - held]))
"""


def large_job(directory: Path, store: str = "store", run: RunConfig | None = None) -> JobConfig:
    """Small prompts and one of 300 tokens, the half of whose memory is that of a sweep."""
    config = job(directory, PROMPTS, run or RunConfig(local=True, threads=1, progress=False), store=store)
    files = {"model": ModelConfig(str(directory / "model")), "transcoders": TranscoderConfig(str(directory / "set"))}
    return replace(config, trace=GRAPH, **files)


def graph_of(worker: Any, tokens: tuple[int, ...], sweep_rows: int) -> None:
    worker.graph_of(WorkUnit(Prompt("measured", tokens=tokens)), replace(GRAPH, sweep_rows=sweep_rows))


def warm_worker(config: JobConfig, threads: int) -> Any:
    """A worker that has done something, so that libraries have what they keep."""
    from distributed_tracer.runtime.worker import Worker

    worker = Worker(config, threads)
    graph_of(worker, SMALL, ROWS)
    return worker


def make_limited_worker(paths: list[str], more_bytes: int, config: JobConfig, threads: int) -> Any:
    """A worker whose process may take that much more memory than it has once it is loaded and warm."""
    sys.path[:0] = paths
    from process_memory import data_bytes

    threading.stack_size(STACK)
    worker = warm_worker(config, threads)
    held, (_, hard) = data_bytes(), resource.getrlimit(resource.RLIMIT_DATA)
    assert held is not None
    resource.setrlimit(resource.RLIMIT_DATA, (held + more_bytes, hard))
    return worker


@dataclass(frozen=True)
class Measured:
    """Memory of a process, in bytes."""

    warm: int
    whole: int
    """What the large prompt takes beside with all its rows in a sweep, and with half."""
    half: int


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    directory = tmp_path_factory.mktemp("large")
    sizes = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 3, "vocab_size": 320}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 64, "max_position_embeddings": 512}
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**sizes, **heads, pad_token_id=0)).save_pretrained(directory / "model")
    AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(directory / "model")
    save_transcoders(directory / "set", activation="topk", width=WIDTH, size=64)
    return directory


PATHS = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "faults"), str(ROOT / "benchmarks")]


def measured(directory: Path, sweep_rows: int) -> tuple[int, int]:
    """Bytes held before, and taken by the large prompt, in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(PATHS), str(directory), str(sweep_rows)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    held, taken = json.loads(done.stdout)
    return held, taken


@pytest.fixture(scope="module")
def memory(directory: Path) -> Measured:
    (warm, whole), (_, half) = (measured(directory, rows) for rows in (ROWS, ROWS // 2))
    assert whole > half + 150e6, "there is room for a limit between them"
    return Measured(warm, whole, half)


def limit_memory(data_bytes: int) -> None:
    """Of this process, and of its threads' stacks."""
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
    resource.setrlimit(resource.RLIMIT_STACK, (STACK, STACK))


@pytest.mark.ray
@pytest.mark.parametrize("fits", ["half", pytest.param("nothing", marks=pytest.mark.thorough)])
def test_a_prompt_too_large_for_memory_is_tried_with_half_the_rows(
    fits: str, directory: Path, memory: Measured, ray_cluster: None
) -> None:
    more_bytes = (memory.whole + memory.half) // 2 if fits == "half" else memory.half * 2 // 3
    config = large_job(directory, store=fits, run=RunConfig(workers=1, threads=1, progress=False))
    ledger = Ledger(config.store.store)
    ledger.create_or_check({"identity": config.identity()})
    make_worker = partial(make_limited_worker, PATHS, more_bytes)
    outcomes = list(RayExecutor(config, ledger.commit, make_worker).run(units_of(config)))
    of_large = [outcome for outcome in outcomes if outcome.prompt_id == "large"]
    assert [o.status for o in of_large] == (["retried", "traced", "done"] if fits == "half" else ["retried", "failed"])
    assert "alloc" in str(of_large[0].reason).lower()
    assert str(of_large[0].reason).endswith(f"(with sweep_rows={ROWS})")
    if fits == "nothing":
        assert str(of_large[1].reason).endswith(f"(with sweep_rows={ROWS // 2})")
        assert of_large[1].phase == "trace"
    assert {outcome.worker for outcome in outcomes if outcome.worker} == {of_large[0].worker}, "nobody died"
    done = {str(row["id"]) for row in PROMPTS} - (set() if fits == "half" else {"large"})
    assert set(open_store(config.store.store)) == ledger.done() == done


def test_a_prompt_that_memory_never_holds_is_exit_code_3_and_the_rest_is_stored(
    directory: Path, memory: Measured
) -> None:
    config = large_job(directory, store="command")
    args = ["--model", str(directory / "model"), "--transcoders", str(directory / "set")]
    args += ["--prompts", config.corpus.prompts, "--store", config.store.store, "--local", "--threads", "1"]
    args += ["--max-feature-nodes", "2048", "--round-size", "2048", "--sweep-rows", str(ROWS)]
    limit = memory.warm + memory.half * 2 // 3
    done = subprocess.run(
        [sys.executable, "-m", "distributed_tracer", "trace", *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=partial(limit_memory, limit),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "failed in trace: 'large': " in done.stdout
    assert f"(with sweep_rows={ROWS // 2})" in done.stdout
    failure = Ledger(config.store.store).failures()["large"]
    assert failure.phase == "trace"
    assert set(open_store(config.store.store)) == {str(row["id"]) for row in PROMPTS} - {"large"}


UNWRITTEN = """
import json, sys, threading
sys.path[:0] = json.loads(sys.argv[1])
from functools import partial
from pathlib import Path
from jobs_of_cases import units_of
from test_memory import PATHS, large_job, make_limited_worker
from distributed_tracer.errors import OutOfMemory
from distributed_tracer.runtime.local import LocalExecutor

def make_worker(config, threads):
    worker = make_limited_worker(PATHS, 2**30, config, threads)
    threading.stack_size(2**30)  # more than is left, so that none of the threads can begin that write a part
    return worker

config = large_job(Path(sys.argv[2]), "unwritten")
try:
    list(LocalExecutor(config, print, make_worker).run(units_of(config)[-1:]))
except OutOfMemory as error:
    print(error)
"""


def test_a_part_that_memory_does_not_suffice_to_write_is_an_error_that_says_what_to_try(directory: Path) -> None:
    command = [sys.executable, "-c", UNWRITTEN, json.dumps(PATHS), str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "has no memory left to write a part: " in done.stdout, done.stderr
    assert "--part-prompts" in done.stdout


MONITORED = """
import json, os, sys, tempfile
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
import ray
from jobs_of_cases import job, plain_rows, units_of
from distributed_tracer.config import RunConfig
from distributed_tracer.runtime.ray.executor import RayExecutor
from distributed_tracer.store.ledger import Ledger

def make_greedy_worker(config, threads):
    import time
    from distributed_tracer.runtime.worker import Worker
    class Greedy(Worker):
        def graph_of(self, unit, config):
            held = []
            while unit.prompt.id == "greedy" and len(held) < 60:
                held.append(b"x" * 80_000_000)
                time.sleep(0.1)
            return super().graph_of(unit, config)
    return Greedy(config, threads)

if __name__ == "__main__":
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, _temp_dir=sys.argv[3])
    greedy = {"id": "greedy", "text": "the state of Dallas is the state of Dallas"}
    run = RunConfig(workers=1, threads=1, attempts=2, progress=False)
    config = job(Path(sys.argv[2]), [*plain_rows(3), greedy], run)
    ledger = Ledger(config.store.store)
    ledger.create_or_check({"identity": config.identity()})
    outcomes = RayExecutor(config, ledger.commit, make_greedy_worker).run(units_of(config))
    print(json.dumps([[o.status, o.reason] for o in outcomes if o.prompt_id == "greedy"]))
    ray.shutdown()
"""


@pytest.mark.ray
@pytest.mark.thorough
def test_a_prompt_for_which_ray_kills_workers_to_save_memory_is_given_up(tmp_path: Path) -> None:
    lines = Path("/proc/meminfo").read_text().splitlines()
    memory = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines}
    allowed = 1 - (memory["MemAvailable"] - 2.5e9) / memory["MemTotal"]
    if allowed > 0.9:
        pytest.skip("2.5 GB of free memory are needed")
    monitor = {"RAY_memory_usage_threshold": f"{allowed:.3f}", "RAY_memory_monitor_refresh_ms": "100"}
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as short:
        done = subprocess.run(
            [sys.executable, "-c", MONITORED, json.dumps(PATHS), str(tmp_path), short],
            env={**os.environ, **monitor, "PYTHONPATH": os.pathsep.join(PATHS)},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    (first, _), (last, reason) = json.loads(done.stdout.splitlines()[-1])
    assert (first, last) == ("retried", "failed")
    assert "2 worker processes died while tracing it" in reason
    assert "low on memory" in reason
    assert set(open_store(str(tmp_path / "store"))) == {"p0", "p1", "p2"}
