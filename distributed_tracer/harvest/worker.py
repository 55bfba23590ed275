"""HarvestWorker: reads texts with the model of one process, counts active features, and writes the counts as parts.

It does not use Ray. Executors treat it like any worker: a part counts once the driver has committed it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..artifacts.files_in_use import Content, What
from ..config import JobConfig
from ..model.hooks import NormKey, hooked
from ..model.tokenize import num_zeroed_positions
from ..plan.work import Outcome, WorkUnit
from ..profile.accumulator import Accumulator
from ..profile.chunk import Active, Window, check_activations
from ..profile.parts import write_part
from ..runtime.prompt_attempt import LoadedModel, PromptAttempts
from ..runtime.reply import WorkerReply
from ..store.format.part_manifest import PartManifest, PromptSummary
from ..threads import few_on_one_thread
from ..trace.device import matmul_precision
from ..transcoder.shard import Shard
from .decoder_effects import write_decoder_effects
from .settings import HarvestSettings
from .units import LAYER, PIECE, PIECE_FIRST, PROMPT_ID, PROMPT_NUMBER
from .windows import cut


class HarvestWorker:
    """Examines pieces of texts, and the decoders of layers, one after another."""

    loaded: LoadedModel

    def __init__(
        self,
        settings: HarvestSettings,
        config: JobConfig,
        threads: int,
        shard: Shard = Shard(),  # noqa: B008  (Shard is frozen)
        expected: Mapping[What, Content] | None = None,
    ) -> None:
        """Load the model and transcoders. Raises InputError as `LoadedModel` does."""
        self._settings, self._folder = settings, Path(settings.out)
        self.loaded = LoadedModel(config, threads, shard, expected)
        self._attempts = PromptAttempts(self.loaded, self._work, lambda unit: (1,), "encode")
        self._accumulator = self._new_accumulator()
        self._units: list[str] = []
        self._durable: list[str] = []
        self._num_tokens, self._first_added = 0, time.monotonic()
        self.loaded.phases.start("idle")

    def trace(self, *units: WorkUnit) -> WorkerReply:
        """Examine pieces of texts, or decoders, and write a part if there is enough for one.

        Raises OSError if a part cannot be written, and FilesChanged if its counts may be of two models.
        """
        outcomes = self._attempts.run(units)
        durable, self._durable = tuple(self._durable), []
        return WorkerReply(outcomes, self._write() if self._is_full else None, durable)

    def flush(self) -> WorkerReply:
        """Write a part of all that is not written yet. Raises as `trace` does."""
        return WorkerReply(manifest=self._write())

    def _new_accumulator(self) -> Accumulator:
        return Accumulator(self.loaded.model.shape.num_layers, self._settings.sampling)

    @property
    def _is_full(self) -> bool:
        if not self._units:
            return False
        is_due = time.monotonic() - self._first_added >= self._settings.part_seconds
        return is_due or self._accumulator.num_bytes >= self._settings.part_bytes

    def _work(self, unit: WorkUnit, size: int, outcome: Outcome) -> Outcome:
        if (layer := unit.prompt.metadata.get(LAYER)) is not None:
            settings, loaded = self._settings, self.loaded
            arguments = (loaded.model, loaded.transcoders, settings.top_tokens, settings.neighbours)
            with matmul_precision("float32"):
                write_decoder_effects(self._folder, layer, *arguments)
            loaded.files.check()
            self._durable.append(unit.prompt.id)
            return outcome
        windows, num_tokens = self._windows(unit)
        if not self._units:
            self._first_added = time.monotonic()
        self._accumulator.add(windows)
        self._units.append(unit.prompt.id)
        self._num_tokens += num_tokens
        return outcome

    def _windows(self, unit: WorkUnit) -> tuple[list[Window], int]:
        """Return the active features of a piece of a text, and the number of tokens that were examined."""
        tokens, about = unit.prompt.tokens, unit.prompt.metadata
        assert tokens is not None, "pieces are tokenized"
        num_leading = num_zeroed_positions(tokens, self.loaded.model.shape.architecture)
        found, num_tokens = [], 0
        for span in cut(tokens, self._settings.context_length, num_leading):
            is_first = about[PIECE] == 0 and span.first == num_leading
            skipped = 0 if is_first else num_leading
            window = Window(
                number=about[PROMPT_NUMBER],
                piece=about[PIECE],
                prompt_id=about[PROMPT_ID],
                first=0 if is_first else about[PIECE_FIRST] + span.first - num_leading,
                depth=skipped,
                num_tokens=len(span.tokens) - skipped,
                active_L=self._active(span.tokens, num_leading, skipped),
            )
            found.append(window)
            num_tokens += len(span.tokens) - num_leading
            self.loaded.phases.step()
        return found, num_tokens

    def _active(self, tokens: tuple[int, ...], num_leading: int, skipped: int) -> tuple[Active, ...]:
        """Return the active features of each layer after the leading positions; places count from `skipped`."""
        model, transcoders = self.loaded.model, self.loaded.transcoders
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        hooks = _EncodeInputs(lambda layer, x_PD: found.append(transcoders.encode(layer, x_PD.to(transcoders.device))))
        tokens_1P = torch.tensor([tokens], dtype=torch.long, device=model.input_device)
        shape = transcoders.shape
        with (
            torch.no_grad(),
            matmul_precision("float32"),
            few_on_one_thread(model.input_device, len(tokens), model.shape.d_model),
            hooked(model, hooks, shape.input_site, shape.output_site),
        ):
            model.hf(input_ids=tokens_1P, use_cache=False, logits_to_keep=1)
        active = []
        for layer, (position_A, feature_A, activation_A) in enumerate(found):
            first = int(torch.searchsorted(position_A, num_leading))
            place = (position_A[first:] - skipped).int().numpy(force=True)
            activation = activation_A[first:].float().numpy(force=True)
            check_activations(layer, activation)
            active.append((place, feature_A[first:].int().numpy(force=True), activation))
        return tuple(active)

    def _write(self) -> PartManifest | None:
        """Write a part, and return its manifest, which names the units; None if nothing was examined since the last."""
        if not self._units:
            return None
        self.loaded.files.check()
        self.loaded.phases.start("store")
        name = uuid.uuid4().hex
        write_part(self._folder, name, self._accumulator.states(), self._units, self._num_tokens)
        manifest = PartManifest(name, tuple(PromptSummary(unit, 0, 0, 0, 0, 0, None, None) for unit in self._units), {})
        self._accumulator, self._units, self._num_tokens = self._new_accumulator(), [], 0
        self.loaded.phases.start("idle")
        return manifest


class _EncodeInputs:
    """Forward hooks that change nothing and give each layer's value at the input site to a function."""

    def __init__(self, encode: Callable[[int, Tensor], None]) -> None:
        self._encode = encode

    def pattern(self, layer: int, compute: Callable[[], Tensor]) -> Tensor:
        return compute()

    def scale(self, key: NormKey, compute: Callable[[], Tensor]) -> Tensor:
        return compute()

    def embeddings(self, x: Tensor) -> Tensor:
        return x

    def mlp_input(self, layer: int, x: Tensor) -> None:
        self._encode(layer, x[0])

    def mlp_output(self, layer: int, y: Tensor) -> Tensor:
        return y

    def final(self, y: Tensor) -> None:
        pass
