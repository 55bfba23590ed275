"""Threads: matrix products whose bits do not depend on the number of threads of torch.

On a CPU, torch computes float32 and float64 products with Intel's MKL. With `MKL_CBWR=AUTO,STRICT`, MKL guarantees one
order of summation for any number of threads on Intel's processors. On AMD's processors it uses another kernel for some
small products if several threads are available: for results of two or three rows, and for results of up to about 33
rows and 33 columns (float32, MKL 2024.2, Zen 4). One thread computes these products, which takes microseconds. In
float64, large products depend on the number of threads there as well; this is left as it is.
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
"""Largest `rows * width**2` of a layer that one thread computes as a whole. Such a layer has 24 times as many
operations and takes one thread half a millisecond; intercepting its calls takes as long."""
_OF_TWO = {"linear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm"}
_OF_THREE = {"addmm", "addmm_", "baddbmm"}
_OF_MANY = {"einsum", "grouped_mm", "_grouped_mm"}
"""Functions whose single products cannot be seen from outside."""
_PRODUCTS = _OF_TWO | _OF_THREE | _OF_MANY


@contextmanager
def one_thread() -> Iterator[None]:
    """Let one thread compute the products of this Python thread inside the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def few(rows: int, columns: int) -> bool:
    """Whether a product is so small, by the size of its result, that one thread computes it."""
    return min(rows, columns) in _THIN or max(rows, columns) <= _SMALL


def multiply(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """Return `torch.matmul(a, b)`, the same bit for bit for any number of threads: one thread computes small
    products."""
    if _depends(a) and few(*_sizes(a, b)):
        with one_thread():
            return _product(a, b, out)
    return _product(a, b, out)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return a @ b in float64. On a CPU its bits would depend on the number of threads, so one thread computes it."""
    if a.device.type != "cpu":
        return a @ b
    with one_thread():
        return a @ b


def _product(a: Tensor, b: Tensor, out: Tensor | None) -> Tensor:
    """Return `torch.matmul(a, b)` by way of the function that fits the shapes.

    `matmul` takes host time to find this function, and a GPU waits for the host.
    """
    if a.dim() == b.dim() == 2:
        return torch.mm(a, b, out=out)
    if a.dim() == b.dim() == 3 and len(a) == len(b):
        return torch.bmm(a, b, out=out)
    return torch.matmul(a, b, out=out)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return `torch.nn.functional.linear`, the same bit for bit for any number of threads."""
    if _depends(x) and few(*_sizes(x, weight.mT)):
        with one_thread():
            return torch.nn.functional.linear(x, weight, bias)
    return torch.nn.functional.linear(x, weight, bias)


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """Return `torch.einsum`. One thread computes it on a CPU, because its single products cannot be seen from
    outside."""
    if _depends(operands[0]):
        with one_thread():
            return torch.einsum(equation, *operands)
    return torch.einsum(equation, *operands)


def add_product_(sum_XD: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a @ b to `sum_XD` in place, the same bit for bit for any number of threads.

    Axes: X (row of a batch, position) in one axis, D model width.
    """
    if _depends(a) and few(*_sizes(a, b)):
        with one_thread():
            sum_XD.addmm_(a, b)
    else:
        sum_XD.addmm_(a, b)


def add_at_(sum_: Tensor, place: tuple[Tensor, ...], values: Tensor) -> None:
    """Add values to the entries `place` of `sum_` in place; an entry may occur several times.

    On a CPU, several threads would add in an order that differs from call to call. CUDA sorts the places first.
    """
    with one_thread():
        sum_.index_put_(place, values, accumulate=True)


@contextmanager
def few_on_one_thread(device: torch.device, rows: int, width: int) -> Iterator[None]:
    """Let one thread compute all small products inside the block, also those of a model library's modules.

    `rows` and `width` are those of the activations. Every call of a torch function is intercepted in Python, which
    takes some 5 us each; if the products of a layer take less than that, one thread computes the whole layer. On a GPU
    or with one thread, this does nothing.
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
        if name in _PRODUCTS and _is_few(name, [*args, *kwargs.values()]):  # most torch functions are not products
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
    """Whether the bits of a product with `a` may depend on the number of threads.

    oneDNN multiplies bfloat16 and float16; its sums do not depend on threads.
    """
    return a.device.type == "cpu" and a.dtype in (torch.float32, torch.float64) and torch.get_num_threads() > 1


def _sizes(a: Tensor, b: Tensor) -> tuple[int, int]:
    """Return the numbers of rows and columns of a product.

    If a batch is multiplied by one matrix, the rows of the whole batch count together, as torch computes them.
    """
    if a.dim() < 2 or b.dim() < 2:
        return 1, max(a.shape[:-1].numel(), b.shape[-1] if b.dim() > 1 else 1)
    if b.dim() == 2:
        return a.shape[:-1].numel(), b.shape[1]
    if a.dim() > 2 and max(a.shape[:-2].numel(), b.shape[:-2].numel()) > 1:
        return 1, 1 + _SMALL  # a batch of products: each is computed by one thread
    return a.shape[-2], b.shape[-1]
