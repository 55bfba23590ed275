"""LinearErrorWorker: fits the errors of some layers at a time, reading all prompts twice. It does not use Ray.

The first pass adds up products of inputs and errors for each fold, always in the order of prompts and in float64. Then
each fold is predicted from the others, and the second pass says what is left. A layer's numbers do not depend on which
layers are fitted with it, nor on the number of workers.

Axes: P position, D model width, I prompt by rank, L layer, X token of all prompts, by rank and position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..artifacts.files_in_use import Content, What
from ..config import JobConfig
from ..mine.linear_errors import LayerErrors
from ..mine.ridge import FoldFit, FoldSums, cross_fit
from ..mine.statistics import Floats, Mask
from ..model.forward_cache import run_with_cache
from ..model.tokenize import num_zeroed_positions
from ..plan.work import Outcome, WorkUnit
from ..runtime.prompt_attempt import LoadedModel, PromptAttempts
from ..runtime.reply import WorkerReply
from ..threads import few_on_one_thread, product
from ..trace.device import matmul_precision
from ..trace.encode import encode
from ..transcoder.shard import Shard
from .settings import FOLDS, Corpus, LinearErrorSettings

LAYERS = "layers"
"""Key of a unit's metadata: the layers to fit."""
_BLOCK = 1_024
"""Number of rows whose products are computed at once."""


class LinearErrorWorker:
    """Fits groups of layers, one after another, and writes a file for each layer."""

    loaded: LoadedModel

    def __init__(
        self,
        settings: LinearErrorSettings,
        config: JobConfig,
        threads: int,
        shard: Shard = Shard(),  # noqa: B008  (Shard is frozen)
        expected: Mapping[What, Content] | None = None,
    ) -> None:
        """Load the model and transcoders, and read the tokens.

        Raises InputError as `LoadedModel` does, and StoreError if the store cannot be read.
        """
        self._settings = settings
        self.loaded = LoadedModel(config, threads, shard, expected)
        self._attempts = PromptAttempts(self.loaded, self._work, lambda unit: (1,), "encode")
        self._corpus: Corpus = settings.corpus()
        self._durable: list[str] = []
        self.loaded.phases.start("idle")

    def trace(self, *units: WorkUnit) -> WorkerReply:
        """Fit the layers of the units. Raises FilesChanged if the numbers may be of two models."""
        outcomes = self._attempts.run(units)
        durable, self._durable = tuple(self._durable), []
        return WorkerReply(outcomes, durable=durable)

    def flush(self) -> WorkerReply:
        """Return nothing: what is fitted is written."""
        return WorkerReply()

    def _work(self, unit: WorkUnit, size: int, outcome: Outcome) -> Outcome:
        layers = list(unit.prompt.metadata[LAYERS])
        width, num_prompts = self.loaded.model.shape.d_model, len(self._corpus)
        sums = {layer: _Sums(width) for layer in layers}
        for rank, of_layers in self._errors(layers):
            is_new_P = self._corpus.is_new(rank)
            for layer, (x_PD, error_PD) in of_layers.items():
                own_P = torch.from_numpy(is_new_P[-len(x_PD) :])
                sums[layer].add(int(self._corpus.fold_I[rank]), x_PD[own_P], error_PD[own_P])
        fits = {layer: _Fit(cross_fit(sums.pop(layer).finished(), together=True)) for layer in layers}
        left = {layer: _Left(num_prompts, len(self._corpus.token_X)) for layer in layers}
        for rank, of_layers in self._errors(layers):
            end, is_new_P = int(self._corpus.first_I[rank + 1]), self._corpus.is_new(rank)
            for layer, (x_PD, error_PD) in of_layers.items():
                squares_3P = fits[layer].rest(int(self._corpus.fold_I[rank]), x_PD, error_PD).numpy()
                left[layer].add(rank, end, squares_3P, is_new_P[-len(x_PD) :])
        self.loaded.files.check()
        for layer in layers:
            left[layer].finished(fits[layer].penalties).write(self._settings.layer_path(layer))
        self._durable.append(unit.prompt.id)
        return outcome

    def _errors(self, layers: Sequence[int]) -> Iterator[tuple[int, dict[int, tuple[Tensor, Tensor]]]]:
        """Yield each prompt's rank, with what the transcoders of the layers read and miss at its last positions, in
        float64 on the CPU. A layer whose values are not all finite is left out."""
        model, transcoders = self.loaded.model, self.loaded.transcoders
        shape = transcoders.shape
        for rank in range(len(self._corpus)):
            tokens = self._corpus.tokens(rank)
            zeroed = num_zeroed_positions(tokens, model.shape.architecture)
            with (
                torch.no_grad(),
                matmul_precision("float32"),
                few_on_one_thread(model.input_device, len(tokens), model.shape.d_model),
            ):
                cache = run_with_cache(model, tokens, shape.input_site, shape.output_site)
                vectors = encode(model, cache, transcoders, zeroed, model.dtype, keep_vectors=False).source_vectors
            found = {}
            for layer in layers:
                pair = tuple(
                    values_PD[zeroed:].to("cpu", torch.float64)
                    for values_PD in (cache.inputs_PD[layer], vectors.error_LPD[layer])
                )
                if len(pair[0]) and all(bool(values.isfinite().all()) for values in pair):
                    found[layer] = (pair[0], pair[1])
            self.loaded.phases.step()
            yield rank, found


