"""torch_values: the content of a file that `torch.save` wrote, read as data. Nothing in the file is executed.

A file of torch is a ZIP archive of one pickle and one record of raw numbers for each storage. The pickle is a program
for a small machine. This module runs those instructions alone that build plain values, tensors, and objects of classes
on a list of the caller, without the classes themselves. `torch.load` is not used: with `weights_only` it executes no
code, either, but it believes what a file says about the size of a storage, and reads beyond its end.
"""

from __future__ import annotations

import io
import pickletools
import warnings
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..documents.text import shortened
from ..errors import GraphFileError
from .archives import archive_errors

MAX_PICKLE_BYTES = 2 * 2**20
"""Largest pickle that is read. That of a graph has a few kilobytes: it names its tensors, and holds their shapes."""
_MAX_AXES = 8
_REBUILD = ("torch._utils _rebuild_tensor_v2",)
_ORDERED = "collections OrderedDict"
_STORAGES = {
    "torch FloatStorage": "<f4",
    "torch DoubleStorage": "<f8",
    "torch HalfStorage": "<f2",
    "torch BFloat16Storage": "bfloat16",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
    "torch ShortStorage": "<i2",
    "torch CharStorage": "i1",
    "torch ByteStorage": "u1",
    "torch BoolStorage": "bool",
}
"""NumPy's dtype for each class of storage; NumPy has no bfloat16."""
_OPAQUE = frozenset(
    {
        *("torch device", "torch Size", "_codecs encode", "numpy dtype"),
        *("numpy._core.multiarray scalar", "numpy.core.multiarray scalar"),
    }
)
"""Functions that make values of a model's configuration. They are not called: an Instance stands for what they make."""
_PLAIN = frozenset({_ORDERED, *_REBUILD, *_STORAGES, *_OPAQUE})
_DTYPES = "torch "
_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE")
_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


@dataclass(frozen=True)
class Global:
    """The name of a class or function, as `module name`."""

    name: str


@dataclass
class Instance:
    """An object of a class on the caller's list, which is known by its name alone."""

    name: str
    arguments: tuple[Any, ...]
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str


_MARK = object()


def torch_values(path: Path, allowed: Collection[str]) -> Any:
    """Return the value in a file of `torch.save`.

    It consists of dicts, lists, tuples, numbers, texts, NumPy arrays for tensors, and an Instance for each object of a
    class whose name (`module name`) is in `allowed`. bfloat16 becomes float32, without loss. Memory is bounded by a
    small multiple of the file's size. Raises GraphFileError for any other class or function, which it names, and for
    whatever else such a file does not have.
    """
    with archive_errors("a file of torch"), zipfile.ZipFile(path) as archive:
        return _Machine(_Records(archive, path.stat().st_size), allowed).run()


