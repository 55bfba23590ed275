"""Small stores of a tiny model whose prompts have metadata to discover with, and a discovery that is killed.

python -m discovered_stores STORE OUT     discovers, and is killed as it writes its second document
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from jobs_of_cases import LOCAL, job, plain_rows

from distributed_tracer import discover, table_folder
from distributed_tracer.discovery.discover import Discovery
from distributed_tracer.discovery.settings import DiscoverSettings
from distributed_tracer.pipeline import run_job
from distributed_tracer.store.reader import Store, open_store

COUNT = 36
SETTINGS = DiscoverSettings(
    contrasts=2,
    min_clusters=5,
    threshold=0.3,
    chains=5,
    permutations=99,
    shuffles=1,
    bootstraps=1,
    findings=3,
    controls=19,
)


def discoverable(directory: Path) -> Store:
    """Trace COUNT prompts, each of a topic of its own, of two kinds that differ in their texts."""
    rows = [
        {**row, "topic": f"topic {number}", "kind": ["long", "short"][number % 6 > 1], "half": number % 2 == 0}
        for number, row in enumerate(plain_rows(COUNT))
    ]
    config = job(directory, rows)
    run_job(config)
    return open_store(config.store.store)


def discovered(store: str, out: Path, **options: Any) -> Discovery:
    """Discover with few numbers of everything."""
    given: dict[str, Any] = {"cluster": "topic", "settings": SETTINGS, "run": LOCAL, **options}
    return discover(store, out, **given)


def _die_at_the_second_document() -> None:
    write, num_written = table_folder.TableFolder.write, 0

    def deadly(*arguments: Any, **options: Any) -> None:
        nonlocal num_written
        num_written += 1
        if num_written == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        write(*arguments, **options)

    table_folder.TableFolder.write = deadly  # type: ignore[method-assign]  # in a process of its own


if __name__ == "__main__":
    _die_at_the_second_document()
    discovered(sys.argv[1], Path(sys.argv[2]))
