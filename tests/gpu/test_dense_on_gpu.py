"""On a GPU: graphs made of the same rows are the CPU's, and the same bit for bit each time."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import random_graphs
import torch
from random_rows import AWKWARD, random_rows
from rounding import round_off

from distributed_tracer.graph.graph import Graph
from distributed_tracer.trace.assemble import assemble

DEVICE = os.environ.get("GPU_TESTS_DEVICE", "cuda")
"""`cpu` runs these tests without a GPU, to try the tests themselves."""

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="no CUDA device"),
]
SUMS = ("row_abs_sum_N", "row_abs_sum_all_N", "row_abs_dropped_N", "influence_N")
"""In the order of the device's own additions, then rounded to float32."""


def graphs(device: str, case: str) -> list[Graph]:
    options: dict[str, Any] = AWKWARD[case]
    dense = assemble(*random_rows(2, device=device, **options))
    return [dense.whole(), *(dense.pruned(*t) for t in ((0.8, 0.98), (0.3, 0.6), (1.0, 1.0)))]


@pytest.mark.parametrize("case", AWKWARD)
def test_the_same_nodes_and_edges_as_on_the_cpu(case: str) -> None:
    for found, expected in zip(graphs(DEVICE, case), graphs("cpu", case), strict=True):
        for part in (lambda graph: graph, lambda graph: graph.nodes, lambda graph: graph.active):
            for name, value in vars(part(expected)).items():
                if isinstance(value, np.ndarray) and name not in SUMS:
                    np.testing.assert_array_equal(getattr(part(found), name), value, err_msg=name)
        # What was dropped is a difference of sums in float32: its round-off is that of the whole.
        off_N = round_off(torch.float32, len(expected.active) + len(expected.nodes)) * np.nan_to_num(
            expected.row_abs_sum_all_N
        )
        for name in SUMS:
            atol_N = off_N if name.startswith("row") else 2.0**-22 * expected.influence_N
            off = np.abs(getattr(found, name) - getattr(expected, name)) > atol_N
            assert not off.any(), (name, off.nonzero())
        relative = round_off(torch.float64, found.num_edges + 1)
        for name, value in vars(expected.scores).items():
            np.testing.assert_allclose(getattr(found.scores, name), value, rtol=relative, atol=relative, err_msg=name)


@pytest.mark.parametrize("case", ["few calls", "few calls, the largest edges", "ties and rows of zeros", "deep"])
def test_the_same_bits_each_time(case: str) -> None:
    options = AWKWARD[case] | {"per_site": 30, "num_positions": 12, "num_chosen": 200}
    rows, same = (random_rows(1, device=DEVICE, **options) for _ in range(2))
    assert torch.equal(rows[-1].influence(), same[-1].influence())
    once, again = assemble(*rows), assemble(*same)
    random_graphs.assert_same(once.whole(), again.whole())
    for thresholds in ((0.8, 0.98), (1.0, 0.9)):
        random_graphs.assert_same(once.pruned(*thresholds), again.pruned(*thresholds))


def test_making_and_pruning_a_graph_waits_a_fixed_number_of_times() -> None:
    """Whatever the number of batches and layers: the node numbers, the edges and what is stored of nodes leave."""
    if DEVICE == "cpu":
        pytest.skip("a CPU does not wait for itself")
    counts: list[int] = []
    for options in ({"rows": 64, "num_layers": 3}, {"rows": 8, "num_layers": 9}):
        rows = random_rows(3, device=DEVICE, **options)
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with pytest.warns(UserWarning, match="synchroniz") as caught:
                assemble(*rows).pruned(0.8, 0.98)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        counts.append(len(caught))
    assert counts[0] == counts[1] <= 30
