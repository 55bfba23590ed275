"""Document: `profile.json`, which makes a folder a profile. It is written last and removed by nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..store.format.checksummed_json import dump_checksummed
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
