"""Small tables of integers from the host to a device, without waiting for what the device has still to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def on_device(values: Sequence[Any], device: torch.device) -> Tensor:
    """Integers, nested or not, as int64. From pageable memory a copy to a GPU waits for everything before it."""
    table = torch.tensor(values, dtype=torch.long)
    return table.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else table.to(device)