class _Sums:
    """Sums over the rows of each fold, in float64. Rows of a fold wait until they are a block."""

    def __init__(self, width: int) -> None:
        self._n = np.zeros(FOLDS)
        self._sums = torch.zeros(3, FOLDS, width, dtype=torch.float64)
        self._products = torch.zeros(2, FOLDS, width, width, dtype=torch.float64)
        self._waiting: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(FOLDS)]

    def add(self, fold: int, x_PD: Tensor, error_PD: Tensor) -> None:
        self._waiting[fold].append((x_PD, error_PD))
        if sum(len(x) for x, _ in self._waiting[fold]) >= _BLOCK:
            self._multiply(fold)

    def finished(self) -> FoldSums:
        for fold in range(FOLDS):
            self._multiply(fold)
        x, error, square = (sums.numpy() for sums in self._sums)
        xx, xe = (products.numpy() for products in self._products)
        used = self._n > 0  # fewer clusters than folds
        sums = (self._n, x, error, xx, xe, square)
        return FoldSums(*(sums if used.all() else (values[used] for values in sums)))

    def _multiply(self, fold: int) -> None:
        if not self._waiting[fold]:
            return
        x, error = (torch.cat(parts) for parts in zip(*self._waiting[fold], strict=True))
        self._waiting[fold] = []
        self._n[fold] += len(x)
        for sums, values in zip(self._sums, (x, error, error.square()), strict=True):
            sums[fold] += values.sum(0)
        self._products[0, fold] += product(x.T, x)
        self._products[1, fold] += product(x.T, error)


class _Fit:
    """What predicts the errors of each fold."""

    def __init__(self, fits: Sequence[FoldFit]) -> None:
        self._fits = [[torch.from_numpy(values) for values in (fit.mean_x, fit.mean_y, fit.weights)] for fit in fits]
        self.penalties = np.array([fit.penalty[0] for fit in fits])

    def rest(self, fold: int, x_PD: Tensor, error_PD: Tensor) -> Tensor:
        """Return |error|², |error - constant|² and |error - constant - linear map|² at each position [3, P]."""
        mean_x_D, mean_error_D, weights_DD = self._fits[fold]
        varying_PD = error_PD - mean_error_D
        rest_PD = varying_PD - product(x_PD - mean_x_D, weights_DD)
        return torch.stack([values_PD.square().sum(1) for values_PD in (error_PD, varying_PD, rest_PD)])


class _Left:
    """What is left of the errors of a layer, prompt by prompt."""

    def __init__(self, num_prompts: int, num_tokens: int) -> None:
        self._tokens_I = np.zeros(num_prompts, np.int64)
        self._squares_3I = np.zeros((3, num_prompts))
        self._rest = np.full(num_tokens, np.nan, np.float32)

    def add(self, rank: int, end: int, squares_3P: Floats, is_new_P: Mask) -> None:
        """Add the last positions of a prompt, whose tokens end at `end`. Only new ones count in the sums."""
        self._tokens_I[rank] = np.count_nonzero(is_new_P)
        self._squares_3I[:, rank] = squares_3P[:, is_new_P].sum(axis=1)
        whole_P, rest_P = squares_3P[0], squares_3P[2]
        ratio_P = np.sqrt(np.divide(rest_P, whole_P, out=np.zeros_like(rest_P), where=whole_P > 0))
        self._rest[end - len(ratio_P) : end] = ratio_P

    def finished(self, penalties: Floats) -> LayerErrors:
        square_I, varying_I, rest_I = self._squares_3I
        return LayerErrors(self._tokens_I, square_I, varying_I, rest_I, self._rest, penalties)
