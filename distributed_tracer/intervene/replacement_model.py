"""ReplacementModel: a model with its transcoders, and what a notebook does with both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from .. import plain_values
from ..artifacts.files_in_use import FilesInUse
from ..config import DecoderPlace, TraceConfig
from ..errors import ConfigError, PromptError
from ..graph.graph import Graph
from ..model.load import load_model
from ..model.model import Model
from ..model.tokenize import check_unmoved, token_strings, tokenize
from ..prompt import Prompt
from ..trace.attribute import attribute_dense
from ..transcoder.base import Transcoders
from ..transcoder.load import check_fits, load_transcoders
from .generate import generate
from .intervene import InterventionCase, InterventionResult, ModelOutput, intervene
from .intervention import Intervention, named_positions, sequence_of

Text = str | Sequence[int]
"""A prompt as text, or as token ids: a sequence, an array or tensor [P] or [1, P], or the output of a tokenizer."""


class ReplacementModel:
    """Explains a prompt, sets features to other values, and shows what the model predicts then."""

    def __init__(self, model: Model, transcoders: Transcoders, files: FilesInUse | None = None) -> None:
        """Combine a model with its transcoders. Raises InputError if they do not fit each other.

        If `files` are given, every method that computes raises FilesChanged when they change: on a CPU the weights are
        views of these files.
        """
        check_fits(transcoders.shape, model.shape)
        self.model, self.transcoders, self._files = model, transcoders, files

    def __repr__(self) -> str:
        return f"<ReplacementModel of {self.model!r} with {self.transcoders!r}>"

    @classmethod
    def load(
        cls,
        model: str,
        transcoders: str,
        forward_dtype: str = "float32",
        device_map: str = "auto",
        decoders: Literal["auto", DecoderPlace] = "auto",
    ) -> ReplacementModel:
        """Load from directories or hub ids, as `trace` accepts them. Decoders live where `load_transcoders` puts them
        for `decoders`."""
        files = FilesInUse(model, transcoders)
        with files.loading():
            loaded = load_model(model, forward_dtype, device_map)
            read = load_transcoders(transcoders, forward_dtype, loaded.input_device, decoders=decoders)
        return cls(loaded, read, files)

    def tokens(self, prompt: Text, interventions: Sequence[Intervention] = ()) -> tuple[int, ...]:
        """Return token ids that begin with a special token (see `model.tokenize`).

        Raises PromptError, also if a token put before given ids would move a position that `interventions` name.
        """
        ids = None if isinstance(prompt, str) else plain_values.token_ids(prompt, PromptError)
        untokenized = Prompt("prompt", prompt if isinstance(prompt, str) else None, ids)
        tokens = tokenize(untokenized, self.model.tokenizer, self.model.shape).tokens
        assert tokens is not None
        if ids is not None and len(tokens) > len(ids):
            named = [place for one in interventions for place in named_positions(one.position)]
            check_unmoved(named, tokens[: len(tokens) - len(ids)], "the prompt")
        return tokens

    def token_strings(self, prompt: Text) -> tuple[str, ...]:
        """Return the text of each token of a prompt. Position 0 is the special token."""
        return token_strings(self.tokens(prompt), self.model.tokenizer)

    def trace(self, prompt: Prompt | Text, config: TraceConfig = TraceConfig()) -> Graph:  # noqa: B008  (frozen)
        """Return one attribution graph, pruned as `config` says."""
        dense = attribute_dense(prompt, self.model, self.transcoders, config)
        self._check_files()
        return dense.whole() if config.keep_all else dense.pruned(config.node_threshold, config.edge_threshold)

    def intervene(self, prompt: Text, interventions: Sequence[Intervention], **options: Any) -> InterventionResult:
        """Return the effect of interventions on one prompt. The options are those of the function `intervene`."""
        (effect,) = self.intervene_many([(prompt, interventions)], **options)
        return effect

    def intervene_many(
        self, cases: Sequence[tuple[Text, Sequence[Intervention]]], **options: Any
    ) -> list[InterventionResult]:
        """Run all cases in one pass: different interventions on one prompt, one on many prompts, or any mixture."""
        effects = intervene([self._case(*case) for case in cases], self.model, self.transcoders, **options)
        self._check_files()
        return effects

    def generate(self, prompt: Text, interventions: Sequence[Intervention] = (), **options: Any) -> str:
        """Return the model's continuation of the prompt as text. The options are those of the function `generate`."""
        generated = generate(self._case(prompt, interventions), self.model, self.transcoders, **options)
        self._check_files()
        return str(self.model.tokenizer.decode(list(generated)))

    def _case(self, prompt: Text, interventions: Sequence[Intervention]) -> InterventionCase:
        several = sequence_of(interventions)
        return InterventionCase(self.tokens(prompt, several), several)

    def _check_files(self) -> None:
        if self._files is not None:
            self._files.check()

    def top_tokens(self, seen: ModelOutput, count: int = 5) -> list[tuple[str, float]]:
        """Return the most likely next tokens with their probabilities."""
        count = plain_values.integer(count, "count", ConfigError)
        probability, token = seen.logits_V.softmax(0).topk(min(count, len(seen.logits_V)))
        return list(zip(token_strings(token.tolist(), self.model.tokenizer), probability.tolist(), strict=True))
