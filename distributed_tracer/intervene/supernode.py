"""Supernode: a named group of features that represent one thing, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import plain_values
from ..errors import InterventionError
from ..graph.graph import Graph
from ..graph.nodes import NodeKind
from ..text import counted, listed, short
from .intervention import Intervention


class Feature(NamedTuple):
    """A transcoder feature at a position, or at each position of a slice, as in an `Intervention`."""

    layer: int
    position: int | slice
    feature: int


@dataclass(frozen=True)
class Supernode:
    """A named group of features, with the names of the supernodes that it acts on.

    `activations` are those that the features had in the graph where they were found, in the order of `features`; their
    sum is the supernode's reference activation in any prompt. If `activations` is empty, the reference is measured in
    the prompt in which the supernode is used. A supernode without features is only a label in pictures.
    """

    name: str
    features: tuple[Feature, ...]
    children: tuple[str, ...] = ()
    activations: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.children, str) or not all(isinstance(child, str) for child in self.children):
            raise InterventionError(f"children of a supernode must be a sequence of names, not {self.children!r}")
        activations = plain_values.floats(
            self.activations, f"activations of supernode {self.name!r}", InterventionError
        )
        object.__setattr__(self, "features", tuple(map(_feature, self.features)))
        object.__setattr__(self, "children", tuple(self.children))
        object.__setattr__(self, "activations", activations)
        if self.activations and len(self.activations) != len(self.features):
            raise InterventionError(
                f"supernode {self.name!r} has {len(self.features)} features but {len(self.activations)} activations"
            )

    def __repr__(self) -> str:
        return f"<Supernode {short(self.name)}: {counted(len(self.features), 'feature')} ({listed(self.features)})>"

    @classmethod
    def of_nodes(cls, name: str, graph: Graph, nodes: Sequence[int] | npt.NDArray[np.intp]) -> Supernode:
        """Make a supernode of feature nodes of a graph, given by number, with their activations.

        Raises InterventionError for nodes that are not features.
        """
        of, chosen = graph.nodes, plain_values.integers(nodes, "numbers of nodes", InterventionError)
        for node in chosen:
            if not (0 <= node < len(of) and of.kind_N[node] == NodeKind.FEATURE):
                raise InterventionError(f"node {node} is not a feature: only features can be set")
        columns = (column[list(chosen)].tolist() for column in (of.layer_N, of.position_N, of.feature_N))
        features = tuple(map(Feature._make, zip(*columns, strict=True)))
        return cls(name, features, activations=tuple(of.activation_N[list(chosen)].tolist()))

    def times(self, times: float) -> tuple[Intervention, ...]:
        """Return interventions that set all features to a multiple of their activation.

        The activation is that in `activations` if given, else that in the prompt.
        """
        if self.activations:
            both = zip(self.features, self.activations, strict=True)
            return tuple(Intervention(*feature, value=times * activation) for feature, activation in both)
        return tuple(Intervention(*feature, times=times) for feature in self.features)

    def value(self, value: float) -> tuple[Intervention, ...]:
        """Return interventions that set all features to the same activation."""
        return tuple(Intervention(*feature, value=value) for feature in self.features)

    def at(self, position: int | slice | Mapping[int, int | slice]) -> Supernode:
        """Return the same features at other positions: all at one, or each at the position that a mapping gives.

        A mapping leads from present to new positions. If features coincide there, the one with the largest activation
        is kept. Raises InterventionError for a position that the mapping lacks.
        """
        if not isinstance(position, Mapping):
            position = plain_values.place(position, "a position", InterventionError)
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


def _feature(item: Sequence[Any]) -> Feature:
    """Make a Feature of a layer, a position and a feature, which may be numpy or torch scalars."""
    if not isinstance(item, Sequence | np.ndarray) or isinstance(item, str) or len(item) != 3:
        raise InterventionError(f"a feature is layer, position and feature, not {plain_values.shown(item)}")
    layer, position, feature = item
    return Feature(
        plain_values.integer(layer, "a layer", InterventionError),
        plain_values.place(position, "a position", InterventionError),
        plain_values.integer(feature, "a feature", InterventionError),
    )
