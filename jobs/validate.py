"""Hold a store's graphs against their model: are edges what happens, and do the kept features do what the model does?

python jobs/validate.py                                      here, or on the cluster that RAY_ADDRESS names
distributed-tracer submit jobs/validate.py                   on a cluster, by its head
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
"""Of a graph's largest edge: weights kept with 10 bits alone are off by half of that."""


def main() -> int:
    """Measure what was not measured before, print all figures; the exit code, 1 where edges are not what happens."""
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
