"""Spread: the batches of a long prompt's rounds dealt out to idle replicas. No Ray in here.

An assistant repeats the forward pass and the encoding, so that nothing but chosen features and finished rows travels.
It is used if the same features fire for it with the same activations, to the bit; who fails or is late is done without.
Batches are cut by the prompt and the configuration, so it does not matter for the graph who computes which.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..config import TraceConfig
from ..model.model import Model
from ..model.tokenize import tokenize
from ..prompt import Prompt
from ..trace.attribute import run_and_encode
from ..trace.device import matmul_precision
from ..trace.edge_block_io import SerializedBlock, deserialize, serialize
from ..trace.encode import ActiveFeatures
from ..trace.rows import EdgeBlock, RowComputer
from ..trace.targets import ResolvedTargets
from ..transcoder.base import Transcoders

_log = logging.getLogger(__name__)

_PATIENCE_SECONDS, _PATIENCE = 10.0, 4.0
"""An assistant may take so long after its leader is finished, or so many times what the leader took."""


class Helper(Protocol):
    """An idle replica, seen from the one that it helps: asked now, answering later."""

    def open(self, prompt: Prompt, config: TraceConfig) -> None:
        """Begin to prepare for a prompt. Raises HelperFailed."""
        ...

    def fingerprint(self) -> str | None:
        """Of what fires there, once it is prepared; None until then. Raises HelperFailed."""
        ...

    def ask(self, chosen_F: npt.NDArray[np.int64], number: int) -> None:
        """Begin to compute the batch with this number of a round. Raises HelperFailed."""
        ...

    def answered(self) -> bool:
        """Whether `take` need not wait."""
        ...

    def take(self, seconds: float) -> SerializedBlock:
        """The block asked for. Raises HelperFailed, also if it is not there within so many seconds."""
        ...


class HelperFailed(Exception):
    """An assistant is lost, late or otherwise of no use."""


class HelperPool:
    """The replicas offered to this one, by another thread, while it is tracing a prompt."""

    def __init__(self) -> None:
        self._offered: list[Helper] = []
        self._lock = threading.Lock()

    def offer(self, assistant: Helper) -> None:
        """It is idle, and may be used for the prompt that is being traced."""
        with self._lock:
            self._offered.append(assistant)

    def take_offered(self) -> list[Helper]:
        """Those offered since the last time."""
        with self._lock:
            offered, self._offered = self._offered, []
        return offered


class SharedRowComputer:
    """A RowSource that leaves some batches to assistants, as soon as there are any."""

    def __init__(
        self,
        rows: RowComputer,
        prompt: Prompt,
        config: TraceConfig,
        assistants: HelperPool,
        step: Callable[[], None] = lambda: None,
    ) -> None:
        """`step` is called when a batch is computed here."""
        self._rows, self._prompt, self._config, self._assistants = rows, prompt, config, assistants
        self._step = step
        self._opening: list[Helper] = []
        self._ready: list[Helper] = []

    def of_targets(self, directions: ResolvedTargets) -> Iterator[EdgeBlock]:
        """Rows of every target, which are few."""
        return self._rows.of_targets(directions)

    def of_features(self, chosen_F: Tensor) -> Iterator[EdgeBlock]:
        """Rows of active features, in the order of their batches, whoever computed them."""
        spread = _Round(self._rows, chosen_F, self._look_for_assistants)
        for block in self._rows.of_features(chosen_F, spread.takes):
            self._step()
            yield from spread.add(block)
        yield from spread.rest()

    def _look_for_assistants(self) -> list[Helper]:
        """Open those that are new; those that are open and see the same features are of use, until they fail."""
        for assistant in self._assistants.take_offered():
            try:
                assistant.open(self._prompt, self._config)
                self._opening.append(assistant)
            except HelperFailed as error:
                _log.warning("an assistant is of no use: %s", error)
        for assistant in list(self._opening):
            try:
                found = assistant.fingerprint()
                if found is None:
                    continue
                if found != fingerprint(self._rows.features):
                    raise HelperFailed("other features fire there; are all machines of one kind?")
                self._ready.append(assistant)
            except HelperFailed as error:
                _log.warning("an assistant is of no use: %s", error)
            self._opening.remove(assistant)
        return self._ready


class _Round:
    """One round's batches, large ones first: whoever has nothing to do takes the next one."""

    def __init__(self, rows: RowComputer, chosen_F: Tensor, assistants: Callable[[], list[Helper]]) -> None:
        self._rows, self._chosen_F, self._assistants = rows, chosen_F, assistants
        self._num_batches = rows.num_batches(chosen_F)
        self._leaders = -1
        """The leader's batch."""
        self._given = 0
        """All batches before this one are done or under way."""
        self._asked: dict[Helper, int] = {}
        self._blocks: dict[int, EdgeBlock] = {}
        self._next = 0
        """The first block not passed on."""
        self._started = time.monotonic()

    def takes(self, number: int) -> bool:
        """Whether the leader is to compute this batch; if so, those after it go to who has nothing to do."""
        if number < self._given:
            return False
        self._leaders, self._given = number, number + 1
        for assistant in [one for one in self._asked if one.answered()]:
            self._receive(assistant, 0.0)
        for assistant in [one for one in self._assistants() if one not in self._asked]:
            if self._given < self._num_batches:
                try:
                    assistant.ask(self._chosen_F.numpy(force=True), self._given)
                except HelperFailed as error:
                    self._do_without(assistant, error)
                    continue
                self._asked[assistant] = self._given
                self._given += 1
        return True

    def add(self, block: EdgeBlock) -> Iterator[EdgeBlock]:
        """The leader's block; those that are next are passed on."""
        self._blocks[self._leaders] = block
        while self._next in self._blocks:
            yield self._blocks.pop(self._next)
            self._next += 1

    def rest(self) -> Iterator[EdgeBlock]:
        """What assistants are still computing. They may take as long as the leader took, some times over."""
        patience = max(_PATIENCE_SECONDS, _PATIENCE * (time.monotonic() - self._started))
        for assistant in list(self._asked):
            self._receive(assistant, patience)
        for number in sorted(self._blocks):
            yield self._blocks[number]

    def _receive(self, assistant: Helper, seconds: float) -> None:
        number, columns = self._asked.pop(assistant), self._rows.features.columns
        try:
            self._blocks[number] = deserialize(assistant.take(seconds), columns, self._chosen_F.device)
        except HelperFailed as error:
            self._do_without(assistant, error)
            (self._blocks[number],) = self._rows.of_features(self._chosen_F, number.__eq__)

    def _do_without(self, assistant: Helper, error: HelperFailed) -> None:
        _log.warning("going on without an assistant: %s", error)
        self._assistants().remove(assistant)


class HelperSession:
    """The other end: one prompt of another replica, prepared here."""

    def __init__(self, prompt: Prompt, model: Model, transcoders: Transcoders, config: TraceConfig) -> None:
        tape, features = run_and_encode(tokenize(prompt, model.tokenizer, model.shape), model, transcoders, config)
        self._rows = RowComputer(model, tape, transcoders, features, config.sweep_rows, config.keep_row_mass)
        self._config = config
        self.fingerprint = fingerprint(features)

    def block(self, chosen_F: Tensor, number: int) -> SerializedBlock:
        """One batch of a round."""
        with matmul_precision(self._config.sweep_dtype):
            (block,) = self._rows.of_features(chosen_F, number.__eq__)
            return serialize(block)


def fingerprint(features: ActiveFeatures) -> str:
    """Equal for equal features and activations only."""
    table, found = features.table(), hashlib.sha256()
    for column in (table.layer_A, table.position_A, table.feature_A, table.activation_A):
        found.update(column.tobytes())
    return found.hexdigest()
