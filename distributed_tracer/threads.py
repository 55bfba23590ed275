"""Products whose bits do not depend on how many threads torch has.

On a CPU, torch leaves float32 and float64 products to Intel's MKL. Asked for it (`MKL_CBWR=AUTO,STRICT`), MKL promises
one order of adding for any number of threads, on Intel's processors. On AMD's it takes another kernel for some small
products when it may use several threads: for results of two or three rows, and for those of up to about 33 rows and
33 columns (float32, MKL 2024.2, Zen 4). These are computed by one thread: they take microseconds. In float64 large
products depend on threads there as well, which is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_THIN, _SMALL = (2, 3), 64
_LITTLE_WORK = 2**20
"""A layer of 24 times as many operations takes one thread half a millisecond; looking at its calls takes as long."""
_OF_TWO = {"linear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm"}
_OF_THREE = {"addmm", "addmm_", "baddbmm"}
_OF_MANY = {"einsum", "grouped_mm", "_grouped_mm"}
"""Whose single products cannot be seen from outside."""
_PRODUCTS = _OF_TWO | _OF_THREE | _OF_MANY


@contextmanager
def one_thread() -> Iterator[None]:
    """This Python thread's products are computed by one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def few(rows: int, columns: int) -> bool:
    """Whether the result is so small that one thread computes it."""
    return min(rows, columns) in _THIN or max(rows, columns) <= _SMALL


def multiply(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """`torch.matmul`, the same bit for bit for any number of threads: small products are left to one."""
    if _depends(a) and few(*_sizes(a, b)):
        with one_thread():
            return _product(a, b, out)
    return _product(a, b, out)


def product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b in float64. On a CPU its bits would depend on the number of threads, so one thread makes it."""
    if a.device.type != "cpu":
        return a @ b
    with one_thread():
        return a @ b


def _product(a: Tensor, b: Tensor, out: Tensor | None) -> Tensor:
    """As `matmul`, which takes host time to find out what is plain from the shapes: a GPU waits for the host."""
    if a.dim() == b.dim() == 2:
        return torch.mm(a, b, out=out)
    if a.dim() == b.dim() == 3 and len(a) == len(b):
        return torch.bmm(a, b, out=out)
    return torch.matmul(a, b, out=out)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear`, likewise."""
    if _depends(x) and few(*_sizes(x, weight.mT)):
        with one_thread():
            return torch.nn.functional.linear(x, weight, bias)
    return torch.nn.functional.linear(x, weight, bias)


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """`torch.einsum`, whose single products cannot be seen from outside: on a CPU by one thread."""
    if _depends(operands[0]):
        with one_thread():
            return torch.einsum(equation, *operands)
    return torch.einsum(equation, *operands)


def add_product_(sum_XD: Tensor, a: Tensor, b: Tensor) -> None:
    """`sum_XD.addmm_(a, b)`, likewise."""
    if _depends(a) and few(*_sizes(a, b)):
        with one_thread():
            sum_XD.addmm_(a, b)
    else:
        sum_XD.addmm_(a, b)


@contextmanager
def few_on_one_thread(device: torch.device, rows: int, width: int) -> Iterator[None]:
    """The same for all products inside the block, those of a model library's modules too.

    `rows` and `width` are those of the activations. Python looks at every call of a function of torch, which takes some
    5 us each: a layer whose products take less than that is left to one thread as a whole. Nothing on a GPU or with
    one thread.
    """
    if device.type != "cpu" or torch.get_num_threads() == 1:
        yield
        return
    with one_thread() if rows * width**2 <= _LITTLE_WORK else _FewOnOneThread():
        yield


class _FewOnOneThread(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _PRODUCTS and _is_few(name, [*args, *kwargs.values()]):  # most functions are none
            with one_thread():
                return func(*args, **kwargs)
        return func(*args, **kwargs)


def _is_few(name: str, operands: list[Any]) -> bool:
    if name in _OF_MANY:
        return True
    a, b = operands[1:3] if name in _OF_THREE else operands[:2]
    if not (isinstance(a, Tensor) and isinstance(b, Tensor) and _depends(a)):
        return False
    return few(*_sizes(a, b.mT if name == "linear" and b.dim() > 1 else b))


def _depends(a: Tensor) -> bool:
    """bfloat16 and float16 are multiplied by oneDNN, whose sums do not depend on threads."""
    return a.device.type == "cpu" and a.dtype in (torch.float32, torch.float64) and torch.get_num_threads() > 1


def _sizes(a: Tensor, b: Tensor) -> tuple[int, int]:
    """Rows and columns of a product: of all together where a batch is multiplied with one matrix, as torch does it."""
    if a.dim() < 2 or b.dim() < 2:
        return 1, max(a.shape[:-1].numel(), b.shape[-1] if b.dim() > 1 else 1)
    if b.dim() == 2:
        return a.shape[:-1].numel(), b.shape[1]
    if a.dim() > 2 and max(a.shape[:-2].numel(), b.shape[:-2].numel()) > 1:
        return 1, 1 + _SMALL  # a batch of products: each has a thread for itself
    return a.shape[-2], b.shape[-1]
