"""Whole jobs over the small reference models, for tests of everything above `trace`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distributed_tracer.config import (
    CorpusConfig,
    JobConfig,
    ModelConfig,
    RunConfig,
    StoreConfig,
    TraceConfig,
    TranscoderConfig,
)
from distributed_tracer.job.inputs import load_inputs
from distributed_tracer.plan.plan import make_plan
from distributed_tracer.plan.work import WorkUnit

CASES = Path(__file__).parent / "cases"
CASE = CASES / "llama_relu_plt"
LOCAL = RunConfig(local=True, threads=1, progress=False)
TEXTS = (
    "Fact: the capital of the state of Dallas is",
    "Fact: the capital of",
    "the state of Dallas",
    "the capital is",
    "Dallas is the state",
    "Fact:",
)


def write_prompts(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write a JSONL corpus."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def plain_rows(count: int) -> list[dict[str, Any]]:
    """Return `count` different prompts with the ids `p0` and so on."""
    return [{"id": f"p{n}", "text": f"{TEXTS[n % len(TEXTS)]} {n}"} for n in range(count)]


def job(
    directory: Path, rows: Sequence[dict[str, Any]], run: RunConfig = LOCAL, store: str = "store", **options: Any
) -> JobConfig:
    """Return a job over `rows` into `directory/store`; `options` belong to StoreConfig and CorpusConfig."""
    corpus = {name: options.pop(name) for name in list(options) if name == "on_bad_prompt"}
    return JobConfig(
        model=ModelConfig(str(CASE / "model")),
        transcoders=TranscoderConfig(str(CASE / "transcoders")),
        corpus=CorpusConfig(str(write_prompts(directory / f"{store}.jsonl", rows)), **corpus),
        store=StoreConfig(str(directory / store), **options),
        trace=TraceConfig(max_feature_nodes=40, round_size=16, sweep_rows=32),
        run=run,
    )


def units_of(config: JobConfig) -> list[WorkUnit]:
    """Return the units that the pipeline would give to an executor."""
    inputs = load_inputs(config)
    return list(make_plan(inputs.prompts, inputs.model, inputs.transcoders, config).units())
