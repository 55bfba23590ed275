"""Small products, and a whole graph, from 1, 2 and 3 threads: each in a process of its own, as MKL reads its
environment once."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distributed_tracer.threads import _is_few, add_at_, few_on_one_thread, multiply

ROOT = Path(__file__).parent.parent.parent

GRID = """
import itertools, torch
from torch.nn.functional import linear
from distributed_tracer import threads
from distributed_tracer.threads import add_product_, einsum, few_on_one_thread, multiply
from distributed_tracer.trace.dense_pruning import total
from distributed_tracer.trace.dense_influence import product

def laid(x, order):
    return x if order == "N" else x.mT.contiguous().mT

def many(make):
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(make())
    return all(torch.equal(found[0], other) for other in found[1:])

def inside(make):
    def made():
        with few_on_one_thread(torch.device("cpu"), 1000, 1000):
            return make()
    return made

torch.manual_seed(0)
differ = []
rows, columns, depths = (1, 2, 3, 4, 13, 33, 65), (1, 2, 3, 16, 17, 33, 64, 65, 200), (17, 160)
for m, n, k, orders in itertools.product(rows, columns, depths, ("NN", "NT", "TN")):
    a, b, c = laid(torch.randn(m, k), orders[0]), laid(torch.randn(k, n), orders[1]), torch.randn(m, n)
    if not many(lambda: multiply(a, b)):
        differ.append((m, n, k, orders, "multiply"))
    if not many(lambda: multiply(a[None], b[None])):
        differ.append((m, n, k, orders, "one of a batch"))
    if not many(lambda: add_product_(sums := c.clone(), a, b) or sums):
        differ.append((m, n, k, orders, "add_product_"))
    if not many(inside(lambda: linear(a, b.mT, c[0]))):
        differ.append((m, n, k, orders, "a library's linear"))
    if not many(lambda: threads.linear(a, b.mT, c[0])):
        differ.append((m, n, k, orders, "linear"))
    if not many(lambda: einsum("mk,kn->mn", a, b)):
        differ.append((m, n, k, orders, "einsum"))
    if not many(inside(lambda: a[None, None] @ b)):
        differ.append((m, n, k, orders, "@"))
    if not many(lambda: a[0] @ b) or not many(lambda: a[0].double() @ b.double()):
        differ.append((m, n, k, orders, "a vector with a matrix"))
    if not many(lambda: a.double() @ b[:, 0].double()):
        differ.append((m, n, k, orders, "a matrix with a vector"))
    if not many(lambda: product(a.double(), b.double())):
        differ.append((m, n, k, orders, "float64"))
    if not many(lambda: multiply(a.bfloat16(), b.bfloat16())):
        differ.append((m, n, k, orders, "bfloat16"))
differ += [size for size in range(300_000, 400_000, 10_007) if not many(lambda: total(torch.arange(size).double() / 7))]
print(differ)
"""

STORES = """
import json, sys
from pathlib import Path
from distributed_tracer.config import (
    CorpusConfig, JobConfig, ModelConfig, RunConfig, StoreConfig, TraceConfig, TranscoderConfig
)
from distributed_tracer.pipeline import run_job
from distributed_tracer.store.reader import open_store

demo, directory = Path("demo"), Path(sys.argv[1])
lines = (demo / "corpus.jsonl").read_text().splitlines()[:3]
two_tokens = json.dumps({"id": "short", "tokens": [1, 5]})
(directory / "prompts.jsonl").write_text("\\n".join([*lines, two_tokens]))
for threads in (1, 2, 3):
    store = str(directory / f"store{threads}")
    run_job(JobConfig(
        ModelConfig(str(demo / "model")),
        TranscoderConfig(str(demo / "transcoders/plt")),
        CorpusConfig(str(directory / "prompts.jsonl")),
        StoreConfig(store),
        TraceConfig(max_feature_nodes=100, round_size=40, keep_all=True),
        RunConfig(local=True, threads=threads, progress=False),
    ))
    print(len(open_store(store)), open_store(store).digest())
