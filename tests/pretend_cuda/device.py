"""Pretend CUDA devices: tensors that claim to be on a GPU, hold real numbers on the CPU, and obey CUDA's rules.

A machine without a GPU can thus test what a GPU would reject, and count what it would be slow at. Inside `pretending`:

- Every tensor that is created on or moved to "cuda" is a `PretendTensor`. Its numbers are those of the CPU.
- An operation on tensors of different devices raises `MixedDevices`, unless CUDA permits it: CPU tensors may index, and
  those without dimensions may take part in element-wise operations.
- Everything that would make the host wait for the GPU is counted with its line of code: values read by Python, copies
  from or to pageable memory, and operations whose result's size depends on values.
- Every operation that would launch kernels is counted with its line of code, and so are floating-point operations of
  matrix products and bytes copied to the host.

What it cannot show: whether CUDA has a kernel for a dtype, CUDA's rounding, memory, and time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from .counts import Counts

CPU = torch.device("cpu")
_COPIES = {"copy_", "_to_copy"}
_WAITING = {"nonzero", "_local_scalar_dense", "masked_select", "bincount", "equal", "_unique2", "unique_consecutive"}
"""Operations whose result, or its size, the host has to read."""
_PLAIN = {"_local_scalar_dense", "equal", "is_pinned"}
"""Operations whose result is no tensor of the device."""
_NO_SCALARS_FROM_CPU = {
    *("mm", "bmm", "addmm", "baddbmm", "mv", "dot", "cat", "stack", "index_select", "gather", "scatter", "take"),
    *("embedding", "bincount", "index_add_", "_softmax", "searchsorted"),
}
"""Operations that reject a zero-dimensional tensor of the CPU beside tensors of a GPU; element-wise ones accept it."""


class MixedDevices(RuntimeError):
    """Tensors on different devices took part in one operation, and CUDA does not permit that."""


class PretendTensor(torch.Tensor):
    """A tensor that claims to be on a CUDA device. Its numbers are in `on_cpu`, a tensor on the CPU."""

    on_cpu: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, real: Tensor, device: torch.device) -> PretendTensor:
        tensor: PretendTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            real.size(),
            strides=real.stride(),
            storage_offset=real.storage_offset(),
            dtype=real.dtype,
            layout=real.layout,
            device=device,
        )
        tensor.on_cpu = real
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert PRETENDED, f"a tensor of a pretended device is used outside `pretending`: {func}"
        return PRETENDED[-1].run(func, args, kwargs or {})

    # These methods of PyTorch's ask for CUDA's device guard, which a build for CPUs lacks.
    def __getitem__(self, index: Any) -> Any:
        view, indices = _split(self, index)
        return torch.ops.aten.index.Tensor(view, indices) if indices else view

    def __setitem__(self, index: Any, value: Any) -> None:
        view, indices = _split(self, index)
        value = value if isinstance(value, Tensor) else torch.tensor(value, dtype=self.dtype)
        if indices:
            torch.ops.aten.index_put_.default(view, indices, value.to(self.dtype))
        elif value.ndim == 0 and value.device == CPU:
            view.fill_(value)
        else:
            view.copy_(value)

    def copy_(self, source: Tensor, non_blocking: bool = False) -> PretendTensor:  # type: ignore[override]
        """Copy the numbers of another tensor into this one."""
        PRETENDED[-1].run(torch.ops.aten.copy_.default, (self, source, non_blocking), {})
        return self

    def contiguous(self, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
        """Return this tensor, or a copy whose numbers follow one another in memory."""
        if self.is_contiguous(memory_format=memory_format):
            return self
        return torch.ops.aten.clone.default(self, memory_format=memory_format)  # type: ignore[no-any-return]

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        """Return the places of the numbers that are not zero; the host waits for their number."""
        places = torch.ops.aten.nonzero.default(self)
        return places.unbind(1) if as_tuple else places

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __index__(self) -> int:
        return int(self.item())

    def __invert__(self) -> Tensor:
        return torch.bitwise_not(self)

    def tolist(self) -> Any:
        """Return the numbers; the host waits."""
        PRETENDED[-1].counts.wait("tolist", self.nbytes)
        return self.on_cpu.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Return a copy of the numbers; the host waits. Raises TypeError without `force`, as CUDA does."""
        if not force:
            raise TypeError("can't convert cuda tensor to numpy; use force=True")
        PRETENDED[-1].counts.wait("numpy", self.nbytes)
        return self.on_cpu.detach().numpy().copy()

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"<pretended on {self.device}: {tuple(self.shape)}, {self.dtype}>"


