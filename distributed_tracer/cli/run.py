"""Commands that start work: plan, trace, submit."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from inspect import signature
from itertools import islice
from typing import Annotated

import tyro
from tyro.conf import Positional

from ..config import CorpusConfig, JobConfig, ModelConfig, RunConfig, StoreConfig, TraceConfig, TranscoderConfig
from ..errors import ConfigError
from ..text import printable
from .app import DEFAULT_RUN, DEFAULT_TRACE, NO_STORE, PROG, SHOWN_REJECTED, discard_output, parse
from .repeated_flags import settled


def trace(
    model: ModelConfig,
    transcoders: TranscoderConfig,
    corpus: CorpusConfig,
    store: StoreConfig,
    trace: TraceConfig = DEFAULT_TRACE,
    run: RunConfig = DEFAULT_RUN,
) -> int:
    """Compute the attribution graph of every prompt into a store. After an interruption, the same command goes on."""
    from ..pipeline import run_job

    summary = run_job(JobConfig(model, transcoders, corpus, store, trace, run))
    try:
        print(summary.describe(), flush=True)
    except OSError:  # the output has no reader, or its disk is full; the store has all results
        discard_output()
    return summary.exit_code


def plan(
    model: ModelConfig,
    transcoders: TranscoderConfig,
    corpus: CorpusConfig,
    store: StoreConfig = NO_STORE,
    trace: TraceConfig = DEFAULT_TRACE,
    run: RunConfig = DEFAULT_RUN,
) -> int:
    """Estimate the memory and time that `trace` with the same flags takes, and what does not fit. Reads no weights."""
    from ..pipeline import plan_job
    from ..report.plan import plan_text

    plan, inputs = plan_job(JobConfig(model, transcoders, corpus, store, trace, run))
    print(plan_text(plan))
    for outcome in islice(inputs.rejected, SHOWN_REJECTED):
        print(f"cannot be traced: {outcome.prompt_id!r}: {outcome.reason!r}")
    num_rejected = inputs.prompts.num_rejected
    if num_rejected > SHOWN_REJECTED:
        print(f"cannot be traced: {num_rejected - SHOWN_REJECTED:,} more; trace records each in the store")
    plan.check_fits()
    return 3 if num_rejected or any(plan.too_large()) else 0


def submit(
    job: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="JOB.py | -- FLAGS")] = (),
    address: str | None = None,
    follow: bool = True,
    stop: str | None = None,
    python: str = "python",
) -> int:
    """Run a job file, or `trace` with the flags after `--`, on the cluster of a Ray job server.

    Args:
        job: Job file and its arguments; the folder of the file is sent along. Or, after `--`, the flags of `trace`.
        address: Address of the cluster's dashboard, http://HOST:PORT. The default is the environment variable
            RAY_API_SERVER_ADDRESS or, if that is not set, http://127.0.0.1:8265.
        follow: Whether to print the job's log until the job ends, and then to exit with its exit code.
        stop: Id of a job to stop. The job first writes the work under way; submitting the same again goes on from
            there.
        python: Python interpreter on the cluster's head, by name or path.
    """
    from ..runtime.ray.job_client import JobServer, of_file, of_flags

    if bool(job) == bool(stop):
        raise ConfigError("give a job file, or -- and the flags of trace, or --stop and the id of a job")
    if stop:
        print(f"{printable(stop)} has ended: {JobServer(address).stop(stop)}")
        return 0
    are_flags = job[0].startswith("-")
    submission = of_flags(job, _config_of(job), python) if are_flags else of_file(job[0], job[1:], python)
    server = JobServer(address)
    name = server.submit(submission)
    again = f"--address {server.address} --stop {name}"
    print(f"submitted {name}; to stop it: {PROG} submit {again}", flush=True)
    if not follow:
        return 0
    try:
        return server.follow(name, partial(print, flush=True))
    except KeyboardInterrupt:
        print(f"the job goes on; its log: ray job logs --follow {name}", file=sys.stderr)
        return 130


def _config_of(flags: Sequence[str]) -> JobConfig:
    """Return the configuration that `trace` gets from these flags, so that mistakes show here and not on the
    cluster."""
    command = parse(["trace", *settled(flags)])
    return JobConfig(**signature(trace).bind(*command.args, **command.keywords).arguments)
