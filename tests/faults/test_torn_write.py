"""Kill a real writer anywhere: what was committed is all there, the rest does not exist, and a rerun does it."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from faulty_proxy import Fault, FaultyS3, Request, faulty, nothing
from random_graphs import random_graph
from random_stores import RUN_INFO, make_store, write_part
from s3 import s3_server

from distributed_tracer.errors import StoreError
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import open_store

NUM_PROMPTS = 12
WRITER = """
import sys
from random_graphs import random_graph
from random_stores import RUN_INFO, write_part
from distributed_tracer.store.ledger import Ledger

url, count = sys.argv[1], int(sys.argv[2])
ledger = Ledger(url)
ledger.create_or_check(RUN_INFO)
print("ready", flush=True)
for i in range(0, count, 2):
    if {f"p{i}", f"p{i + 1}"} - ledger.done():
        ledger.commit(write_part(url, [random_graph(f"p{n}", seed=n) for n in (i, i + 1)]))
        print(f"p{i} p{i + 1}", flush=True)
"""


@pytest.fixture(scope="module")
def clean_digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run that nobody disturbs ends in."""
    graphs = [random_graph(f"p{i}", seed=i) for i in range(NUM_PROMPTS)]
    return make_store(str(tmp_path_factory.mktemp("clean")), graphs).digest()


def start_writer(url: str, count: int = NUM_PROMPTS) -> subprocess.Popen[str]:
    here = Path(__file__).parents[1]
    program = f"import sys; sys.path[:0] = [{str(here)!r}, {str(here.parent)!r}]\n{WRITER}"
    return subprocess.Popen([sys.executable, "-c", program, url, str(count)], stdout=subprocess.PIPE, text=True)


def orphans(url: str) -> set[str]:
    """Parts that no commit names."""
    root = open_backend(url)
    return set(root.list_dir("parts")) - {name[11:43] for name in root.list_dir("commits")}


def kill_while_writing(writer: subprocess.Popen[str], url: str, seconds: float) -> list[str]:
    """Kill -9 `seconds` after a new part begins to appear (or the work is done); the ids acknowledged until then."""
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    before = orphans(url)
    while writer.poll() is None and orphans(url) <= before:
        pass
    time.sleep(seconds)
    writer.kill()
    acknowledged = writer.stdout.read().split()
    writer.wait()
    writer.stdout.close()
    return acknowledged


def tear_until_done(url: str, least_torn: int, longest_wait: float) -> None:
    """Interrupt writer after writer until so many parts are torn, checking the store each time; then let one finish."""
    rng = random.Random(0)
    for _ in range(40):
        acknowledged = kill_while_writing(start_writer(url), url, rng.uniform(0.0, longest_wait))
        store = open_store(url)
        assert set(acknowledged) <= set(store)
        assert sum(1 for _ in store.graphs()) == len(store)
        assert store.verify() >= 0
        if len(orphans(url)) >= least_torn:
            break
    assert len(orphans(url)) >= least_torn
    writer = start_writer(url)
    writer.communicate()
    assert writer.returncode == 0


@pytest.mark.slow
def test_killing_a_writer_anywhere_loses_nothing_committed(tmp_path: Path, clean_digest: str) -> None:
    url = str(tmp_path / "store")
    tear_until_done(url, least_torn=4, longest_wait=0.03)
    assert open_store(url).digest() == clean_digest


MOMENTS: dict[str, tuple[str, float, Fault, int]] = {
    "at the first object of a part": ("/parts/", 0, "reset", 0),
    "between two objects of a part": ("/parts/", 0.4, "reset", 0),
    "between two objects of the second part": ("/parts/", 1.4, "reset", 1),
    "before a commit": ("/commits/", 1, "reset", 1),
    "after a commit": ("/commits/", 1, "lost answer", 2),
}
"""How many parts' objects or commits a writer writes before the one that is its last, whether that one is done, and how
many parts are committed then."""


def kill_at(s3: FaultyS3, url: str, folder: str, number: int, fault: Fault) -> list[str]:
    """Kill -9 a writer when so many of its objects in a folder have come to the server; the ids acknowledged by then.

    A kill by the clock comes too late for a part that takes some milliseconds to write.
    """
    writers: list[subprocess.Popen[str]] = []
    written = count()

    def spoil(request: Request) -> Fault | None:
        if request.method == "PUT" and folder in request.path and next(written) == number:
            writers[0].kill()
            writers[0].wait()
            return fault
        return None

    s3.spoil = spoil
    writers.append(start_writer(url))
    acknowledged = writers[0].communicate()[0].split()[1:]
    s3.spoil = nothing
    assert writers[0].returncode == -signal.SIGKILL
    return acknowledged


