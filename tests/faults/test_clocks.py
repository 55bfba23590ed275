"""The clock of a machine jumps while it works: a day ahead, a day back, to 1970. The stamps of files do not jump."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from jobs_of_cases import LOCAL, job, plain_rows
from preload import compiled

from distributed_tracer.pipeline import run_job
from distributed_tracer.store.reader import open_store

TESTS = Path(__file__).parents[1]
SHIM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long ahead(void) {  /* seconds, as the file CLOCK has them now */
    const char *path = getenv("CLOCK");
    char text[32];
    int file = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    long length = syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    if (length <= 0) return 0;
    text[length] = 0;
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += ahead();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}
"""
NUM_PROMPTS = 8


@pytest.mark.slow
@pytest.mark.parametrize("where", ["local", pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.thorough])])
def test_a_clock_that_jumps_changes_no_graph_removes_nothing_and_calls_nobody_stuck(where: str, tmp_path: Path) -> None:
    program = f"""
    import os, sys, time
    sys.path[:0] = {[str(TESTS), str(TESTS.parent)]!r}
    from dataclasses import replace
    from pathlib import Path
    from jobs_of_cases import LOCAL, RunConfig, job, plain_rows
    from random_graphs import random_graph
    from random_stores import write_part
    from distributed_tracer.pipeline import run_job
    from distributed_tracer.report.status import status_of, status_text
    from distributed_tracer.job.summary import OutcomeRecorder
    from distributed_tracer.store.maintenance.compact import compact
    from distributed_tracer.store.maintenance.gc import collect_garbage

    JUMPS = [86_400, -86_400, 100 - int(time.time())]
    left, record = dict(zip((2, 4, 6), JUMPS)), OutcomeRecorder.record

    def jump(ahead):
        Path(os.environ["CLOCK"]).write_text(str(ahead))
        assert abs(time.time() - os.stat(os.environ["CLOCK"]).st_mtime - ahead) < 60, "the clock has not jumped"

    def recording(self, outcome):
        record(self, outcome)
        numbers.append(outcome.status)
        if numbers.count("traced") in left:
            jump(left.pop(numbers.count("traced")))

    numbers, OutcomeRecorder.record = [], recording
    run = LOCAL if {where!r} == "local" else RunConfig(workers=1, threads=1, progress=False, stuck_seconds=120.0)
    config = job(Path({str(tmp_path)!r}), plain_rows({NUM_PROMPTS}), run, part_prompts=2)
    url = config.store.store
    assert run_job(config).num_done == {NUM_PROMPTS}
    assert not left and "retried" not in numbers and "complete" in status_text(status_of(url))
    for number, ahead in enumerate(JUMPS):
        jump(ahead)
        write_part(url, [random_graph(f"under way {{number}}")])
        assert collect_garbage(url, grace_hours=1.0) == [], "somebody may be about to commit it"
        compact(url)
        assert run_job(replace(config, run=LOCAL)).num_skipped == {NUM_PROMPTS}
        assert "complete" in status_text(status_of(url))
    """
    environment = {
        **os.environ,
        "LD_PRELOAD": compiled(SHIM, tmp_path),
        "CLOCK": str(tmp_path / "clock"),
        "OMP_NUM_THREADS": "1",
    }
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    command = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    undisturbed = job(tmp_path, plain_rows(NUM_PROMPTS), LOCAL, "undisturbed")
    run_job(undisturbed)
    assert open_store(str(tmp_path / "store")).digest() == open_store(undisturbed.store.store).digest()
