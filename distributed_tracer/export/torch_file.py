"""Files in the format of `torch.save`, written without torch, row by row, with objects of classes that are not here.

Such a file is a ZIP archive with a pickle, in which tensors refer to other members of the archive by number. Here, the
pickle is put together by hand: it names classes and does not need them, and a large tensor is never in memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

_ARCHIVE = "archive"
_ALIGNMENT = 64
"""Tensors begin at multiples of this number of bytes, as torch has it, so that a file can be mapped into memory."""
_STORAGES = {np.dtype("<f4"): b"FloatStorage", np.dtype("<i8"): b"LongStorage"}
_DATE = (1980, 1, 1, 0, 0, 0)  # the same values give the same file


@dataclass(frozen=True)
class Tensor:
    """A tensor that is written block by block."""

    shape: tuple[int, ...]
    dtype: npt.DTypeLike
    blocks: Iterable[npt.NDArray[Any]]
    """Consecutive blocks of rows."""


@dataclass(frozen=True)
class Instance:
    """An object of a class that is known by name only."""

    module: str
    name: str
    args: tuple[Any, ...] = ()
    """What the class is called with, without `__init__`."""
    state: Mapping[str, Any] | None = None
    """The object's attributes, if they are set one by one."""


def write_torch_file(file: BinaryIO, value: Mapping[str, Any]) -> None:
    """Write a value as `torch.save` does.

    The value may contain None, booleans, integers, floats, text, lists, tuples, mappings, arrays and Tensors of float32
    and int64, and Instances. Raises TypeError for anything else.
    """
    pickled = _Pickled()
    pickled.add(value)
    with ZipFile(file, "w", ZIP_STORED) as archive:
        archive.writestr(ZipInfo(f"{_ARCHIVE}/data.pkl", _DATE), b"\x80\x02" + b"".join(pickled.parts) + b".")
        archive.writestr(ZipInfo(f"{_ARCHIVE}/byteorder", _DATE), b"little")
        for number, tensor in enumerate(pickled.tensors):
            info = ZipInfo(f"{_ARCHIVE}/data/{number}", _DATE)
            info.extra = _padding(file.tell(), info.filename)
            with archive.open(info, "w", force_zip64=True) as member:
                for block in tensor.blocks:
                    member.write(np.ascontiguousarray(block, dtype=np.dtype(tensor.dtype)).data)
        archive.writestr(ZipInfo(f"{_ARCHIVE}/version", _DATE), b"3\n")


def _padding(start: int, name: str) -> bytes:
    """Return an extra field, after which the data of a member whose header begins at `start` is aligned."""
    fixed = start + 30 + len(name) + 20 + 4  # header, name, the field of ZIP64, and the head of this field
    return struct.pack("<2sH", b"FB", -fixed % _ALIGNMENT) + b"Z" * (-fixed % _ALIGNMENT)


class _Pickled:
    """Collects the instructions of a pickle, protocol 2, and the tensors that it refers to."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.tensors: list[Tensor] = []

    def add(self, value: Any) -> None:
        """Add the instructions that put a value on the stack of the reader."""
        if value is None:
            self.parts.append(b"N")
        elif isinstance(value, bool):
            self.parts.append(b"\x88" if value else b"\x89")
        elif isinstance(value, int):
            size = value.bit_length() // 8 + 1
            self.parts.append(struct.pack("<cB", b"\x8a", size) + value.to_bytes(size, "little", signed=True))
        elif isinstance(value, float):
            self.parts.append(struct.pack(">cd", b"G", value))
        elif isinstance(value, str):
            text = value.encode("utf-8", "surrogatepass")
            self.parts.append(struct.pack("<cI", b"X", len(text)) + text)
        elif isinstance(value, tuple | list):
            opening, closing = (b"(", b"t") if isinstance(value, tuple) else (b"](", b"e")
            self._add_all(opening, value, closing)
        elif isinstance(value, Mapping):
            self._add_all(b"}(", (part for item in value.items() for part in item), b"u")
        elif isinstance(value, Instance):
            self._add_name(value.module, value.name)
            self.add(value.args)
            self.parts.append(b"\x81")
            if value.state is not None:
                self.add(value.state)
                self.parts.append(b"b")
        elif isinstance(value, np.ndarray):
            self._add_tensor(Tensor(value.shape, value.dtype, (value,)))
        elif isinstance(value, Tensor):
            self._add_tensor(value)
        else:
            raise TypeError(f"no value of {type(value).__name__} can be written to a file of torch")

    def _add_all(self, opening: bytes, values: Iterable[Any], closing: bytes) -> None:
        self.parts.append(opening)
        for value in values:
            self.add(value)
        self.parts.append(closing)

    def _add_name(self, module: str, name: str) -> None:
        self.parts.append(f"c{module}\n{name}\n".encode("ascii"))

    def _add_tensor(self, tensor: Tensor) -> None:
        """Add a call of the function with which torch makes a tensor of a storage."""
        size = int(np.prod(tensor.shape, dtype=np.int64))
        strides = tuple(int(np.prod(tensor.shape[axis + 1 :], dtype=np.int64)) for axis in range(len(tensor.shape)))
        self._add_name("torch._utils", "_rebuild_tensor_v2")
        self.parts.append(b"((")
        self.add("storage")
        self._add_name("torch", _STORAGES[np.dtype(tensor.dtype)].decode("ascii"))
        self.add(str(len(self.tensors)))
        self.add("cpu")
        self.add(size)
        self.parts.append(b"tQ")
        for argument in (0, tensor.shape, strides, False):
            self.add(argument)
        self._add_name("collections", "OrderedDict")
        self.parts.append(b")RtR")
        self.tensors.append(tensor)