@pytest.mark.slow
def test_a_writer_killed_on_s3_loses_nothing_committed(tmp_path: Path, clean_digest: str) -> None:
    num_objects = len(make_store(str(tmp_path), [random_graph("any")]).manifests[0].objects)
    with s3_server() as server, faulty(server) as s3, s3.server.used():
        url = s3.server.make_bucket("torn") + "/store"
        num_done = 0
        for moment, (folder, share, fault, num_commits) in MOMENTS.items():
            before = orphans(url)
            number = int(share * num_objects) if folder == "/parts/" else int(share)
            acknowledged = kill_at(s3, url, folder, number, fault)
            store, root = open_store(url), open_backend(url)
            num_done += 2 * num_commits
            assert len(store) == num_done, moment
            assert set(acknowledged) <= set(store)
            assert sum(1 for _ in store.graphs()) == len(store)
            assert store.verify() >= 0
            left = [len(root.list_all(f"parts/{part}")) for part in orphans(url) - before]
            if folder == "/parts/" and number:
                assert 0 < left[0] < num_objects, moment
        writer = start_writer(url)
        writer.communicate()
        assert writer.returncode == 0
        assert open_store(url).digest() == clean_digest


def _empty(path: Path) -> None:
    path.write_bytes(b"")


HALF: dict[str, tuple[str, Callable[[Path], None]]] = {
    "an array missing": ("edges/weight/zarr.json", Path.unlink),
    "a chunk missing": ("edges/weight/c/0", Path.unlink),
    "an empty chunk": ("nodes/kind/c/0", _empty),
    "no metadata": ("zarr.json", Path.unlink),
}


@pytest.mark.parametrize("how", HALF)
def test_a_half_written_part_without_commit_is_invisible(tmp_path: Path, how: str) -> None:
    store = make_store(str(tmp_path), [random_graph("a")])
    orphan = write_part(str(tmp_path), [random_graph("b")])
    key, tear = HALF[how]
    tear(tmp_path / "parts" / orphan.part / key)
    again = open_store(str(tmp_path))
    assert list(again) == ["a"]
    assert again.digest() == store.digest()
    assert again.verify() > 0
    assert Ledger(str(tmp_path)).done() == {"a"}


def test_a_commit_is_never_there_in_part(tmp_path: Path) -> None:
    """A driver that dies before the link leaves a dot file, which nobody reads, and the next commit comes through."""
    make_store(str(tmp_path), [random_graph("a")])
    (commit,) = (tmp_path / "commits").iterdir()
    (tmp_path / "commits" / f".{commit.name}.0.tmp").write_bytes(commit.read_bytes()[:100])
    ledger = Ledger(str(tmp_path))
    ledger.commit(write_part(str(tmp_path), [random_graph("b")]))
    assert set(open_store(str(tmp_path))) == ledger.done() == {"a", "b"}


def test_a_driver_killed_before_run_json_leaves_no_store(tmp_path: Path) -> None:
    (tmp_path / ".run.json.0.tmp").write_bytes(b'{"format"')
    with pytest.raises(StoreError, match=r"no run\.json"):
        open_store(str(tmp_path))
    Ledger(str(tmp_path)).create_or_check(RUN_INFO)
    assert len(open_store(str(tmp_path))) == 0


def test_a_worker_given_up_for_lost_may_finish_late(tmp_path: Path, clean_digest: str) -> None:
    graphs = [random_graph(f"p{i}", seed=i) for i in range(NUM_PROMPTS)]
    late = write_part(str(tmp_path), graphs[:3])
    make_store(str(tmp_path), graphs)
    assert open_store(str(tmp_path)).digest() == clean_digest
    Ledger(str(tmp_path)).commit(late)
    assert open_store(str(tmp_path)).digest() == clean_digest


def test_the_disk_filling_up_loses_nothing_committed(tmp_path: Path) -> None:
    make_store(str(tmp_path), [random_graph("a")])
    program = f"""
import resource, signal, sys
sys.path[:0] = {[str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]!r}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from random_graphs import random_graph
from random_stores import write_part
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
write_part({str(tmp_path)!r}, [random_graph("b", num_active=4000)])
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "StoreUnavailable: cannot write a part to" in answer.stderr
    store = open_store(str(tmp_path))
    assert list(store) == ["a"]
    assert store.verify() > 0
