"""Cumulative shares: the `influence` of a viewer's JSON, which is no influence, and what can be known from it.

A file's number for a node is the share of all influence that the node and all more influential ones have together. So a
node's own share is the difference to the node before it, if that node is in the file. Nodes that were pruned in between
are not; but as shares decrease along the order, a node's share is at most that of the node before it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ROUND_OFF = 2.0**-23
"""Largest error of a difference of two numbers below 1 in float32, each rounded once."""


def own_shares(cumulative_N: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return each node's own share of all influence, [N]; NaN where the file has no number.

    A share is exact up to the rounding of the file's float32 numbers, ROUND_OFF, where no node was pruned between the
    node and the one before it. Elsewhere it is an upper bound. The order of the nodes is that of the file.
    """
    shares_N = np.full(len(cumulative_N), np.nan)
    order = np.argsort(cumulative_N, kind="stable")
    order = order[: np.count_nonzero(~np.isnan(cumulative_N))]
    steps = np.diff(cumulative_N[order], prepend=0.0)
    # Without the allowance, a difference that rounding made too small would take all later shares down with it.
    shares_N[order] = np.minimum(steps, np.minimum.accumulate(steps + ROUND_OFF)) if len(steps) else steps
    return shares_N.astype(np.float32)
