"""SharedRowComputer: shares the batches of a long prompt's rounds with idle replicas. It does not use Ray.

A helper repeats the forward pass and the encoding, so that only chosen features and finished rows are sent. A helper is
used only if its features and activations are bit-identical to ours. A helper that fails or times out is dropped. The
prompt and the configuration alone determine the batches, so the graph does not depend on which replica computes which.
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

_MIN_TIMEOUT_SECONDS, _TIMEOUT_FACTOR = 10.0, 4.0
"""Time limit of a helper after its leader is finished: this number of seconds or, if that is longer, this multiple of
the time that the leader took."""


class Helper(Protocol):
    """An idle replica, as the replica that it helps sees it: calls return at once, answers come later."""

    def open(self, prompt: Prompt, config: TraceConfig) -> None:
        """Begin to prepare for a prompt. Raises HelperFailed."""
        ...

    def fingerprint(self) -> str | None:
        """Return the fingerprint of the helper's active features; None until it is prepared. Raises HelperFailed."""
        ...

    def ask(self, chosen_F: npt.NDArray[np.int64], number: int) -> None:
        """Begin to compute the batch with this number of a round. Raises HelperFailed."""
        ...

    def answered(self) -> bool:
        """Whether `take` would return without waiting."""
        ...

    def take(self, seconds: float) -> SerializedBlock:
        """Return the requested block. Raises HelperFailed, also if the block does not arrive within `seconds`."""
        ...


class HelperFailed(Exception):
    """A helper is lost, late or otherwise unusable."""


class HelperPool:
    """The helpers that another thread offers to this replica while it traces a prompt."""

    def __init__(self) -> None:
        self._offered: list[Helper] = []
        self._lock = threading.Lock()

    def offer(self, helper: Helper) -> None:
        """Add an idle helper, which may be used for the prompt that is being traced."""
        with self._lock:
            self._offered.append(helper)

    def take_offered(self) -> list[Helper]:
        """Return the helpers offered since the last call."""
        with self._lock:
            offered, self._offered = self._offered, []
        return offered


class SharedRowComputer:
    """A RowSource that gives some of its batches to helpers as soon as there are any."""

    def __init__(
        self,
        rows: RowComputer,
        prompt: Prompt,
        config: TraceConfig,
        helpers: HelperPool,
        step: Callable[[], None] = lambda: None,
    ) -> None:
        """Create a row source for one prompt; `step` is called after each batch that this process computes."""
        self._rows, self._prompt, self._config, self._helpers = rows, prompt, config, helpers
        self._step = step
        self._opening: list[Helper] = []
        self._ready: list[Helper] = []

    def of_targets(self, directions: ResolvedTargets) -> Iterator[EdgeBlock]:
        """Compute the rows of all targets here; they are too few to share."""
        return self._rows.of_targets(directions)

    def of_features(self, chosen_F: Tensor) -> Iterator[EdgeBlock]:
        """Yield the rows of active features in the order of their batches, whichever replica computed them."""
        round_ = _Round(self._rows, chosen_F, self._ready_helpers)
        for block in self._rows.of_features(chosen_F, round_.accept):
            self._step()
            yield from round_.add(block)
        yield from round_.rest()

    def _ready_helpers(self) -> list[Helper]:
        """Open new helpers, and return those that are prepared and have the same features, until they fail."""
        for helper in self._helpers.take_offered():
            try:
                helper.open(self._prompt, self._config)
                self._opening.append(helper)
            except HelperFailed as error:
                _log.warning("a helper is of no use: %s", error)
        for helper in list(self._opening):
            try:
                found = helper.fingerprint()
                if found is None:
                    continue
                if found != fingerprint(self._rows.features):
                    raise HelperFailed("other features fire there; are all machines of one kind?")
                self._ready.append(helper)
            except HelperFailed as error:
                _log.warning("a helper is of no use: %s", error)
            self._opening.remove(helper)
        return self._ready


class _Round:
    """The batches of one round, large ones first: each replica that becomes free takes the next batch."""

    def __init__(self, rows: RowComputer, chosen_F: Tensor, helpers: Callable[[], list[Helper]]) -> None:
        self._rows, self._chosen_F, self._helpers = rows, chosen_F, helpers
        self._num_batches = rows.num_batches(chosen_F)
        self._leaders = -1
        """Number of the batch that the leader computes."""
        self._given = 0
        """All batches before this number are finished or being computed."""
        self._requests: dict[Helper, int] = {}
        self._blocks: dict[int, EdgeBlock] = {}
        self._next = 0
        """Number of the first block that has not been yielded."""
        self._started = time.monotonic()

    def accept(self, number: int) -> bool:
        """Whether the leader is to compute this batch. If so, idle helpers are given the batches after it."""
        if number < self._given:
            return False
        self._leaders, self._given = number, number + 1
        for helper in [one for one in self._requests if one.answered()]:
            self._receive(helper, 0.0)
        for helper in [one for one in self._helpers() if one not in self._requests]:
            if self._given < self._num_batches:
                try:
                    helper.ask(self._chosen_F.numpy(force=True), self._given)
                except HelperFailed as error:
                    self._do_without(helper, error)
                    continue
                self._requests[helper] = self._given
                self._given += 1
        return True

    def add(self, block: EdgeBlock) -> Iterator[EdgeBlock]:
        """Add the leader's block, and yield all blocks that are next in order."""
        self._blocks[self._leaders] = block
        while self._next in self._blocks:
            yield self._blocks.pop(self._next)
            self._next += 1

    def rest(self) -> Iterator[EdgeBlock]:
        """Yield the remaining blocks. Helpers may take several times as long as the leader took for its own."""
        timeout = max(_MIN_TIMEOUT_SECONDS, _TIMEOUT_FACTOR * (time.monotonic() - self._started))
        for helper in list(self._requests):
            self._receive(helper, timeout)
        for number in sorted(self._blocks):
            yield self._blocks[number]

    def _receive(self, helper: Helper, seconds: float) -> None:
        number, columns = self._requests.pop(helper), self._rows.features.columns
        try:
            self._blocks[number] = deserialize(helper.take(seconds), columns, self._chosen_F.device)
        except HelperFailed as error:
            self._do_without(helper, error)
            (self._blocks[number],) = self._rows.of_features(self._chosen_F, number.__eq__)

    def _do_without(self, helper: Helper, error: HelperFailed) -> None:
        _log.warning("going on without a helper: %s", error)
        self._helpers().remove(helper)


class HelperSession:
    """The helper's side: one prompt that another replica traces, prepared in this process."""

    def __init__(self, prompt: Prompt, model: Model, transcoders: Transcoders, config: TraceConfig) -> None:
        with matmul_precision("float32"):
            cache, features = run_and_encode(tokenize(prompt, model.tokenizer, model.shape), model, transcoders, config)
            self._rows = RowComputer(model, cache, transcoders, features, config.sweep_rows, config.keep_row_mass)
        self._config = config
        self.fingerprint = fingerprint(features)

    def block(self, chosen_F: Tensor, number: int) -> SerializedBlock:
        """Compute one batch of a round, and return its rows serialized."""
        with matmul_precision(self._config.sweep_dtype):
            (block,) = self._rows.of_features(chosen_F, number.__eq__)
            return serialize(block)


def fingerprint(features: ActiveFeatures) -> str:
    """Return a SHA-256 digest of all active features and activations, in hexadecimal digits.

    Two digests are equal only if all features and activations are bit-identical.
    """
    table, found = features.table(), hashlib.sha256()
    for column in (table.layer_A, table.position_A, table.feature_A, table.activation_A):
        found.update(column.tobytes())
    return found.hexdigest()
