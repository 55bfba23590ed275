"""encode: replies of the API as bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..documents.json_text import to_json_types
from .endpoint import dtype_name

ALIGNMENT = 8


def json_bytes(value: Any) -> bytes:
    """Return JSON in ASCII, with null for numbers that JSON does not have and without `<`, `>` and `&`.

    Lone surrogates of hostile text become escapes, which every browser reads.
    """
    text = json.dumps(to_json_types(value), allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("ascii")


def arrays_bytes(values: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the bytes that `Arrays` describes."""
    places, chunks, offset = {}, [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        places[name] = {"dtype": dtype_name(array), "offset": offset, "length": array.size}
        padding = -len(data) % ALIGNMENT
        chunks += [data, bytes(padding)]
        offset += len(data) + padding
    header = json_bytes({"values": values, "arrays": places})
    header += b" " * (-(4 + len(header)) % ALIGNMENT)
    return b"".join((struct.pack("<I", len(header)), header, *chunks))
