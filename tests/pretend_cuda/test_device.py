"""Do pretended devices obey CUDA's rules, and is everything counted that a GPU would be slow at?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from .device import MixedDevices, PretendTensor, pretending

A, B = "cuda:0", "cuda:1"


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x.to(A) + x.to(B),
        lambda x: x.to(A) + x,
        lambda x: x @ x.to(A).mT,
        lambda x: torch.cat([x.to(A), x.to(B)]),
        lambda x: x[torch.tensor([0], device=A)],
        lambda x: x.to(A)[torch.tensor([0], device=B)],
        lambda x: x.to(A).copy_(x.to(B)).add_(x.to(B)),
    ],
)
def test_tensors_of_different_devices_do_not_mix(operation: Callable[[Tensor], Any]) -> None:
    with pretending(), pytest.raises(MixedDevices):
        operation(torch.ones(3, 3))


def test_what_cuda_permits_is_permitted() -> None:
    with pretending():
        x = torch.ones(3, 3).to("cuda")
        assert (x + torch.tensor(2.0))[torch.tensor([0, 2])].tolist() == [[3.0] * 3] * 2
        assert x.to(B).device == torch.device(B)
        assert x.to(B).copy_(x).device == torch.device(B)
        assert torch.zeros(2, device="cuda").device == torch.device(A)
        with pytest.raises(TypeError, match="can't convert cuda"):
            x.numpy()


WAITING: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda x: x[0, 0].item(),
    "float": lambda x: float(x.sum()),
    "a condition": lambda x: bool((x == x).all()),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(force=True),
    "to the host": lambda x: x.cpu(),
    "from pageable memory": lambda x: torch.ones(3).to(x.device),
    "nonzero": lambda x: x.nonzero(),
    "a mask as index": lambda x: x[x > 0],
    "an index on the CPU": lambda x: x[torch.tensor([0])],
    "bincount": lambda x: x[0].long().bincount(minlength=4),
    "repeat_interleave": lambda x: torch.repeat_interleave(x[0].long()),
    "a scalar at an index": lambda x: x.__setitem__(torch.arange(2, device=x.device), 1.0),
}
NOT_WAITING: dict[str, Callable[[Tensor], Any]] = {
    "a product": lambda x: x @ x.mT,
    "a view": lambda x: x[1:, None, ..., 0],
    "a scalar in a slice": lambda x: x.__setitem__(slice(1, 2), 1.0),
    "pinned memory": lambda x: torch.ones(3).pin_memory().to(x.device, non_blocking=True),
    "another GPU": lambda x: x.to(B),
    "repeat_interleave of known size": lambda x: torch.repeat_interleave(x[0].long(), output_size=3),
    "filling at an index": lambda x: x.index_fill_(0, x[0].long(), 2.0),
}


@pytest.mark.parametrize("operation", [*WAITING, *NOT_WAITING])
def test_waits_are_counted(operation: str) -> None:
    with pretending() as counts:
        x = torch.ones(3, 3).to("cuda")
        counts.reset()
        (WAITING | NOT_WAITING)[operation](x)
        assert bool(counts.waits) == (operation in WAITING), counts.waits


def test_launches_operations_and_bytes_are_counted() -> None:
    with pretending() as counts:
        a, b = torch.ones(3, 5, device="cuda"), torch.ones(5, 7, device="cuda")
        counts.reset()
        product = (a @ b)[1:].mT
        assert (counts.launches.total(), counts.flops, counts.to_host_bytes) == (1, 2 * 3 * 5 * 7, 0)
        product.numpy(force=True)
        assert counts.to_host_bytes == 2 * 7 * 4


@pytest.mark.parametrize(
    "index",
    [
        1,
        (-1, 2),
        slice(1, None, 2),
        (slice(None), 0),
        (None, 1),
        (..., None, 1),
        (slice(None), slice(-2, None), None),
        ([2, 0], slice(1, 3)),
        (slice(None), [0, 0], 1),
        (torch.tensor([[0], [1]]), torch.tensor([0, 2])),
        (1, ..., torch.tensor([0, 2])),
        torch.tensor(1),
    ],
)
def test_indexing_is_that_of_pytorch(index: Any) -> None:
    expected = torch.arange(48.0).view(3, 4, 4)
    with pretending():
        x = expected.to("cuda")
        found = x[index]
        assert isinstance(found, PretendTensor)
        assert found.tolist() == expected[index].tolist()
        for value in (7.0, torch.tensor(8.0), found * 2):
            x[index] = value
            expected[index] = value.cpu() if isinstance(value, Tensor) else value
            assert x.tolist() == expected.tolist()
