"""Accumulator: adds the active features of texts to the states of all layers, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .candidates import Limits
from .chunk import Chunk, Window
from .layer_state import LayerState, Sizes, empty_state, merge

CHUNK_ACTIVE = 2**21
"""Number of active features that are examined together; they take some 200 bytes each meanwhile."""
_ACTIVE_BYTES = 12
"""Bytes of an active feature until it is counted: place, feature and activation."""
MOST_OF_CHUNK = 2**22
"""Bound of a chunk, so that its sums are exact."""


@dataclass(frozen=True)
class Sampling:
    """What is kept of contexts: how many, how many tokens on each side, and the seed of the choice."""

    sizes: Sizes = field(default_factory=Sizes)
    radius: int = 16
    seed: int = 0


class _Layer:
    """The state of a layer after the texts so far, as one state and some small ones that are not merged into it yet."""

    def __init__(self) -> None:
        self.state, self.later, self.later_bytes = empty_state(), list[LayerState](), 0
        self.limits = Limits.of(self.state.candidates, 1, 1)

    def add(self, state: LayerState, sizes: Sizes) -> None:
        self.later.append(state)
        self.later_bytes += state.num_bytes
        if 2 * self.later_bytes > self.state.num_bytes:
            self.settle(sizes)

    def settle(self, sizes: Sizes) -> None:
        self.state = merge([self.state, *self.later], sizes)
        self.later, self.later_bytes = [], 0
        self.limits = Limits.of(self.state.candidates, sizes.per_quantile, sizes.sample)


class Accumulator:
    """States of all layers, to which prompts are added, each whole."""

    def __init__(self, num_layers: int, sampling: Sampling) -> None:
        self._layers = [_Layer() for _ in range(num_layers)]
        self._sampling = sampling
        self._windows: list[Window] = []
        self._num_active = 0

    def add(self, windows: Sequence[Window]) -> None:
        """Add all windows of one prompt, or of one piece of it."""
        num_active = sum(window.num_active for window in windows)
        if self._num_active + num_active > MOST_OF_CHUNK:
            self.absorb()
        self._windows += windows
        self._num_active += num_active
        if self._num_active >= CHUNK_ACTIVE:
            self.absorb()

    def absorb(self) -> None:
        """Bring the prompts that were added into the states."""
        if not self._windows:
            return
        sizes, chunk = self._sampling.sizes, Chunk(self._windows, self._sampling.radius, self._sampling.seed)
        for number, layer in enumerate(self._layers):
            state = chunk.state(number, layer.limits, sizes)
            if len(state):
                layer.add(state, sizes)
        self._windows, self._num_active = [], 0

    @property
    def num_bytes(self) -> int:
        """Bytes of the states, and about those of the prompts that were added since."""
        waiting = _ACTIVE_BYTES * self._num_active
        return waiting + sum(layer.state.num_bytes + layer.later_bytes for layer in self._layers)

    def states(self) -> list[LayerState]:
        """Return the state of each layer after all prompts that were added."""
        self.absorb()
        for layer in self._layers:
            if layer.later:
                layer.settle(self._sampling.sizes)
        return [layer.state for layer in self._layers]
