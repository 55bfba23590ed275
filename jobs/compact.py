"""Compact a store after its runs: larger parts, and an index. Needs one machine, no GPU, and may be run again.

python jobs/compact.py                                       here
distributed-tracer submit jobs/compact.py                    on a cluster's head
"""

from __future__ import annotations

from distributed_tracer import compact

STORE = "/shared/graphs"

if __name__ == "__main__":
    print(compact(STORE).describe())
