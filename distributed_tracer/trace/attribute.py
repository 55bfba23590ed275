"""The algorithm from top to bottom: it defines what an attribution graph is. It uses no Ray, no Zarr and no files.

Axes: F feature chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import plain_values
from ..config import TraceConfig
from ..errors import PromptError
from ..graph.graph import Graph
from ..model.forward_cache import ForwardCache, run_with_cache
from ..model.frozen import transcoder_scales
from ..model.model import Model
from ..model.tokenize import num_zeroed_positions, token_strings, tokenize
from ..plan.sizing import with_round_size
from ..prompt import Prompt, hash_prompt
from ..threads import few_on_one_thread
from ..transcoder.base import Transcoders
from .assemble import assemble
from .dense_graph import DenseGraph
from .device import matmul_precision, max_closing_error, sweep_dtype
from .encode import ActiveFeatures, encode
from .frontier import Frontier
from .rows import OpenRows, RowComputer
from .targets import positions_needed, resolve_targets


def attribute(
    prompt: Prompt | str | Sequence[int],
    model: Model,
    transcoders: Transcoders,
    config: TraceConfig = TraceConfig(),  # noqa: B008  (frozen)
    open_rows: OpenRows = RowComputer,
) -> Graph:
    """Return the attribution graph of one prompt, not pruned.

    The prompt is a `Prompt`, a text, or token ids in any form that `plain_values.token_ids` accepts. `open_rows` makes
    the object that computes the rows of the graph. Raises PromptError for a prompt that cannot be traced and
    TargetError for a target that cannot be resolved.
    """
    return attribute_dense(prompt, model, transcoders, config, open_rows).whole()


def attribute_dense(
    prompt: Prompt | str | Sequence[int],
    model: Model,
    transcoders: Transcoders,
    config: TraceConfig = TraceConfig(),  # noqa: B008  (frozen)
    open_rows: OpenRows = RowComputer,
) -> DenseGraph:
    """Return the attribution graph of one prompt as a `DenseGraph`, whose matrix of edges is still on the device.

    Its method `pruned` copies only the pruned graph to the host. Arguments and errors are those of `attribute`.
    """
    prompt = tokenize(_as_prompt(prompt), model.tokenizer, model.shape)
    config = with_round_size(config, transcoders.device.type)
    assert prompt.tokens is not None
    with matmul_precision("float32"):
        cache, features = run_and_encode(prompt, model, transcoders, config)
        directions = resolve_targets(prompt.targets, model, cache, transcoders, config)
        rows = open_rows(model, cache, transcoders, features, config.sweep_rows, config.keep_row_mass)
    frontier = Frontier(directions, features, config, max_closing_error(config, model.dtype))
    with matmul_precision(config.sweep_dtype):
        for block in rows.of_targets(directions):
            frontier.add_rows(block)
        while (chosen_F := frontier.next_round()) is not None:
            for block in rows.of_features(chosen_F):
                frontier.add_rows(block)
    scales = transcoder_scales(model, cache, transcoders.device)
    return assemble(prompt, token_strings(prompt.tokens, model.tokenizer), directions, features, frontier, scales)


def run_and_encode(
    prompt: Prompt, model: Model, transcoders: Transcoders, config: TraceConfig
) -> tuple[ForwardCache, ActiveFeatures]:
    """Run the forward pass of a tokenized prompt, and return its cache and the features that are active in it."""
    assert prompt.tokens is not None
    shape, logits_at = transcoders.shape, positions_needed(prompt.targets, len(prompt.tokens))
    zeroed, dtype = (
        num_zeroed_positions(prompt.tokens, model.shape.architecture),
        sweep_dtype(config.sweep_dtype, model.dtype),
    )
    with few_on_one_thread(model.input_device, len(prompt.tokens), model.shape.d_model):
        cache = run_with_cache(model, prompt.tokens, shape.input_site, shape.output_site, logits_at)
    return cache, encode(model, cache, transcoders, zeroed, dtype)


def _as_prompt(prompt: Prompt | str | Sequence[int]) -> Prompt:
    if isinstance(prompt, Prompt):
        return prompt
    if isinstance(prompt, str):
        return Prompt(hash_prompt(prompt, None), text=prompt)
    tokens = plain_values.token_ids(prompt, PromptError)
    return Prompt(hash_prompt(None, tokens), tokens=tokens)