def _split(tensor: Tensor, index: Any) -> tuple[Tensor, list[Tensor | None]]:
    """Return the view that the integers, slices and Nones of an index select, and the tensors that index this view."""
    items = list(index) if isinstance(index, tuple) else [index]
    items = [torch.tensor(item) if isinstance(item, list) else item for item in items]
    used = sum(_dimensions(item) for item in items)
    if not any(item is Ellipsis for item in items):
        items.append(Ellipsis)
    view, indices, dim = tensor, list[Tensor | None](), 0
    for item in items:
        if item is Ellipsis:
            dim += tensor.ndim - used
        elif item is None:
            view, dim = view.unsqueeze(dim), dim + 1
        elif isinstance(item, slice):
            if item != slice(None):
                view = torch.ops.aten.slice.Tensor(view, dim, item.start, item.stop, item.step or 1)
            dim += 1
        elif isinstance(item, Tensor) and (item.ndim or item.dtype == torch.bool):
            indices += [None] * (dim - len(indices)) + [item]
            dim += _dimensions(item)
        else:
            view = view.select(dim, int(item))  # a tensor of no dimensions is read by the host, as PyTorch does
    return view, indices


def _dimensions(item: Any) -> int:
    """Return how many dimensions of the indexed tensor an item of an index uses."""
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if isinstance(item, Tensor) and item.dtype == torch.bool else 1


class PretendCuda(TorchDispatchMode):
    """Runs every operation on the CPU, applies CUDA's rules to it, and counts."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts
        self._pinned: dict[int, Tensor] = {}
        """Pinned tensors by the address of their memory, which they keep, so that no other tensor gets it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(func, args, kwargs or {})

    def run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Run one operation of PyTorch. Raises MixedDevices."""
        name = func._schema.name.split("::")[-1]
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        wanted = None if kwargs.get("device") is None else _numbered(kwargs["device"])
        on_gpu = [t.device for t in tensors if isinstance(t, PretendTensor)]
        if not on_gpu and (wanted is None or wanted == CPU):
            if kwargs.get("pin_memory"):
                return self.pin(func(*args, **{**kwargs, "pin_memory": False}))
            return func(*args, **kwargs)
        if name in _COPIES:
            target = self._copy(name, tensors, wanted, args, kwargs)
        else:
            self._check(name, tensors, args)
            target = wanted or on_gpu[0]
            if name in _WAITING or (name == "repeat_interleave" and kwargs.get("output_size") is None):
                self.counts.wait(name, tensors[0].itemsize if name == "_local_scalar_dense" else 0)
        options = {**kwargs, "device": CPU} if wanted is not None else dict(kwargs)
        if options.get("pin_memory"):
            options["pin_memory"] = False
        real_args, real_options = tree_map(_real, args), tree_map(_real, options)
        result = _computed(func, name, real_args, real_options)
        if name not in _COPIES or target.type == "cuda":
            self.counts.operation(func, name, tree_leaves((real_args, real_options)), tree_leaves(result))
        if name in _PLAIN or target == CPU:
            return result
        written = _written(func, args, kwargs)
        return tree_map(lambda r: _claimed(r, target, tensors), result) if written is None else written

    def pin(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the CPU whose memory counts as pinned from now on, and so do its views."""
        self._pinned[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    def _copy(
        self, name: str, tensors: Sequence[Tensor], wanted: torch.device | None, args: Any, kwargs: Any
    ) -> torch.device:
        """Count a copy, and return the device of its result."""
        source, target = tensors[0], wanted or tensors[0].device
        asynchronous = kwargs.get("non_blocking", False)
        if name == "copy_":
            source, target = tensors[1] if len(tensors) > 1 else tensors[0], tensors[0].device
            asynchronous = asynchronous or (len(args) > 2 and args[2])
        if source.device == CPU and target.type == "cuda":
            if not (asynchronous and source.untyped_storage().data_ptr() in self._pinned):
                self.counts.wait("copy from pageable memory")
        elif source.device.type == "cuda" and target == CPU:
            self.counts.wait("copy to the host", source.nbytes)
        return target

    def _check(self, name: str, tensors: Sequence[Tensor], args: Any) -> None:
        """Raise MixedDevices for tensors that may not take part in one operation, and count waits of indices."""
        free = set[int]()
        if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            indices = [t for t in tree_leaves(args[1]) if isinstance(t, Tensor)]
            if isinstance(args[0], PretendTensor):
                for index in indices:
                    if index.dtype in (torch.bool, torch.uint8):
                        self.counts.wait("boolean index")
                    if index.device == CPU:
                        self.counts.wait("index on the CPU")
                        free.add(id(index))
            if name != "index" and args[2].device == CPU and args[2].ndim == 0:
                self.counts.wait("scalar written at an index")
        devices = {
            t.device
            for t in tensors
            if id(t) not in free and not (t.device == CPU and t.ndim == 0 and name not in _NO_SCALARS_FROM_CPU)
        }
        if len(devices) > 1:
            found = ", ".join(f"{tuple(t.shape)} on {t.device}" for t in tensors)
            raise MixedDevices(f"{name} of {found}")


PRETENDED: list[PretendCuda] = []
"""The modes that are active, the innermost last."""


@contextmanager
def pretending(num_devices: int = 2, free_bytes: int = 70 * 2**30) -> Iterator[Counts]:
    """Pretend that this machine has CUDA devices, and yield what happens on them.

    `free_bytes` is the memory that each device says it has left.
    """
    properties = SimpleNamespace(total_memory=80 * 2**30, name="pretended", major=9, minor=0, multi_processor_count=132)
    cuda: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: num_devices,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "synchronize": lambda device=None: None,
        "empty_cache": lambda: None,
        "mem_get_info": lambda device=None: (free_bytes, 80 * 2**30),
        "get_device_properties": lambda device=None: properties,
        "get_device_name": lambda device=None: properties.name,
        "current_stream": lambda device=None: None,
        "Event": _Event,
        "get_device_capability": lambda device=None: (9, 0),
        **{name: lambda device=None: 0 for name in _MEMORY},
    }
    mode = PretendCuda(Counts())
    with ExitStack() as stack:
        for name, replacement in cuda.items():
            stack.enter_context(patch.object(torch.cuda, name, replacement))
        stack.enter_context(patch.object(torch.Tensor, "pin_memory", _pinned))
        torch._C._set_only_lift_cpu_tensors(True)  # type: ignore[attr-defined]
        stack.callback(torch._C._set_only_lift_cpu_tensors, False)  # type: ignore[attr-defined]
        overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwritten)
        stack.enter_context(_Numbering())
        stack.enter_context(mode)
        PRETENDED.append(mode)
        stack.callback(PRETENDED.pop)
        yield mode.counts