"""


def said(program: str, *arguments: str) -> str:
    """What a process with MKL's order of adding prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=os.environ | {"MKL_CBWR": "AUTO,STRICT", "OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch multiplies matrices by other means")
def test_products_of_every_small_shape_do_not_depend_on_threads() -> None:
    assert said(GRID) == "[]"


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch multiplies matrices by other means")
def test_a_whole_store_is_the_same_from_one_two_and_three_threads(tmp_path: Path) -> None:
    printed = said(STORES, str(tmp_path)).splitlines()[-3:]
    assert len(printed) == 3
    assert {line.split()[0] for line in printed} == {"4"}
    assert len(set(printed)) == 1


def test_small_products_alone_are_left_to_one_thread_and_the_others_keep_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    monkeypatch.setattr(torch, "mm", lambda a, b, out=None: seen.append(torch.get_num_threads()))
    torch.set_num_threads(2)
    try:
        for rows, columns in ((2, 500), (500, 3), (64, 64), (4, 65), (65, 4), (1, 500)):
            multiply(torch.ones(rows, 5), torch.ones(5, columns))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1, 1, 2, 2, 2]


def test_a_little_model_is_left_to_one_thread_as_a_whole_and_a_large_one_is_not() -> None:
    before, device = torch.get_num_threads(), torch.device("cpu")
    torch.set_num_threads(2)
    try:
        with few_on_one_thread(device, 10, 160):
            assert torch.get_num_threads() == 1
        with few_on_one_thread(device, 10, 2304):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


PRODUCTS = {"matmul", "mm", "bmm", "addmm", "addmm_", "addmv", "baddbmm", "einsum", "linear", "mv", "dot"}


@pytest.mark.parametrize("folder", ["trace", "transcoder", "model/frozen.py", "model/norm.py"])
def test_every_product_of_an_attribution_goes_through_the_module_of_threads(folder: str) -> None:
    place = ROOT / "distributed_tracer" / folder
    bare = [
        f"{path.name}:{node.lineno}"
        for path in (sorted(place.rglob("*.py")) if place.is_dir() else [place])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)) or is_product(node)
    ]
    assert [place for place in bare if place.split(":")[0] not in OF_VECTORS] == []


OF_VECTORS = {"fold.py", "edges.py", "frontier.py"}
"""Whose products are of a vector with a matrix: see the test of these."""


def is_product(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in PRODUCTS
        and not (isinstance(node.func.value, ast.Attribute) and node.func.value.attr == "_scratch")  # multiplies
    )


def test_the_forms_of_products_that_libraries_use_are_known() -> None:
    x, weight, batch = torch.ones(2, 5), torch.ones(100, 5), torch.ones(7, 5, 100)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert _is_few("linear", [x, weight])
        assert _is_few("linear", [x[None], weight])
        assert _is_few("__matmul__", [x, weight.T])
        assert _is_few("addmm", [torch.ones(100), x, weight.T])
        assert not _is_few("linear", [torch.ones(2, 40, 5), weight])  # 80 rows
        assert not _is_few("bmm", [torch.ones(7, 2, 5), batch])  # each by a thread of its own
        assert _is_few("bmm", [torch.ones(1, 2, 5), batch[:1]])
        assert not _is_few("softmax", [x, 1])
    finally:
        torch.set_num_threads(before)


def test_values_added_at_the_same_place_are_added_in_order() -> None:
    place_I, values_ID = torch.arange(20_000) % 3, torch.randn(20_000, 8, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(3, 8)
    for place, value_D in zip(place_I.tolist(), values_ID, strict=True):
        expected[place] += value_D
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for _ in range(20):
            added = torch.zeros(3, 8)
            add_at_(added, (place_I,), values_ID)
            assert torch.equal(added, expected)
    finally:
        torch.set_num_threads(threads)
