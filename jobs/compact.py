"""Compact a store after its runs into larger parts with an index. Needs one machine, no GPU; can be run again any time.

python jobs/compact.py                                       on this machine
distributed-tracer submit jobs/compact.py                    on a cluster, through its head node
"""

from __future__ import annotations

from distributed_tracer import compact

STORE = "/shared/graphs"

if __name__ == "__main__":
    print(compact(STORE).describe())