_MEMORY = ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved")


def _numbered(device: torch.device | str | int) -> torch.device:
    """Return the device with its number, which is 0 for "cuda"."""
    found = torch.device(device)
    return torch.device("cuda", found.index or 0) if found.type == "cuda" else found


class _Numbering(TorchFunctionMode):
    """Replaces "cuda" by "cuda:0" in every call, which PyTorch otherwise asks CUDA for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("device") is not None:
            kwargs["device"] = _numbered(kwargs["device"])
        if func is torch.Tensor.to and isinstance(args[1] if len(args) > 1 else None, torch.device | str):
            args = (args[0], _numbered(args[1]), *args[2:])
        return func(*args, **kwargs)


def _pinned(tensor: Tensor) -> Tensor:
    return PRETENDED[-1].pin(tensor.clone())


class _Event:
    """An event of a stream whose work is always done."""

    def record(self, stream: Any = None) -> None:
        pass

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        PRETENDED[-1].counts.wait("event")


def _real(value: Any) -> Any:
    return value.on_cpu if isinstance(value, PretendTensor) else value


def _computed(func: Any, name: str, args: Any, options: Any) -> Any:
    """Compute an operation on the CPU, also where only CUDA has it for the dtype."""
    if name == "histc" and not args[0].is_floating_point():
        return func(args[0].float(), *args[1:], **options).to(args[0].dtype)
    return func(*args, **options)


def _claimed(value: Any, device: torch.device, tensors: Sequence[Tensor]) -> Any:
    """Return a result on its device; a result that is one of the operands is that very tensor."""
    if not isinstance(value, Tensor) or isinstance(value, PretendTensor):
        return value
    same = [t for t in tensors if isinstance(t, PretendTensor) and t.on_cpu is value]
    return same[0] if same else PretendTensor(value, device)


def _written(func: Any, args: Any, kwargs: Any) -> Tensor | None:
    """Return the operand that an operation writes to and returns, or None if it returns something new."""
    returned = func._schema.returns
    if len(returned) != 1 or returned[0].alias_info is None or not returned[0].alias_info.is_write:
        return None
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            written: Tensor | None = args[place] if place < len(args) else kwargs.get(argument.name)
            return written
    return None
