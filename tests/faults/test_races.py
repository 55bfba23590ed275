"""Several processes write one store at once, the same prompts: each counts once, whoever was first."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from random_graphs import random_graph
from random_stores import RUN_INFO, make_store, whole
from s3 import s3_server

from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.commits import read_commits
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.gc import collect_garbage
from distributed_tracer.store.reader import open_store

pytestmark = pytest.mark.slow

GRAPHS = [random_graph(f"p{i}", seed=i, num_active=12, num_positions=3) for i in range(12)]
WRITER = """
import sys
from random_graphs import random_graph
from random_stores import RUN_INFO, write_part
from distributed_tracer.store.ledger import Ledger

url, *numbers = sys.argv[1:]
ledger = Ledger(url)
ledger.create_or_check(RUN_INFO)
assert not ledger.done()
graphs = [random_graph(f"p{n}", seed=int(n), num_active=12, num_positions=3) for n in numbers]
print("ready", flush=True)
sys.stdin.readline()
for i in range(0, len(graphs), 2):
    ledger.commit(write_part(url, graphs[i : i + 2]))
"""


@pytest.fixture(params=["local", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path / "store")
    else:
        with s3_server() as server, server.used():
            yield server.make_bucket("races") + "/store"


def start_writer(url: str, numbers: list[int]) -> subprocess.Popen[str]:
    """A process that is about to write these graphs in this order, and believes that none is there."""
    here = Path(__file__).parents[1]
    program = f"import sys; sys.path[:0] = [{str(here)!r}, {str(here.parent)!r}]\n{WRITER}"
    command = [sys.executable, "-c", program, url, *map(str, numbers)]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


def go(writers: list[subprocess.Popen[str]]) -> None:
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()


def test_writers_of_the_same_prompts_all_commit_and_each_prompt_counts_once(url: str, tmp_path: Path) -> None:
    """While the store is compacted and cleaned again and again."""
    expected = make_store(str(tmp_path / "expected"), GRAPHS).digest()
    numbers = list(range(12))
    Ledger(url).create_or_check(RUN_INFO)
    writers = [start_writer(url, numbers), start_writer(url, numbers[::-1]), start_writer(url, numbers)]
    go(writers)
    seen, rounds = 0, 0
    while any(writer.poll() is None for writer in writers):
        compact(url)
        collect_garbage(url)
        now = whole(url, GRAPHS)
        assert now >= seen, "what was there once is there for ever"
        seen, rounds = now, rounds + 1
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    for writer in writers:
        writer.communicate()
    assert rounds >= 1
    assert Ledger(url).done() == {graph.prompt_id for graph in GRAPHS}
    written = Counter(entry.id for _, manifest in read_commits(open_backend(url)) for entry in manifest.prompts)
    assert min(written.values()) >= 3, "every writer's are committed"
    assert open_store(url).digest() == expected
    compact(url)
    collect_garbage(url, grace_hours=-1.0)
    assert whole(url, GRAPHS) == len(GRAPHS)
    assert open_store(url).digest() == expected
    assert len(open_backend(url).list_dir("commits")) == 1
