"""Evaluate a store's graphs against their model: test whether edges predict effects, and whether kept features suffice.

python jobs/validate.py                                      on this machine, or on the cluster in RAY_ADDRESS
distributed-tracer submit jobs/validate.py                   on a cluster, through its head node
"""

from __future__ import annotations

import sys

from distributed_tracer import (
    EdgeEffectMetric,
    EvaluationJob,
    FaithfulnessMetric,
    RunConfig,
    edge_check,
    edge_check_text,
    faithfulness,
    faithfulness_text,
    run_evaluation,
)

STORE = "/shared/graphs"
RUN = RunConfig(workers=2, gpus_per_worker=1)
TOLERANCE = 1e-3
"""Tolerated difference, as a share of a graph's largest edge. Keeping 10 bits of weights alone accounts for half of it.
"""


def main() -> int:
    """Evaluate what was not evaluated before, and print all results. Returns 1 if edges do not predict effects."""
    edges = run_evaluation(EvaluationJob(STORE, EdgeEffectMetric(sources=16), sample=1000, run=RUN))
    found = edge_check(edges.table, TOLERANCE)
    print(edges.describe(), edge_check_text(found), sep="\n")
    if edges.num_left:
        return edges.exit_code
    kept = run_evaluation(EvaluationJob(STORE, FaithfulnessMetric(), sample=1000, run=RUN))
    print(kept.describe(), faithfulness_text(faithfulness(kept.table)), sep="\n")
    return 1 if found["disagreeing"] else max(edges.exit_code, kept.exit_code)


if __name__ == "__main__":
    sys.exit(main())
