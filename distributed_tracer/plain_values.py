"""Plain values: arguments of callers as Python values. Numbers of NumPy and torch are converted; all else is refused.

Every public function converts its inputs here. A wrong kind of number is worse than an error: a tensor as the index of
a feature compares equal to nothing, and 1.0 or True as a position may be a mistake.
"""

from __future__ import annotations

import json
import math
import operator
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from .documents.json_text import MAX_DEPTH, is_deep

MAX_ID_CHARS = 512
MAX_TEXT_BYTES = 16 * 2**20
"""Largest size of a prompt's text: a text of two million tokens has about ten MB."""
MAX_METADATA_BYTES = 2**20
"""Largest size of one prompt's metadata as JSON: a store keeps the metadata of all prompts in memory while it
answers."""

Refuse = type[Exception]
"""Class of the exception that a function raises for a value that it refuses."""


def is_boolean(value: object) -> bool:
    """Whether a value is a bool of Python, NumPy or torch."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")


def integer(value: Any, what: str, refuse: Refuse) -> int:
    """Return an integer of Python, NumPy or torch as int.

    Raises `refuse` for booleans, floats, texts and arrays with axes.
    """
    if not is_boolean(value) and not getattr(value, "ndim", 0):
        try:
            return int(operator.index(value))
        except TypeError:
            pass
    raise refuse(f"{what} must be an integer, not {shown(value)}")


def finite(value: Any, what: str, refuse: Refuse) -> float:
    """Return a finite number of Python, NumPy or torch as float.

    Raises `refuse` for booleans, texts, arrays with axes, NaN and infinities.
    """
    if not is_boolean(value) and not isinstance(value, str | bytes) and not getattr(value, "ndim", 0):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise refuse(f"{what} must be a finite number, not {shown(value)}")


def place(value: Any, what: str, refuse: Refuse) -> int | slice:
    """Return a position as an int, or as a slice of ints and None. Raises `refuse` for anything else, lists and ranges
    too."""
    if isinstance(value, slice):
        bounds = (value.start, value.stop, value.step)
        start, stop, step = (None if n is None else integer(n, f"a bound of {what}", refuse) for n in bounds)
        if step == 0:
            raise refuse(f"{what} must not be a slice with step 0")
        return slice(start, stop, step)
    if isinstance(value, list | tuple | range | set):
        raise refuse(f"{what} must be an integer or a slice, as in slice(3, 6), not {shown(value)}")
    return integer(value, what, refuse)


def integers(value: Any, what: str, refuse: Refuse) -> tuple[int, ...]:
    """Return the ints of a sequence or a one-dimensional array. Raises `refuse` for anything else."""
    return tuple(integer(item, f"item {n} of {what}", refuse) for n, item in enumerate(_items(value, what, refuse)))


def floats(value: Any, what: str, refuse: Refuse) -> tuple[float, ...]:
    """Return the finite floats of a sequence or a one-dimensional array. Raises `refuse` for anything else."""
    return tuple(finite(item, f"item {n} of {what}", refuse) for n, item in enumerate(_items(value, what, refuse)))


def token_ids(value: Any, refuse: Refuse) -> tuple[int, ...]:
    """Return the token ids [P] of one prompt, given as a sequence, an array [P] or [1, P], or a tokenizer's output.

    Raises `refuse` for more than one prompt, for padding, and for ids that are not integers from 0.
    """
    if isinstance(value, Mapping):
        if "input_ids" not in value:
            raise refuse(f"token ids are under the key input_ids, not {shown(list(value))}")
        mask = value.get("attention_mask")
        ids = token_ids(value["input_ids"], refuse)
        if mask is not None and not all(_one_row(_items(mask, "the attention mask", refuse), refuse)):
            raise refuse("the token ids are padded (attention_mask has zeros): give them without padding")
        return ids
    if type(value) is tuple and all(type(token) is int and token >= 0 for token in value):
        return value
    items = _one_row(_items(value, "token ids", refuse), refuse)
    ids = tuple(integer(item, f"token id at position {n}", refuse) for n, item in enumerate(items))
    for n, token in enumerate(ids):
        if token < 0:
            raise refuse(f"token id at position {n} must be an integer from 0, not {token}")
    return ids


def flag(value: Any, what: str, refuse: Refuse) -> bool:
    """Return a boolean of Python, NumPy or torch as bool.

    Raises `refuse` for anything else: the text "no", for example, would count as true.
    """
    if is_boolean(value) and not getattr(value, "ndim", 0):
        return bool(value)
    raise refuse(f"{what} must be True or False, not {shown(value)}")


def prompt_id(value: Any, refuse: Refuse) -> str:
    """Return the id of a prompt as a string; a number becomes its digits. Raises `refuse` for a value that cannot be an
    id."""
    if is_boolean(value) or not (isinstance(value, str | float) or hasattr(value, "__index__")):
        raise refuse(f"wrong id: found {shown(value)}, expected a string or a number")
    id_ = str(value)
    if not id_.strip():
        raise refuse(f"empty id: found {shown(value)}, expected at least one visible character")
    if len(id_) > MAX_ID_CHARS:
        raise refuse(f"id too long: found {len(id_)} characters, expected at most {MAX_ID_CHARS}")
    check_storable(value if isinstance(value, float) else id_, "id", refuse)
    return id_


def text(value: Any, refuse: Refuse) -> str:
    """Return a text, which may be empty. Raises `refuse` for text that UTF-8 cannot encode, for text that is too long,
    and for bytes."""
    if not isinstance(value, str):
        raise refuse(f"wrong text: found {shown(value)}, expected a string")
    num_bytes = check_storable(str(value), "text", refuse)
    if num_bytes > MAX_TEXT_BYTES:
        raise refuse(f"text too long: found {num_bytes:,} bytes, expected at most {MAX_TEXT_BYTES:,}")
    return str(value)


def messages(value: Any, refuse: Refuse) -> tuple[tuple[str, str], ...]:
    """Return (role, content) of each message of a chat.

    Raises `refuse` if there are no messages, or if one of them is not a mapping or pair of role and content.
    """
    if not isinstance(value, list | tuple) or not value:
        raise refuse(f"wrong messages: found {shown(value)}, expected a list of objects with role and content")
    found = []
    for number, message in enumerate(value, start=1):
        if isinstance(message, tuple) and len(message) == 2:
            message = dict(zip(("role", "content"), message, strict=True))
        if not isinstance(message, Mapping):
            raise refuse(f"message {number}: found {shown(message)}, expected an object with role and content")
        named = {name: item for name, item in message.items() if item is not None}
        if set(named) != {"role", "content"} or not all(isinstance(item, str) for item in named.values()):
            raise refuse(f"message {number}: found {shown(named)}, expected role and content, both of them text")
        check_storable(named, f"message {number}", refuse)
        found.append((str(named["role"]), str(named["content"])))
    return tuple(found)


def check_storable(value: object, what: str, refuse: Refuse, allow_nan: bool = False) -> int:
    """Return the number of bytes that a value takes as JSON in UTF-8.

    Raises `refuse` for what JSON in UTF-8 cannot hold: NaN (unless `allow_nan`), dates, bytes, and halves of surrogate
    pairs. Also refuses more than MAX_DEPTH levels of lists and objects, because later readers recurse.
    """
    try:
        num_bytes = len(json.dumps(value, ensure_ascii=False, allow_nan=allow_nan).encode())
    except UnicodeEncodeError as error:
        half = f"U+{ord(error.object[error.start]):04X}"
        raise refuse(f"wrong {what}: found half a surrogate pair, {half}, expected text") from error
    except RecursionError as error:
        raise refuse(f"wrong {what}: nested too deeply, expected at most {MAX_DEPTH} levels") from error
    except (TypeError, ValueError) as error:
        raise refuse(f"wrong {what}: found {shown(value)} ({error}), expected JSON values") from error
    if is_deep(value):
        raise refuse(f"wrong {what}: nested too deeply, expected at most {MAX_DEPTH} levels")
    return num_bytes


def shown(value: object) -> str:
    """Return a short form of a value for messages, without control characters."""
    shape = getattr(value, "shape", None)
    if shape is not None and len(shape):
        return f"{type(value).__name__} of shape {list(shape)} and {getattr(value, 'dtype', 'no dtype')}"
    return reprlib.repr(value)


def _items(value: Any, what: str, refuse: Refuse) -> Sequence[Any]:
    """Return the items of a sequence or an array. Booleans and floats stay as they are, so that the caller can refuse
    them."""
    if getattr(value, "ndim", 0) and callable(to_list := getattr(value, "tolist", None)):
        items: list[Any] = to_list()
        return items
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return value
    raise refuse(f"{what} must be a sequence of numbers, not {shown(value)}")


def _one_row(items: Sequence[Any], refuse: Refuse) -> Sequence[Any]:
    """Return the only row if the items are rows, because tokenizers return one prompt as [[...]]; else return the
    items."""
    is_row = [isinstance(item, Sequence) and not isinstance(item, str | bytes) for item in items]
    is_row = [row or bool(getattr(item, "ndim", 0)) for row, item in zip(is_row, items, strict=True)]
    if not any(is_row):
        return items
    if len(items) > 1:
        raise refuse(f"token ids of {len(items)} prompts where one is asked for: give one prompt's at a time")
    return _items(items[0], "token ids", refuse)
