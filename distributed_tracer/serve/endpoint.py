"""Endpoint: one address of the API with its documented parameters, and the kinds of reply that it can give.

Handlers are ordinary functions, which run in threads. The parameters of a request are checked here, before the handler
is called, by what the endpoint declares; the OpenAPI document is made of the same declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..names import unknown
from ..text import short

Kind = Literal["string", "integer", "number", "boolean", "strings"]
_WORDS = {"true": True, "1": True, "false": False, "0": False}
_LONGEST = 10_000
_MOST_VALUES = 100
_LARGEST = 2**53


@dataclass(frozen=True)
class Param:
    """A parameter of an address, such as `prompt` in `graph?prompt=dallas`."""

    name: str
    help: str
    kind: Kind = "string"
    required: bool = False
    default: Any = None
    least: float | None = None
    most: float | None = None
    choices: Sequence[str] = ()

    def value(self, given: Sequence[str]) -> Any:
        """Return the value of the texts given for this parameter. Raises ConfigError, which names the parameter."""
        if not given:
            if self.required:
                raise ConfigError(f"the parameter {self.name} is missing: {self.help}")
            return [] if self.kind == "strings" and self.default is None else self.default
        if len(given) > (_MOST_VALUES if self.kind == "strings" else 1):
            raise ConfigError(f"the parameter {self.name} is given {len(given):,} times")
        if any(len(text) > _LONGEST for text in given):
            raise ConfigError(f"the parameter {self.name} is longer than {_LONGEST:,} characters")
        if self.kind == "strings":
            return list(given)
        return self._one(given[0])

    def _one(self, text: str) -> Any:
        if self.kind == "string":
            if self.choices and text not in self.choices:
                raise ConfigError(unknown(f"value of {self.name}", text, self.choices))
            return text
        if self.kind == "boolean":
            if text.lower() not in _WORDS:
                raise ConfigError(f"{self.name} is true or false, not {short(text)}")
            return _WORDS[text.lower()]
        try:
            number: float = int(text) if self.kind == "integer" else float(text)
        except ValueError:
            raise ConfigError(f"{self.name} is a number, not {short(text)}") from None
        low, high = (-_LARGEST if self.least is None else self.least), (_LARGEST if self.most is None else self.most)
        if not low <= number <= high:  # also for NaN
            raise ConfigError(f"{self.name} is a number from {low:g} to {high:g}, not {short(text)}")
        return number


@dataclass(frozen=True)
class Json:
    """A reply of plain values. NaN and infinities become null: the page says "unknown"."""

    value: Any
    status: int = 200
    etag: str | None = None


@dataclass(frozen=True)
class Arrays:
    """A reply of plain values and arrays in binary form, which `static/arrays.js` decodes.

    The bytes are: the number of bytes of the header (uint32, little-endian), the header (JSON in ASCII, padded with
    spaces), and the arrays, little-endian, each at a multiple of 8 bytes. The header has the plain values under
    `values`, and under `arrays`, by name, `dtype` (u1, i2, i4, f4, f8), `offset` in bytes from the end of the header,
    and `length` in elements.
    """

    values: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]
    etag: str | None = None


@dataclass(frozen=True)
class Encoded:
    """A reply in the form of `Arrays` that the handler has encoded, so that its bytes can be kept."""

    content: bytes
    etag: str | None = None


@dataclass(frozen=True)
class File:
    """A reply that a browser saves as a file, or shows where `inline` is set."""

    content: bytes
    media_type: str
    name: str = ""
    inline: bool = False


@dataclass(frozen=True)
class Text:
    """A reply of plain text."""

    text: str


Reply = Json | Arrays | Encoded | File | Text
Handler = Callable[..., Reply]


@dataclass(frozen=True)
class Endpoint:
    """One address of the API.

    The handler takes the ServedStore and the values of the parameters by name, as a mapping; that of an endpoint with a
    body takes the body too, a JSON value of which only the depth and size are checked.
    """

    path: str
    """Path below `/api/v1`, such as `/graph`. Braces hold path parameters, as in `/prompts/{prompt}/summary`."""
    summary: str
    handler: Handler
    params: Sequence[Param] = ()
    method: Literal["GET", "POST"] = "GET"
    body: Mapping[str, Any] | None = None
    """JSON schema of the body, for the document; None if there is no body."""
    writes: bool = False
    """Whether the store is changed; refused by a server that is read-only."""
    returns: str = "application/json"
    slow: bool = False
    """Whether a request may take seconds or much memory: only a few of these run at a time."""
    alone: bool = False
    """Whether a request reads whole tables or writes files, for minutes: one of these runs at a time, beside others."""
    tags: Sequence[str] = field(default_factory=tuple)

    def arguments(self, query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Return the checked parameters. Raises ConfigError for wrong, missing and unknown ones."""
        known = {param.name for param in self.params}
        for name in query:
            if name not in known:
                raise ConfigError(unknown(f"parameter of {self.path}", name, sorted(known)))
        return {param.name: param.value(query.get(param.name, ())) for param in self.params}


_DTYPES = {"u1": np.uint8, "i2": np.int16, "i4": np.int32, "f4": np.float32, "f8": np.float64}


def dtype_name(values: npt.NDArray[Any]) -> str:
    """Return the short name of an array's dtype. Raises TypeError for one that pages cannot read."""
    name = values.dtype.kind + str(values.dtype.itemsize)
    if name not in _DTYPES:
        raise TypeError(f"pages have no arrays of {values.dtype}")
    return name


def endpoints_by_path(groups: Iterable[Sequence[Endpoint]]) -> dict[tuple[str, str], Endpoint]:
    """Return all endpoints by method and path. Raises ValueError for one that is declared twice."""
    found: dict[tuple[str, str], Endpoint] = {}
    for endpoint in (one for group in groups for one in group):
        key = (endpoint.method, endpoint.path)
        if key in found:
            raise ValueError(f"{key} is declared twice")
        found[key] = endpoint
    return found
