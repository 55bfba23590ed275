"""The table of prompts: what a store knows about each prompt without reading its graph."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import StoreCorrupt
from ...table import Table
from ..format.schema import COLUMNS, SCORES, SIZES
from ..part import Part
from .conditions import check_names, column_names
from .part_range import PartRange

_PARTS_AT_ONCE = 8
_NAMES = (
    "id",
    "text",
    *SIZES,
    "num_layers",
    *SCORES,
    "error_share",
    "error_share_L",
    "path_length_H",
    "targets",
    "part",
)
_TOKENS = ("tokens", "token_strings")
METADATA = "metadata."
"""Prefix of the column of a metadata key whose name would otherwise clash with another column."""


def prompt_table(parts: Sequence[tuple[Part, list[int]]], names: str | Sequence[str] | None = None) -> Table:
    """Return one row for each of the given rows of the parts, sorted by id.

    Columns: id, text (None if the prompt was given as tokens), sizes and num_layers (int64), the scores (float64;
    `error_share` is the sum over layers, `error_share_L` and `path_length_H` are tuples), targets (labels), part, and
    every metadata key, None where absent. `names` chooses columns; two of them must be named to be read: `tokens` and
    `token_strings`, the list of the ids and of the strings of all tokens. A metadata key that is also one of these
    names, or that begins with `metadata.`, becomes the column `metadata.<key>`. Raises ConfigError for an unknown name.
    """
    wanted = None if names is None else column_names(names, ())
    with_tokens = wanted is not None and not set(_TOKENS).isdisjoint(wanted)
    with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
        found = list(pool.map(lambda both: _decoded(both[0], both[1], with_tokens), parts))
    own_names = (*_NAMES, *_TOKENS) if with_tokens else _NAMES
    lists = {name: list(chain.from_iterable(of_part[name] for of_part in found)) for name in (*own_names, "metadata")}
    order = sorted(range(len(lists["id"])), key=lists["id"].__getitem__)
    columns = {name: _column(name, [lists[name][i] for i in order]) for name in own_names}
    metadata = [lists["metadata"][i] for i in order]
    for key in dict.fromkeys(chain.from_iterable(metadata)):
        hidden = key in _NAMES or key in _TOKENS or key.startswith(METADATA)
        columns[f"{METADATA}{key}" if hidden else key] = [own.get(key) for own in metadata]
    if wanted is None:
        return Table(columns)
    check_names("column of prompts", wanted, [*columns, *(() if with_tokens else _TOKENS)])
    return Table({name: columns[name] for name in wanted})


def _column(name: str, values: list[Any]) -> npt.NDArray[Any] | list[Any]:
    if name.startswith("num_"):
        return np.array(values, dtype=np.int64)
    return np.array(values, dtype=np.float64) if name in SCORES or name == "error_share" else values


def _decoded(part: Part, numbers: Sequence[int], with_tokens: bool) -> dict[str, list[Any]]:
    """Return the columns of some prompts of a part. Raises StoreCorrupt for bytes that are not text."""
    return {**prompt_columns(part, numbers), **(_token_lists(part, numbers) if with_tokens else {})}


def prompt_columns(part: Part, numbers: Sequence[int]) -> dict[str, list[Any]]:
    """Return what a part says of some of its prompts, in their order: a value of each for every name.

    The names are those of `prompt_table` without metadata keys, and `metadata`: each prompt's own, as a dict. Raises
    StoreCorrupt for bytes that are not text.
    """
    with part.decoding("what it says of prompts"):
        return _columns(part, numbers)


def _token_lists(part: Part, numbers: Sequence[int]) -> dict[str, list[Any]]:
    """Return the ids and the strings of the tokens of some prompts, ascending, as a list for each prompt."""
    own = PartRange(part, numbers)
    ids = part.read({"tokens/token": own.rows("num_tokens")})["tokens/token"]
    ends = np.cumsum(own.sizes("num_tokens"))[:-1]
    values = (ids, own.tokens.values)
    return {name: [of.tolist() for of in np.split(all_, ends)] for name, all_ in zip(_TOKENS, values, strict=True)}


def _columns(part: Part, numbers: Sequence[int]) -> dict[str, list[Any]]:
    """Return one value for each of the given prompts of a part, by name: all of `_NAMES`, and `metadata`.

    There are many prompts and each is small, so everything is cut from lists and bytes of the whole part.
    """
    head, entries = part.head, [part.manifest.prompts[number] for number in numbers]

    def own(name: str, values: Any) -> list[Any]:
        """Return each prompt's own slice of the entries or bytes of an array."""
        pointers = part.pointers(COLUMNS[name]).tolist()
        return [values[pointers[number] : pointers[number + 1]] for number in numbers]

    has_text, texts = head["prompts/has_text"][numbers].tolist(), own("prompts/text", head["prompts/text"].tobytes())
    error_share_L = [tuple(share) for share in own("prompts/error_share", head["prompts/error_share"].tolist())]
    return {
        "id": [entry.id for entry in entries],
        "text": [_text(text) if has else None for has, text in zip(has_text, texts, strict=True)],
        **{name: [getattr(entry, name) for entry in entries] for name in SIZES},
        "num_layers": head["prompts/num_layers"][numbers].tolist(),
        **dict(zip(SCORES, head["prompts/scores"][numbers].T.tolist(), strict=True)),
        "error_share": [sum(share) for share in error_share_L],
        "error_share_L": error_share_L,
        "path_length_H": [tuple(share) for share in own("prompts/path_length", head["prompts/path_length"].tolist())],
        "targets": own("targets/label_size", target_labels(part)),
        "part": [part.manifest.part] * len(entries),
        "metadata": _metadata(part, own("prompts/metadata", head["prompts/metadata"].tobytes()), numbers),
    }


def target_labels(part: Part) -> list[str]:
    """Return the labels of all targets of a part."""
    data, sizes = part.head["targets/label"].tobytes(), part.head["targets/label_size"]
    return [_text(data[first:end]) for first, end in pairwise([0, *np.cumsum(sizes).tolist()])]


def _metadata(part: Part, documents: Sequence[bytes], numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return the metadata of the prompts, parsed in one call, which takes a third of the time.

    Raises StoreCorrupt, which names the first prompt whose metadata are not a JSON object.
    """
    try:
        found = json.loads(b"[" + b",".join(documents) + b"]")
        if len(found) == len(documents) and all(type(metadata) is dict for metadata in found):
            return list(found)
    except (ValueError, RecursionError):
        pass
    wrong = next(number for number, document in zip(numbers, documents, strict=True) if not _is_object(document))
    raise StoreCorrupt(f"{part.objects.where}: metadata of {part.manifest.prompts[wrong].id!r} are not a JSON object")


def _is_object(document: bytes) -> bool:
    try:
        return isinstance(json.loads(document), dict)
    except (ValueError, RecursionError):
        return False


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
