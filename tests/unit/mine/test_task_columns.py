"""Columns that tasks leave for later ones are read as they were written; predictions do not depend on threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from distributed_tracer.mine.task_columns import load_columns, save_columns

ROOT = Path(__file__).parents[3]
PREDICTED = """
import hashlib
import numpy as np
from distributed_tracer.mine import predict
from threadpoolctl import threadpool_info

rng = np.random.default_rng(0)
names = [*map("prompt_{}".format, range(5)), *map("graph_{}".format, range(150))]
vectors = {name: rng.standard_normal(2000) for name in names}
label, cluster = (rng.random(2000) < 0.3).astype(float), np.repeat(np.arange(400), 5)
scores, inside, judged = [], [], predict._Judged.__init__


def numbers():
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


def noticing(self, score_IY, *others):
    scores.append(score_IY.tobytes())
    inside.extend(numbers())
    judged(self, score_IY, *others)


predict._Judged.__init__ = noticing
before = numbers()
predict.predict_labels(vectors, label, cluster, cluster % 5, 199, 0)
assert numbers() == before
print(max(inside, default=1), hashlib.sha256(b"".join(scores)).hexdigest())
"""


def test_columns_are_read_as_they_were_written(tmp_path: Path) -> None:
    texts = ["ends in \0", "", "\ud800", "北京", "", "ends in \0"]
    columns: dict[str, Any] = {
        "z": np.arange(6, dtype=np.int16),
        "text": texts,
        "of objects": np.array(texts, dtype=object),
        "a": np.array([np.nan, -0.0, 1, 2, np.inf, 5]),
        "mask": np.array([True, False] * 3),
    }
    save_columns(tmp_path / "c", columns)
    found = load_columns(tmp_path / "c")
    assert list(found) == list(columns)
    assert found["text"].tolist() == found["of objects"].tolist() == texts
    for name in ("z", "a", "mask"):
        assert found[name].dtype == columns[name].dtype
        assert found[name].tobytes() == columns[name].tobytes()


def test_columns_without_rows_are_read_too(tmp_path: Path) -> None:
    save_columns(tmp_path, {"text": [], "number": np.zeros(0, np.int8)})
    assert {name: len(values) for name, values in load_columns(tmp_path).items()} == {"text": 0, "number": 0}


def test_what_vectors_predict_does_not_depend_on_the_threads_of_numpy() -> None:
    """OpenBLAS adds in another order if it has several threads, as it has by default."""
    said = []
    for threads in ("1", "2"):
        limits = {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
        program = [sys.executable, "-c", PREDICTED]
        done = subprocess.run(program, env={**os.environ, **limits}, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        said.append(done.stdout.split())
    assert said[0] == said[1]
    assert said[0][0] == "1"
