"""What the training of the model and of the transcoders share: order of the data and learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR


def shuffled_batches(count: int, size: int, steps: int) -> Iterator[Tensor]:
    """Index batches that pass through all rows in a new order every epoch."""
    order = torch.randperm(count)
    for _ in range(steps):
        if len(order) < size:
            order = torch.cat([order, torch.randperm(count)])
        yield order[:size]
        order = order[size:]


def warm_up_then_cosine(optimizer: torch.optim.Optimizer, steps: int, warmup: int) -> LambdaLR:
    """A learning rate that rises linearly, then falls along a cosine to a hundredth."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))

    return LambdaLR(optimizer, factor)
