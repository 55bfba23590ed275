"""What tracing takes is at most what the plan says it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MEASURE = """
import json, sys
from distributed_tracer import TraceConfig, attribute, load_model, load_transcoders
from distributed_tracer.plan.sizing import num_sweep_rows
from distributed_tracer.plan.cost import cost_of
from distributed_tracer.trace.column_layout import Tiling
from process_memory import held_bytes, peak_bytes, reset_peak

folder, kind, every = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
model, transcoders = load_model(f"{folder}/model"), load_transcoders(f"{folder}/transcoders/{kind}")
tokens = [1, *range(20, 83)]
of_processor = Tiling.of
for device, options in every:
    as_on_gpu = lambda dtype, of: Tiling(width=8, block=64, few_calls=True)
    Tiling.of = of_processor if device == "cpu" else as_on_gpu
    rows = num_sweep_rows("auto", model.shape, len(tokens), 4, "cpu")
    config = TraceConfig(1024, 256, sweep_rows=rows, **options)
    attribute(tokens[:5], model, transcoders, config)
    held = held_bytes()
    reset_peak()
    graph = attribute(tokens, model, transcoders, config)
    measured = peak_bytes() - held
    per_site = len(graph.active) / model.shape.num_layers / (len(tokens) - 1)
    cost = cost_of(len(tokens), model.shape, transcoders.shape, config, "float32", per_site, rows, device)
    planned = cost.bytes.total
    del graph
    print(json.dumps([measured, planned]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="a process's peak can be reset on Linux only")
@pytest.mark.parametrize("kind", ["plt", "clt"])
def test_measured_peak_is_at_most_the_planned_one(kind: str) -> None:
    """One process measures all options, as loading takes longer than tracing. What a GPU would hold is measured on the
    CPU, with the layout of a GPU."""
    different: list[dict[str, object]] = [{}, {"sweep_dtype": "bfloat16"}, {"keep_row_mass": 0.9}]
    options = [("cpu", of) for of in different] + [("cuda", of) for of in different if "sweep_dtype" not in of]
    command = [sys.executable, "-c", MEASURE, str(ROOT / "demo"), kind, json.dumps(options)]
    # glibc keeps freed buffers of up to 32 MiB, now fewer, now more of them: here only what is asked for counts
    given_back = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    answer = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=120, cwd=ROOT / "benchmarks", env=given_back
    )
    found = [json.loads(line) for line in answer.stdout.splitlines()]
    assert len(found) == len(options)
    for option, (measured, planned) in zip(options, found, strict=True):
        assert 0 < measured <= planned, option
