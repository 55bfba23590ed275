"""Document: `profile.json`, which makes a folder a profile and is written last; texts and tokens beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..documents.json_text import parse_json
from ..errors import ProfileError
from ..store.format.checksummed_json import LARGEST, MALFORMED, dump_checksummed, load_checksummed
from ..text import short
from .layout import (
    CONTEXTS,
    DOCUMENT,
    FEATURES,
    FORMAT,
    FORMAT_VERSION,
    PROMPTS,
    TOKENS,
    WEIGHTS,
    arrow_table,
    layer_file,
    new_file,
    size_and_digest,
    write_parquet,
)
from .ragged import Ragged


def write_document(folder: Path, layers: Sequence[int], fields: Mapping[str, Any]) -> None:
    """Write `profile.json` for the files in `folder`.

    `layers` are those that have active features. `fields` needs `num_features`, `num_tokens`, `num_prompts`,
    `quantile_shares` and `settings`.
    """
    kinds = [layer_file(kind, layer) for layer in layers for kind in (FEATURES, CONTEXTS, WEIGHTS)]
    files = {name: size_and_digest(folder / name) for name in (*kinds, PROMPTS, TOKENS) if (folder / name).exists()}
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **fields,
        "layers": list(layers),
        "files": {name: list(found) for name, found in files.items()},
    }
    with new_file(folder / DOCUMENT) as path:
        path.write_bytes(dump_checksummed(document))


def write_tokens(folder: Path, tokens: Sequence[tuple[int, str]]) -> None:
    """Write the id (-1 if unknown) and the name of every token; other files mention tokens of prompts by their row."""
    ids, names = ([token[0] for token in tokens], [token[1] for token in tokens])
    rows = np.arange(len(tokens), dtype=np.int32)
    table = arrow_table({"row": rows, "token_id": np.array(ids, dtype=np.int32), "name": names})
    write_parquet(folder / TOKENS, iter([table]))


def write_prompts(folder: Path, prompts: Iterator[tuple[int, str, Sequence[int], bool]], at_once: int = 1_024) -> None:
    """Write number, id, tokens (rows of the table of tokens) and whether all activations are known, of each prompt.

    Numbers ascend. Memory holds `at_once` prompts.
    """

    def tables() -> Iterator[Any]:
        while True:
            rows = list(islice(prompts, at_once))
            numbers, ids, tokens, complete = zip(*rows, strict=True) if rows else ((), (), (), ())
            yield arrow_table(
                {
                    "number": np.array(numbers, dtype=np.int32),
                    "prompt": list(ids),
                    "is_complete": np.array(complete, dtype=bool),
                    "tokens": Ragged.of(tokens, np.int32),
                }
            )
            if len(rows) < at_once:
                return

    write_parquet(folder / PROMPTS, tables())


def read_document(folder: Path) -> dict[str, Any] | None:
    """Return the document of the profile in a folder; None if it has none. Raises ProfileError if it is damaged."""
    path = folder / DOCUMENT
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ProfileError(f"{path} cannot be read: {error.strerror}") from error
    try:
        parse_json(data, ValueError)  # bounds depth and numbers
        document = load_checksummed(data)
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {short(str(document['format']))}")
        if document["format_version"] == FORMAT_VERSION:
            files = document["files"].items()
            document["files"] = {str(name): (int(size), str(digest)) for name, (size, digest) in files}
            for name in ("num_tokens", "num_prompts", "num_features"):
                document[name] = int(document[name])
                if not 0 <= document[name] < LARGEST:
                    raise ValueError(f"{name} is {document[name]}")
            document["layers"] = sorted(int(layer) for layer in document["layers"])
            document["quantile_shares"] = [float(share) for share in document["quantile_shares"]]
            for name in ("settings", "failed"):
                if not isinstance(document.setdefault(name, {}), dict):
                    raise ValueError(f"its {name} are not an object")
            missing = {layer_file(kind, layer) for kind in (FEATURES, CONTEXTS) for layer in document["layers"]}
            if missing := {*missing, PROMPTS, TOKENS} - document["files"].keys():
                raise ValueError(f"it lists no {min(missing)}")
    except MALFORMED as error:
        raise no_profile(path, f"{type(error).__name__}: {error}") from error
    if document["format_version"] != FORMAT_VERSION:
        version = short(str(document["format_version"]))
        raise ProfileError(f"{path} has format version {version}; this program reads {FORMAT_VERSION}")
    return document


def no_profile(path: Path, why: str) -> ProfileError:
    """Return the error for a file that is not what a profile has there."""
    return ProfileError(f"{path} is not a profile, or it is damaged: {short(why, 200)}")
