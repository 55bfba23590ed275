"""Read tensors in .safetensors and .npz files: shapes from headers, ranges of rows, and rows on demand.

Nothing is ever unpickled.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any
from warnings import catch_warnings, simplefilter

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..documents.safetensors_header import safetensors_header
from ..documents.text import shortened
from ..errors import TranscoderError
from ..text import printable

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_MALFORMED = (
    *(SafetensorError, zipfile.BadZipFile, zlib.error, OSError, ValueError, TypeError, LookupError, AttributeError),
    *(EOFError, ArithmeticError, NotImplementedError, RecursionError, SyntaxError, TokenError, struct.error),
)
"""The errors that libraries raise for malformed files. MemoryError is not among them, because sizes are checked
before."""
_LONGEST = 500
_NPZ_DTYPES = {"<f8": "F64", "<f4": "F32", "<f2": "F16"}


@dataclass(frozen=True)
class TensorRef:
    """Where one tensor is. If `transposed`, its two axes are stored in the opposite order."""

    file: Path
    key: str
    transposed: bool = False

    def __str__(self) -> str:
        return f"{self.key}{'.T' * self.transposed} in {self.file}"


@dataclass(frozen=True)
class TensorInfo:
    """The shape of a tensor as stored, and its dtype by its safetensors name (F32, BF16, I64, ...) if it has one."""

    shape: tuple[int, ...]
    dtype: str


def read_headers(file: Path) -> dict[str, TensorInfo]:
    """Return the shape and dtype of every tensor in a file, from its headers.

    Raises TranscoderError for a file that is missing or malformed.
    """
    with _reading(file):
        if file.suffix == ".npz":
            with zipfile.ZipFile(file) as archive:
                return {name: _npy_header(archive, name)[0] for name in _npy_names(archive)}
        with file.open("rb") as opened:
            safetensors_header(opened, TranscoderError)  # checks the size of the header before the library parses it
        with safe_open(file, framework="pt") as tensors:
            slices = {key: tensors.get_slice(key) for key in tensors.keys()}  # noqa: SIM118 (not a mapping)
            return {key: TensorInfo(tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}


def read(place: TensorRef, rows: range | None = None) -> Tensor:
    """Return a tensor, or some rows of it, on the CPU in the dtype of the file.

    Of a .safetensors file only the rows requested are read. The result may be a view of the mapped file, so copy what
    you keep. Raises TranscoderError for a file that is missing or malformed.
    """
    part = slice(None) if rows is None else slice(rows.start, rows.stop)
    with _reading(place.file):
        if place.file.suffix == ".npz":
            with zipfile.ZipFile(place.file) as archive:
                _npy_names(archive)
                _npy_header(archive, place.key)  # compares the sizes of array and member before any memory is used
            with np.load(place.file, allow_pickle=False) as arrays:
                stored = torch.from_numpy(arrays[place.key])
            return stored.T[part] if place.transposed else stored[part]
        with safe_open(place.file, framework="pt") as tensors:
            if rows is None:
                tensor: Tensor = tensors.get_tensor(place.key)
            else:
                stored = tensors.get_slice(place.key)
                tensor = stored[:, part] if place.transposed else stored[part]
        return tensor.T if place.transposed else tensor


def map_rows(place: TensorRef) -> Tensor:
    """Return a read-only view of a tensor in its file, for reading scattered rows: only the pages that are used are
    read.

    safetensors also maps files, but the kernel then reads ahead: 200 scattered rows (3 MB) of a 983 MB file read
    909 MB. The way it is done here, 2,000 rows (8 MB) read 16 MB. A compressed .npz cannot be mapped and is read as a
    whole.
    """
    assert not place.transposed
    with _reading(place.file):
        header, offset = _npz_offset(place) if place.file.suffix == ".npz" else _safetensors_offset(place)
        if offset is None:
            return read(place)
        with open(place.file, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    mapped.madvise(mmap.MADV_RANDOM)
    with catch_warnings():
        simplefilter("ignore", UserWarning)  # it says that the buffer is read-only; a writable mapping could be refused
        flat = torch.frombuffer(mapped, dtype=DTYPES[header.dtype], count=prod(header.shape), offset=offset)
    return flat.view(header.shape)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except TranscoderError as error:
        if str(file) in str(error):
            raise
        raise TranscoderError(f"{file}: cannot be read ({error}); is the download complete?") from error
    except FileNotFoundError as error:
        raise TranscoderError(f"{file}: no such file") from error
    except _MALFORMED as error:
        reason = str(error) if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {error}"
        reason = printable(reason[:_LONGEST])  # libraries quote the content of files at any length
        raise TranscoderError(f"{file}: cannot be read ({reason}); is the download complete?") from error


def _safetensors_offset(place: TensorRef) -> tuple[TensorInfo, int]:
    """Return the header of a tensor in a .safetensors file and the offset in bytes at which it begins.

    The library checks the header but does not tell the offset.
    """
    header = read_headers(place.file)[place.key]
    with open(place.file, "rb") as file:
        start, tensors = safetensors_header(file, TranscoderError)
    return header, start + tensors[place.key].begin


def _npz_offset(place: TensorRef) -> tuple[TensorInfo, int | None]:
    """Return the header of a tensor in an .npz file and the offset in bytes at which it begins.

    The offset is None for a member that is compressed or in Fortran order.
    """
    with zipfile.ZipFile(place.file) as archive, open(place.file, "rb") as file:
        header, skipped, fortran = _npy_header(archive, place.key)
        info = archive.getinfo(f"{place.key}.npy")
        if fortran or info.compress_type != zipfile.ZIP_STORED:
            return header, None
        file.seek(info.header_offset + 26)  # a zip entry: 30 bytes, the last four the lengths of name and extra field
        lengths = file.read(4)
        name, extra = int.from_bytes(lengths[:2], "little"), int.from_bytes(lengths[2:], "little")
        return header, info.header_offset + 30 + name + extra + skipped


def _npy_header(archive: zipfile.ZipFile, key: str) -> tuple[TensorInfo, int, bool]:
    """Return the header of an array, its length in bytes, and whether the array is in Fortran order.

    Raises ValueError for a member that is packed in a way that numpy does not use, or whose size differs from that of
    its array. A member therefore never unpacks to more than its header says.
    """
    info = archive.getinfo(f"{key}.npy")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        raise ValueError(f"{key} is encrypted, or packed by method {info.compress_type}; numpy writes 0 and 8")
    with archive.open(info) as member:
        shape, fortran, dtype = _read_array_header(member)
        wanted, start = prod(shape) * dtype.itemsize, member.tell()
    if not dtype.hasobject and (min(shape, default=0) < 0 or info.file_size - start != wanted):
        raise ValueError(f"{key} has {info.file_size - start:,} bytes; its shape {list(shape)} needs {wanted:,}")
    return TensorInfo(shape, _NPZ_DTYPES.get(dtype.str, dtype.str)), start, fortran


def _npy_names(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the arrays. Raises ValueError for a member that is not an array or occurs twice."""
    members = archive.namelist()
    if wrong := [name for name in members if not name.endswith(".npy")]:
        raise ValueError(f"{shortened(wrong[0])} is no array: its name does not end in .npy")
    if len(set(members)) < len(members):
        raise ValueError("an array is there twice")
    return [name.removesuffix(".npy") for name in members]


def _read_array_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(member)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(member)
    raise ValueError(f"an array of format version {version}; 1.0 and 2.0 are known")
