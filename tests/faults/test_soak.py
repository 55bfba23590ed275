"""Workers, drivers and raylets are killed all the time; run again until it is done, a command leaves the same store."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from soak import soak


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.thorough  # faults/test_lost_worker.py and test_nodes.py kill one by one
@pytest.mark.timeout(900)  # kills come by the clock: the slower the machine, the more work they undo
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_store(tmp_path: Path) -> None:
    result = soak(tmp_path, num_prompts=150, kills_per_run=8, seed=3, max_feature_nodes=256)
    assert result.killed.total() >= 4, result.table()
    assert result.failed == {}, "nothing is wrong with these prompts"
    assert result.done == 150
    assert result.same_digest
