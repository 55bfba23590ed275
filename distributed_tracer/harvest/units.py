"""Units of a profile: pieces of texts, and layers whose decoders are examined. All inputs are checked here.

A unit's prompt has as metadata what the worker needs to know of it; its id names it in logs and failures.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..config import JobConfig
from ..corpus.open_input import name_of
from ..corpus.reader import BadPrompt, read_prompts
from ..errors import ConfigError, CorpusError, PromptError
from ..model.tokenize import num_zeroed_positions, tokenize
from ..plan.prompt_queue import PromptQueue
from ..prompt import Prompt
from ..shapes import ModelShape, TranscoderShape
from .settings import DEFAULT_CONTEXT
from .windows import PIECE_TOKENS, cut

PROMPT_NUMBER, PROMPT_ID, PIECE, PIECE_FIRST, LAYER = "number", "id", "piece", "first", "layer"
_ANY_LENGTH = 2**31 - 1
_RESERVED = re.compile(r".*\n\(tokens from \d+\)|\(decoders of layer \d+\)\n", re.DOTALL)
"""Ids of units that are not whole texts; no text may have one."""


@dataclass(frozen=True, eq=False)
class HarvestInputs:
    """Sizes, the texts that can be examined, in the order of the corpus, and those that cannot."""

    model: ModelShape
    transcoders: TranscoderShape
    context_length: int
    prompts: PromptQueue
    num_tokens: int
    """Number of tokens to examine, without leading special tokens."""
    digest: str
    """Hash of the ids and the tokens of all texts, in their order."""

    def numbered(self) -> Iterator[tuple[int, Prompt]]:
        """Yield the texts and their numbers."""
        return enumerate(iter(self.prompts))

    def pieces(self) -> Iterator[Prompt]:
        """Yield every piece of every text, in order."""
        for number, prompt in self.numbered():
            assert prompt.tokens is not None
            num_leading = num_zeroed_positions(prompt.tokens, self.model.architecture)
            for piece, span in enumerate(cut(prompt.tokens, PIECE_TOKENS, num_leading)):
                about = {PROMPT_NUMBER: number, PROMPT_ID: prompt.id, PIECE: piece, PIECE_FIRST: span.first}
                name = prompt.id if not piece else f"{prompt.id}\n(tokens from {span.first})"
                yield Prompt(name, tokens=span.tokens, metadata=about)


def layer_prompt(layer: int) -> Prompt:
    """Return the prompt of the unit that examines the decoders of a layer."""
    return Prompt(f"(decoders of layer {layer})\n", tokens=(0,), metadata={LAYER: layer})


def load_harvest_inputs(config: JobConfig, context_length: int | None) -> HarvestInputs:
    """Read sizes and texts, and check that they fit together. No weights are read.

    A text that cannot be read or tokenized is recorded as rejected; its length does not matter. Raises ModelError,
    TranscoderError and ShapeMismatch; CorpusError for a file without a text that can be examined; ConfigError for a
    context length that the model does not take.
    """
    from ..job.inputs import deduplicate  # these load torch, which the profile of a store does without
    from ..model.load import load_tokenizer, model_shape
    from ..transcoder.load import check_fits, transcoder_shape

    model, transcoders = model_shape(config.model.model), transcoder_shape(config.transcoders.transcoders)
    check_fits(transcoders, model)
    length = min(DEFAULT_CONTEXT, model.max_positions) if context_length is None else context_length
    if length > model.max_positions:
        raise ConfigError(f"context_length is {length:,}; the model takes at most {model.max_positions:,} tokens")
    tokenizer, any_length = load_tokenizer(config.model.model), replace(model, max_positions=_ANY_LENGTH)
    prompts, digest, num_tokens = PromptQueue(), hashlib.sha256(), 0
    for prompt in deduplicate(read_prompts(config.corpus), prompts, config.corpus):
        if isinstance(prompt, BadPrompt):
            prompts.reject(prompt.id, "read", f"{prompt.where}: {prompt.reason}")
            continue
        try:
            tokenized = tokenize(replace(prompt, targets=()), tokenizer, any_length)
        except PromptError as error:
            prompts.reject(prompt.id, "tokenize", str(error))
            continue
        assert tokenized.tokens is not None
        examined = len(tokenized.tokens) - num_zeroed_positions(tokenized.tokens, model.architecture)
        if examined < 1 or _RESERVED.fullmatch(prompt.id):
            why = "has no tokens after its special ones" if examined < 1 else "has an id that a profile needs itself"
            prompts.reject(prompt.id, "tokenize", f"prompt {prompt.id!r} {why}")
            continue
        prompts.put(tokenized)
        digest.update(repr((tokenized.id, tokenized.tokens)).encode("utf-8", "surrogatepass"))
        num_tokens += examined
    if not len(prompts):
        what = f"{prompts.num_rejected:,} texts, none of which can be read" if prompts.num_rejected else "no texts"
        raise CorpusError(f"{name_of(config.corpus.prompts)}: found {what}, expected at least one")
    return HarvestInputs(model, transcoders, length, prompts, num_tokens, f"sha256:{digest.hexdigest()}")
