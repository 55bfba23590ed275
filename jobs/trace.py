"""Trace a corpus of prompts. Copy this file, change `job`, and keep it: with the commit, it shows how a store was made.

python jobs/trace.py                                         on this machine, or on the cluster in RAY_ADDRESS
distributed-tracer submit jobs/trace.py                      on a cluster, through its head node
sbatch cluster/slurm.sbatch jobs/trace.py                    on Slurm
"""

from __future__ import annotations

import sys

from distributed_tracer import (
    CorpusConfig,
    JobConfig,
    ModelConfig,
    RunConfig,
    StoreConfig,
    TraceConfig,
    TranscoderConfig,
    run_job,
)

SHARED = "/shared"  # a folder that all nodes see at this path; prompts and store can be s3:// URLs instead


def job() -> JobConfig:
    """Return the configuration of the whole run. `distributed_tracer/config.py` explains all fields and defaults."""
    return JobConfig(
        model=ModelConfig(f"{SHARED}/model", forward_dtype="float32"),
        transcoders=TranscoderConfig(f"{SHARED}/transcoders"),
        corpus=CorpusConfig(f"{SHARED}/prompts.jsonl", on_bad_prompt="record"),
        store=StoreConfig(f"{SHARED}/graphs", weight_bits=10),
        trace=TraceConfig(max_feature_nodes=4096),
        run=RunConfig(workers=2, gpus_per_worker=1),
    )


if __name__ == "__main__":
    summary = run_job(job())
    print(summary.describe())
    sys.exit(summary.exit_code)
