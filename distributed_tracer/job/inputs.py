"""Inputs of a run: sizes of model and transcoders, and the prompts that can be traced. No weights are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..config import CorpusConfig, JobConfig
from ..corpus.open_input import name_of
from ..corpus.reader import BadPrompt, read_prompts
from ..errors import CorpusError, PromptError
from ..model.load import load_tokenizer, model_shape
from ..model.tokenize import tokenize
from ..plan.prompt_queue import PromptQueue
from ..plan.work import Outcome
from ..prompt import Prompt
from ..shapes import ModelShape, TranscoderShape
from ..transcoder.load import check_fits, transcoder_shape


@dataclass(frozen=True, eq=False)
class JobInputs:
    """Sizes of model and transcoders, and a queue of tokenized prompts with distinct ids and of the rejected ones."""

    model: ModelShape
    transcoders: TranscoderShape
    prompts: PromptQueue

    @property
    def rejected(self) -> Iterator[Outcome]:
        """Outcomes of the prompts that cannot be traced, in the order of the corpus."""
        return (Outcome(prompt_id, "failed", phase, reason) for prompt_id, phase, reason in self.prompts.rejected())


def load_inputs(config: JobConfig) -> JobInputs:
    """Read sizes and prompts, and check that they fit together.

    Raises ModelError, TranscoderError and ShapeMismatch. Raises CorpusError for a file without prompts, and for a
    malformed prompt if `on_bad_prompt` is "stop". A prompt that is too long or has unknown tokens is always rejected
    and never an error.
    """
    model = model_shape(config.model.model)
    transcoders = transcoder_shape(config.transcoders.transcoders)
    check_fits(transcoders, model)
    tokenizer = load_tokenizer(config.model.model)
    prompts = PromptQueue()
    for prompt in deduplicate(read_prompts(config.corpus), prompts, config.corpus):
        if isinstance(prompt, BadPrompt):
            prompts.reject(prompt.id, "read", f"{prompt.where}: {prompt.reason}")
            continue
        try:
            prompts.put(tokenize(prompt, tokenizer, model))
        except PromptError as error:
            prompts.reject(prompt.id, "tokenize", str(error))
    if not len(prompts) and not prompts.num_rejected:
        raise CorpusError(f"{name_of(config.corpus.prompts)}: found no prompts, expected at least one")
    return JobInputs(model, transcoders, prompts)


def deduplicate(
    prompts: Iterable[Prompt | BadPrompt], queue: PromptQueue, config: CorpusConfig
) -> Iterator[Prompt | BadPrompt]:
    """Yield the prompts without repetitions.

    Two prompts with one id and different content raise CorpusError, which names both places. If bad prompts are to be
    recorded, the second one is yielded as a bad prompt instead.
    """
    for prompt in prompts:
        if isinstance(prompt, BadPrompt) or (before := queue.register(prompt)) is None:
            yield prompt
            continue
        place, same = before
        if not same:
            reason = f"id {prompt.id!r} was given at {place} to a prompt with other content"
            if config.on_bad_prompt == "stop":
                raise CorpusError(f"{prompt.where}: {reason}; give each prompt an id of its own")
            yield BadPrompt(prompt.where, prompt.where, reason)
