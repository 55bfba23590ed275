"""What a worker does to its process. What it does with prompts is in `tests/contract/test_executors.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[3]
PRODUCTS = """
import os
import torch
from distributed_tracer.runtime.prompt_attempt import DETERMINISTIC_MKL
os.environ.setdefault(*DETERMINISTIC_MKL)
a, b = torch.randn(300, 3000), torch.randn(3000, 40)
found = set()
for threads in (1, 2, 3, 4):
    torch.set_num_threads(threads)
    found.add((a @ b).numpy().tobytes())
print(len(found))
"""


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch multiplies matrices by other means")
def test_products_are_the_same_bit_for_bit_for_any_number_of_threads() -> None:
    done = subprocess.run([sys.executable, "-c", PRODUCTS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "1\n", done.stderr
