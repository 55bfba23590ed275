"""write_profile: the parts and the weights of a job become a finished profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CorpusError
from ..model.load import load_tokenizer
from ..model.token_names import names_of
from ..profile.document import write_document, write_prompts, write_tokens
from ..profile.finish import QUANTILES, finish_layer
from ..profile.layout import WEIGHTS, import_parquet, layer_file
from ..profile.parts import done_units, open_parts
from .settings import ProfileJob
from .units import PROMPT_NUMBER, HarvestInputs


def write_profile(
    job: ProfileJob, inputs: HarvestInputs, settings: Mapping[str, Any], about: Mapping[str, Any]
) -> int:
    """Write all files of a profile from the parts in its folder, `profile.json` last; return its number of features.

    Raises CorpusError if no text could be examined.
    """
    folder, parts = job.folder, open_parts(job.folder)
    done = done_units(parts)
    numbers = {prompt.metadata[PROMPT_NUMBER] for prompt in inputs.pieces() if prompt.id in done}
    if not numbers:
        raise CorpusError(f"none of the {len(inputs.prompts):,} texts could be examined: see the reasons above")
    counts = {
        layer: finish_layer(folder, layer, parts, job.sampling.sizes, job.memory_bytes)
        for layer in range(inputs.transcoders.num_layers)
    }
    layers = [layer for layer, count in counts.items() if count]
    kept = np.unique(np.concatenate([*_tokens_of_weights(job, layers), *_tokens_of_prompts(inputs, numbers)]))
    names = names_of(load_tokenizer(job.config().model.model))
    write_tokens(folder, [(token, names.name(token)) for token in kept.tolist()])
    write_prompts(
        folder,
        (
            (number, prompt.id, np.searchsorted(kept, np.array(prompt.tokens)).tolist(), True)
            for number, prompt in inputs.numbered()
            if number in numbers
        ),
    )
    fields = {
        **about,
        "source": "texts",
        "settings": settings,
        "num_features": sum(counts.values()),
        "num_layers": inputs.transcoders.num_layers,
        "features_of_layers": list(inputs.transcoders.features_L),
        "kind": inputs.transcoders.kind,
        "num_tokens": sum(part.num_tokens for part in parts),
        "num_prompts": len(done),
        "num_units": len(done) + (inputs.transcoders.num_layers if job.effects else 0),
        "quantile_shares": [share / 1000 for share in QUANTILES],
    }
    write_document(folder, layers, fields)
    return sum(counts.values())


def _tokens_of_prompts(inputs: HarvestInputs, numbers: set[int]) -> Iterator[npt.NDArray[np.int64]]:
    for number, prompt in inputs.numbered():
        if number in numbers:
            yield np.unique(np.array(prompt.tokens, dtype=np.int64))


def _tokens_of_weights(job: ProfileJob, layers: Sequence[int]) -> Iterator[npt.NDArray[np.int64]]:
    for layer in layers if job.effects else ():
        table = import_parquet().read_table(job.folder / layer_file(WEIGHTS, layer), columns=["promoted", "suppressed"])
        for column in table.columns:
            yield np.unique(column.combine_chunks().values.to_numpy().astype(np.int64))
