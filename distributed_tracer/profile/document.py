"""Document: `profile.json`, which makes a folder a profile and is written last; texts and tokens beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..store.format.checksummed_json import LARGEST
from ..table_folder import write_parquet
from .layout import CONTEXTS, FEATURES, PROFILE, PROMPTS, TOKENS, WEIGHTS, arrow_table, layer_file
from .ragged import Ragged


def write_document(folder: Path, layers: Sequence[int], fields: Mapping[str, Any]) -> None:
    """Write `profile.json` for the files in `folder`.

    `layers` are those that have active features. `fields` needs `num_features`, `num_tokens`, `num_prompts`,
    `quantile_shares` and `settings`.
    """
    names = [layer_file(kind, layer) for layer in layers for kind in (FEATURES, CONTEXTS, WEIGHTS)]
    files = [path for name in (*names, PROMPTS, TOKENS) if (path := folder / name).exists()]
    PROFILE.write(folder, {**fields, "layers": list(layers)}, files)


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
    return PROFILE.read(folder, _check)


def _check(document: dict[str, Any]) -> None:
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
