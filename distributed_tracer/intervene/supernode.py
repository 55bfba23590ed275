"""Supernode: features that stand for one thing, under a name. Plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..display import counted, listed, short
from ..errors import InterventionError
from ..graph.graph import Graph
from ..graph.nodes import Kind
from .intervention import Intervention


class Feature(NamedTuple):
    """A transcoder feature at a position, or at each of a slice's, as in an `Intervention`."""

    layer: int
    position: int | slice
    feature: int


@dataclass(frozen=True)
class Supernode:
    """Features under a name, and the names of the supernodes that they act on.

    `activations` are what the features had where they were found, in their order: the supernode's measure in any
    prompt. Empty, it is measured in the prompt that it is used in. Without features it is a mere label in pictures.
    """

    name: str
    features: tuple[Feature, ...]
    children: tuple[str, ...] = ()
    activations: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("features", Feature._make), ("children", str), ("activations", float)):
            object.__setattr__(self, name, tuple(kind(item) for item in getattr(self, name)))
        if self.activations and len(self.activations) != len(self.features):
            raise InterventionError(
                f"supernode {self.name!r} has {len(self.features)} features but {len(self.activations)} activations"
            )
        if not all(map(math.isfinite, self.activations)):
            raise InterventionError(f"supernode {self.name!r} has an activation that is not finite")

    def __repr__(self) -> str:
        return f"<Supernode {short(self.name)}: {counted(len(self.features), 'feature')} ({listed(self.features)})>"

    @classmethod
    def of_nodes(cls, name: str, graph: Graph, nodes: Sequence[int] | npt.NDArray[np.intp]) -> Supernode:
        """Some feature nodes of a graph, by number, with their activations. Raises InterventionError for others."""
        of, chosen = graph.nodes, [int(node) for node in nodes]
        for node in chosen:
            if not (0 <= node < len(of) and of.kind_N[node] == Kind.FEATURE):
                raise InterventionError(f"node {node} is not a feature: only features can be set")
        columns = (column[chosen].tolist() for column in (of.layer_N, of.position_N, of.feature_N))
        features = tuple(map(Feature._make, zip(*columns, strict=True)))
        return cls(name, features, activations=tuple(of.activation_N[chosen].tolist()))

    def times(self, times: float) -> tuple[Intervention, ...]:
        """All features at a multiple of what they had: of `activations`, else of what they have in the prompt."""
        if self.activations:
            both = zip(self.features, self.activations, strict=True)
            return tuple(Intervention(*feature, value=times * activation) for feature, activation in both)
        return tuple(Intervention(*feature, times=times) for feature in self.features)

    def value(self, value: float) -> tuple[Intervention, ...]:
        """All features at one activation."""
        return tuple(Intervention(*feature, value=value) for feature in self.features)

    def at(self, position: int | slice | Mapping[int, int | slice]) -> Supernode:
        """The same features elsewhere: all at one position, or each at what a mapping says of its own.

        Of features that meet there, the one with the largest activation stays. Raises InterventionError for a position
        that the mapping lacks.
        """
        moved: dict[str, tuple[Feature, float]] = {}
        activations = self.activations or (0.0,) * len(self.features)
        for feature, activation in zip(self.features, activations, strict=True):
            there = feature._replace(position=self._moved(feature.position, position))
            known = moved.get(str(there))  # slices have no hash
            if known is None or activation > known[1]:
                moved[str(there)] = there, activation
        features, values = zip(*moved.values(), strict=True) if moved else ((), ())
        return replace(self, features=features, activations=values if self.activations else ())

    def _moved(self, of: int | slice, to: int | slice | Mapping[int, int | slice]) -> int | slice:
        if not isinstance(to, Mapping):
            return to
        if isinstance(of, slice) or of not in to:
            raise InterventionError(
                f"supernode {self.name!r} has a feature at {of}, for which there is no new position; there are "
                f"{', '.join(map(str, to))}"
            )
        return to[of]
