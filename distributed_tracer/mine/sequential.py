"""sums_by: sums of groups in a fixed order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def sums_by(
    group: npt.NDArray[np.integer], values: npt.NDArray[np.float64], num_groups: int
) -> npt.NDArray[np.float64]:
    """Return the sum of the values of each group, one value after another in their order."""
    sums: Any = np.bincount(group, weights=values, minlength=num_groups)
    found: npt.NDArray[np.float64] = sums
    return found