class _Records:
    """The records of the archive, whose sizes are checked before any is read."""

    def __init__(self, archive: zipfile.ZipFile, num_bytes: int) -> None:
        entries = archive.infolist()
        pickles = [entry.filename for entry in entries if entry.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise GraphFileError(f"it is no file of torch: found {len(pickles)} records data.pkl, expected one")
        if compressed := [entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED]:
            raise GraphFileError(f"its record {shortened(compressed[0])} is compressed, which torch never does")
        if (total := sum(entry.file_size for entry in entries)) > num_bytes:
            raise GraphFileError(f"its records would have {total:,} bytes, more than the {num_bytes:,} of the file")
        self._folder = pickles[0].removesuffix("data.pkl")
        self._archive = archive
        self._sizes = {entry.filename: entry.file_size for entry in entries}
        if self._sizes[pickles[0]] > MAX_PICKLE_BYTES:
            raise GraphFileError(
                f"its pickle has {self._sizes[pickles[0]]:,} bytes; at most {MAX_PICKLE_BYTES:,} are read"
            )
        order = self._folder + "byteorder"
        if order in self._sizes and archive.read(order) != b"little":
            raise GraphFileError("its numbers are not little-endian")

    @property
    def pickle(self) -> bytes:
        return self.read("data.pkl")

    def read(self, name: str) -> bytes:
        if self._folder + name not in self._sizes:
            raise GraphFileError(f"it has no record {shortened(name)}")
        return self._archive.read(self._folder + name)


class _Machine:
    """Runs the instructions of one pickle."""

    def __init__(self, records: _Records, allowed: Collection[str]) -> None:
        self._records, self._allowed = records, allowed
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._arrays: dict[_Storage, npt.NDArray[Any]] = {}

    def run(self) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about escapes in texts of Python 2, which are refused below
                for opcode, argument, _ in pickletools.genops(io.BytesIO(self._records.pickle)):
                    if opcode.name == "STOP":
                        return self._stack.pop()
                    self._step(opcode.name, argument)
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, UnicodeError) as error:
            if isinstance(error, GraphFileError):
                raise
            raise GraphFileError(f"its pickle is malformed: {type(error).__name__}: {shortened(str(error))}") from error
        raise GraphFileError("its pickle does not end")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _NUMBERS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            size = int(name[-1])
            items = tuple(stack[-size:])
            if len(items) < size or any(item is _MARK for item in items):
                raise ValueError("stack underflow")
            del stack[-size:]
            stack.append(items)
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise GraphFileError(f"its pickle has the instruction {name}, which no graph needs")

    def _since_mark(self) -> list[Any]:
        stack = self._stack
        place = len(stack) - 1
        while stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise ValueError("no mark")
        items = stack[place + 1 :]
        del stack[place:]
        return items

    def _global(self, argument: str) -> None:
        is_dtype = argument.startswith(_DTYPES) and argument.removeprefix(_DTYPES) in _DTYPE_NAMES
        if argument not in self._allowed and argument not in _PLAIN and not is_dtype:
            module, _, name = argument.partition(" ")
            raise GraphFileError(f"its pickle asks for {shortened(f'{module}.{name}')}, which is no part of a graph")
        self._stack.append(Global(argument))

    def _call(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise ValueError("a call of what is no function")
        if function.name == _ORDERED:
            if arguments:
                raise ValueError("an OrderedDict with arguments")
            self._stack.append({})
        elif function.name in _REBUILD:
            self._stack.append(self._tensor(*arguments))
        elif function.name in _OPAQUE:
            self._stack.append(Instance(function.name, arguments))
        else:
            raise ValueError("a call of what is no function")

    def _new(self, _: Any) -> None:
        arguments, cls = self._stack.pop(), self._stack.pop()
        if not isinstance(cls, Global) or cls.name not in self._allowed or not isinstance(arguments, tuple):
            raise ValueError("a new object of what is no class")
        self._stack.append(Instance(cls.name, arguments))

    def _build(self, _: Any) -> None:
        state, built = self._stack.pop(), self._stack[-1]
        if isinstance(built, Instance) and built.name in _OPAQUE:
            return
        if not isinstance(built, Instance) or not isinstance(state, dict) or not all(isinstance(k, str) for k in state):
            raise ValueError("a state that no object of a graph has")
        built.state = dict(state)

    def _append(self, _: Any) -> None:
        item = self._stack.pop()
        _list_of(self._stack[-1]).append(item)

    def _appends(self, _: Any) -> None:
        items = self._since_mark()
        _list_of(self._stack[-1]).extend(items)

    def _set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        _set(self._stack[-1], key, value)

    def _set_items(self, _: Any) -> None:
        items = self._since_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            _set(self._stack[-1], key, value)

    def _persistent(self, _: Any) -> None:
        kind, cls, key, _place, size = self._stack.pop()
        if kind != "storage" or not isinstance(cls, Global) or cls.name not in _STORAGES or type(key) is not str:
            raise ValueError("a storage of an unknown kind")
        storage = _Storage(key, _STORAGES[cls.name])
        if storage not in self._arrays:
            self._arrays[storage] = _numbers(self._records.read(f"data/{key}"), storage.dtype)
        if type(size) is not int or size != len(self._arrays[storage]):
            found = len(self._arrays[storage])
            raise GraphFileError(
                f"its storage {shortened(key)} should have {shortened(size)} numbers; it has {found:,}"
            )
        self._stack.append(storage)

    def _tensor(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> npt.NDArray[Any]:
        """Return a view of a storage: a tensor that is no larger than its storage, whatever its strides say."""
        if not isinstance(storage, _Storage) or not all(_are_sizes(sizes) for sizes in ((offset,), shape, strides)):
            raise ValueError("a tensor without storage, shape and strides")
        flat = self._arrays[storage]
        if not len(shape) == len(strides) <= _MAX_AXES:
            raise ValueError(f"a tensor with {len(shape)} axes and {len(strides)} strides")
        size = 1
        for length in shape:
            size *= length
        last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
        if size and (last >= len(flat) or size > len(flat)):
            raise GraphFileError(f"it has a tensor of shape {list(shape)} in a storage of {len(flat):,} numbers")
        if not size:
            return np.zeros(shape if max(shape) < 2**40 else 0, dtype=flat.dtype)
        steps = tuple(stride * flat.itemsize for stride in strides)
        return np.lib.stride_tricks.as_strided(flat[offset:], shape, steps, writeable=False)


_DTYPE_NAMES = frozenset(
    {"float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"}
)
_STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "MARK": lambda machine, _: machine._stack.append(_MARK),
    "EMPTY_DICT": lambda machine, _: machine._stack.append({}),
    "EMPTY_LIST": lambda machine, _: machine._stack.append([]),
    "EMPTY_TUPLE": lambda machine, _: machine._stack.append(()),
    "TUPLE": lambda machine, _: machine._stack.append(tuple(machine._since_mark())),
    "GLOBAL": _Machine._global,
    "REDUCE": _Machine._call,
    "NEWOBJ": _Machine._new,
    "BUILD": _Machine._build,
    "APPEND": _Machine._append,
    "APPENDS": _Machine._appends,
    "SETITEM": _Machine._set_item,
    "SETITEMS": _Machine._set_items,
    "BINPERSID": _Machine._persistent,
}
"""Every further instruction that is run."""


def _list_of(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("an item for what is no list")
    return value


def _set(target: Any, key: Any, value: Any) -> None:
    if not isinstance(target, dict) or not isinstance(key, str | int):
        raise ValueError("an entry for what is no dictionary")
    target[key] = value


def _are_sizes(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(size) is int and 0 <= size < 2**48 for size in value)


def _numbers(data: bytes, dtype: str) -> npt.NDArray[Any]:
    """Return the numbers of a storage."""
    if dtype == "bfloat16":  # the upper half of a float32
        widened = np.zeros((len(data) // 2, 2), dtype="<u2")
        widened[:, 1] = np.frombuffer(data[: len(widened) * 2], dtype="<u2")
        return widened.view("<f4")[:, 0]
    if dtype == "bool":
        return np.frombuffer(data, dtype=np.uint8).astype(np.bool_)
    return np.frombuffer(data, dtype=dtype)
