"""StringColumn: many strings as the store keeps them, concatenated, with their sizes. Decoded on demand.

Axes: I string.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt


class StringColumn(Sequence[str]):
    """Strings, given as their concatenated UTF-8 bytes and the number of bytes of each.

    A lone surrogate is three bytes.
    """

    def __init__(self, data: bytes, size_I: npt.NDArray[Any]) -> None:
        self._data = data
        self._ends = np.cumsum(size_I, dtype=np.int64)

    def check(self) -> None:
        """Raise ValueError unless the sizes add up to the number of bytes and the bytes are valid text."""
        total = int(self._ends[-1]) if len(self._ends) else 0
        if total != len(self._data):
            raise ValueError(f"texts of {total} bytes, and there are {len(self._data)}")
        if not self._data.isascii():
            self.decoded()

    @classmethod
    def of(cls, texts: Iterable[str]) -> StringColumn:
        """Return a column that holds these strings."""
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        return cls(b"".join(encoded), np.array([len(text) for text in encoded], dtype=np.int32))

    @property
    def columns(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
        """The concatenated bytes (uint8) and the number of bytes of each string (int32)."""
        return np.frombuffer(self._data, dtype=np.uint8), np.diff(self._ends, prepend=0).astype(np.int32)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return self.decoded()[index]
        number = range(len(self))[index]
        start = self._ends[number - 1] if number else 0
        return self._data[start : self._ends[number]].decode("utf-8", "surrogatepass")

    def decoded(self) -> list[str]:
        """Return all strings as a list."""
        ends = self._ends.tolist()
        pairs = zip([0, *ends], ends, strict=False)
        if self._data.isascii():
            text = self._data.decode("ascii")
            return [text[start:end] for start, end in pairs]
        return [self._data[start:end].decode("utf-8", "surrogatepass") for start, end in pairs]
