"""write_profile: the parts and the weights of a job become a finished profile, `profile.json` last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CorpusError
from ..model.token_names import names_of
from ..profile.document import write_document, write_prompts, write_tokens
from ..profile.finish import QUANTILES, finish_layer
from ..profile.from_store import StoreTexts
from ..profile.layout import WEIGHTS, layer_file
from ..profile.parts import done_units, open_parts
from ..table_folder import import_parquet
from .settings import ProfileJob
from .units import PROMPT_NUMBER, HarvestInputs


def write_profile_of_texts(job: ProfileJob, inputs: HarvestInputs, about: Mapping[str, Any]) -> int:
    """Write the profile of texts from the parts in its folder, and return its number of features.

    Raises CorpusError if no text could be examined.
    """
    parts = open_parts(job.folder)
    done = done_units(parts)
    numbers = {prompt.metadata[PROMPT_NUMBER] for prompt in inputs.pieces() if prompt.id in done}
    if not numbers:
        raise CorpusError(f"none of the {len(inputs.prompts):,} texts could be examined; nothing is written")
    layers, num_features = _finish(job, inputs.transcoders.num_layers)
    kept = np.unique(np.concatenate([*_tokens_of_weights(job, layers), *_tokens_of_prompts(inputs, numbers)]))
    name = _namer(job)
    write_tokens(job.folder, [(token, name(token)) for token in kept.tolist()])
    write_prompts(
        job.folder,
        (
            (number, prompt.id, np.searchsorted(kept, np.array(prompt.tokens)).tolist(), True)
            for number, prompt in inputs.numbered()
            if number in numbers
        ),
    )
    counts = {"num_tokens": sum(part.num_tokens for part in parts), "num_prompts": len(done)}
    shape = {"features_of_layers": list(inputs.transcoders.features_L), "kind": inputs.transcoders.kind}
    _document(job, layers, {**about, **counts, **shape, "num_features": num_features, "num_incomplete": 0})
    return num_features


def write_profile_of_store(job: ProfileJob, num_layers: int, texts: StoreTexts, about: Mapping[str, Any]) -> int:
    """Write the profile of a store from the parts in its folder, and return its number of features."""
    layers, num_features = _finish(job, num_layers)
    tokens = list(texts.tokens)
    if job.effects:
        known, name = {token for token, _ in tokens}, _namer(job)
        weighted = {token for found in _tokens_of_weights(job, layers) for token in found.tolist()}
        tokens += [(token, name(token)) for token in sorted(weighted - known)]
    write_tokens(job.folder, tokens)
    write_prompts(job.folder, texts.prompts())
    counts = {"num_tokens": texts.num_tokens, "num_prompts": len(texts.numbers)}
    _document(job, layers, {**about, **counts, "num_features": num_features, "num_incomplete": len(texts.incomplete)})
    return num_features


def _finish(job: ProfileJob, num_layers: int) -> tuple[list[int], int]:
    """Write the files of all layers; return the layers that have active features, and the number of these."""
    parts = open_parts(job.folder)
    arguments = (parts, job.sampling.sizes, job.memory_bytes)
    counts = {layer: finish_layer(job.folder, layer, *arguments) for layer in range(num_layers)}
    return [layer for layer, count in counts.items() if count], sum(counts.values())


def _document(job: ProfileJob, layers: Sequence[int], fields: Mapping[str, Any]) -> None:
    shares = [share / 1000 for share in QUANTILES]
    write_document(job.folder, layers, {**fields, "quantile_shares": shares})


def _namer(job: ProfileJob) -> Callable[[int], str]:
    from ..model.load import load_tokenizer  # loads torch, which the profile of a store does without

    return names_of(load_tokenizer(job.config().model.model)).name


def _tokens_of_prompts(inputs: HarvestInputs, numbers: set[int]) -> Iterator[npt.NDArray[np.int64]]:
    for number, prompt in inputs.numbered():
        if number in numbers:
            yield np.unique(np.array(prompt.tokens, dtype=np.int64))


def _tokens_of_weights(job: ProfileJob, layers: Sequence[int]) -> Iterator[npt.NDArray[np.int64]]:
    for layer in layers if job.effects else ():
        table = import_parquet().read_table(job.folder / layer_file(WEIGHTS, layer), columns=["promoted", "suppressed"])
        for column in table.columns:
            yield np.unique(column.combine_chunks().values.to_numpy().astype(np.int64))
