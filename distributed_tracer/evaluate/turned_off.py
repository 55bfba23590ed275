"""TurnedOff: what sets of a prompt's features change in some quantities when they are turned off, many in one pass.

Axes: B row of a batch (a case), P position, D model width, X feature of a set or read in a layer, Y quantity, A active
feature, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..graph.graph import Graph
from ..intervene.intervene import InterventionCase, intervene
from ..intervene.intervention import Intervention
from ..model.model import Model
from ..transcoder.base import Transcoders
from .control_sets import Ints, PromptFeatures
from .hypotheses import Quantity

Floats = npt.NDArray[np.float64]


def features_of(graph: Graph, model: Model, transcoders: Transcoders) -> PromptFeatures:
    """Return the features that are active in a graph's prompt, as the model finds them now."""
    (plain,) = intervene([_case(graph, ())], model, transcoders, with_active=True)
    assert plain.before.active is not None
    return PromptFeatures.of(plain.before.active)


class TurnedOff:
    """Measures sets of features, given as numbers of PromptFeatures; a set that was measured is not measured again."""

    def __init__(
        self,
        graph: Graph,
        features: PromptFeatures,
        quantities: Sequence[Quantity],
        strength: float,
        model: Model,
        transcoders: Transcoders,
    ) -> None:
        """Choose what is read: every quantity that the prompt has (see `is_known`)."""
        self._graph, self._features, self._strength = graph, features, strength
        self._model, self._transcoders = model, transcoders
        self._number = {one: number for number, one in enumerate(q for q in quantities if self._has(q))}
        self._fallen: dict[bytes, Floats] = {}

    def is_known(self, quantity: Quantity) -> bool:
        """Whether the prompt has a quantity: a target that is a token's logit at the end, or an active feature."""
        return quantity in self._number

    def fallen(self, chosen_X: Ints, quantity: Quantity) -> float:
        """Return by how much a quantity falls if a set of features is turned off, which was measured."""
        return float(self._fallen[chosen_X.tobytes()][self._number[quantity]])

    def measure(self, sets: Iterable[Ints], cases_at_once: int) -> None:
        """Measure sets of features, each in a row of a batch, beside the unchanged prompt."""
        wanted = {chosen.tobytes(): chosen for chosen in sets}
        left = [(key, chosen) for key, chosen in wanted.items() if key not in self._fallen]
        for first in range(0, len(left), cases_at_once):
            batch = left[first : first + cases_at_once]
            value_BY = self._values([np.zeros(0, dtype=np.int64), *(chosen for _, chosen in batch)])
            for (key, _), value_Y in zip(batch, value_BY[1:], strict=True):
                self._fallen[key] = value_BY[0] - value_Y

    def _values(self, sets: Sequence[Ints]) -> Floats:
        """Return each quantity [B, Y] with each set turned off."""
        cases = [_case(self._graph, self._interventions(chosen)) for chosen in sets]
        reader = _FeatureReader(self._number, self._features, len(sets), self._transcoders)
        effects = intervene(cases, self._model, self._transcoders, observe=reader)
        for row, effect in enumerate(effects):
            logits_V = effect.after.logits_V.double()
            mean = float(logits_V.mean())
            for quantity, number in self._number.items():
                if quantity.kind != "feature":
                    tokens = self._weights(quantity)
                    total = sum(weight * (float(logits_V[token]) - mean) for token, weight in tokens)
                    reader.value_BY[row, number] = total / sum(weight for _, weight in tokens)
        return reader.value_BY

    def _interventions(self, chosen_X: Ints) -> tuple[Intervention, ...]:
        active = self._features.active.take(np.flatnonzero(np.isin(self._features.row_A, chosen_X)))
        sites = zip(active.layer_A.tolist(), active.position_A.tolist(), active.feature_A.tolist(), strict=True)
        return tuple(Intervention(*site, times=1.0 - self._strength) for site in sites)

    def _weights(self, quantity: Quantity) -> list[tuple[int, float]]:
        """Return the tokens and weights of a quantity of targets; nothing if the prompt has none."""
        last = len(self._graph.tokens_P) - 1
        known = [target for target in self._graph.targets if target.token_id >= 0 and target.position == last]
        if quantity.kind == "token":
            return [(target.token_id, 1.0) for target in known if target.token_id == quantity.number][:1]
        return [(target.token_id, float(target.weight)) for target in known if target.weight > 0]

    def _has(self, quantity: Quantity) -> bool:
        if quantity.kind != "feature":
            return bool(self._weights(quantity))
        return len(self._features.numbers(((quantity.layer, quantity.number),))) > 0


class _FeatureReader:
    """LayerObserver of the pre-activations of some features, without biases, summed over the positions where each is
    active in the unchanged prompt."""

    def __init__(
        self, number: dict[Quantity, int], features: PromptFeatures, num_cases: int, transcoders: Transcoders
    ) -> None:
        self.value_BY = np.zeros((num_cases, len(number)))
        self._transcoders = transcoders
        self._of_layer: dict[int, list[tuple[int, int, list[int]]]] = {}
        active = features.active
        for quantity, column in number.items():
            if quantity.kind == "feature":
                own = (active.layer_A == quantity.layer) & (active.feature_A == quantity.number)
                read = (column, quantity.number, active.position_A[own].tolist())
                self._of_layer.setdefault(quantity.layer, []).append(read)

    def __call__(self, layer: int, x_BPD: Tensor) -> None:
        read = self._of_layer.get(layer)
        if read is None:
            return
        feature_X = torch.tensor([feature for _, feature, _ in read], device=x_BPD.device)
        vectors_XD, _ = self._transcoders.encoder_rows(layer, feature_X)
        sums_BXD = torch.stack([x_BPD[:, positions].double().sum(1) for _, _, positions in read], dim=1)
        values_BX = (sums_BXD * vectors_XD.to(x_BPD.device).double()).sum(-1).numpy(force=True)
        self.value_BY[:, [column for column, _, _ in read]] = values_BX


def _case(graph: Graph, interventions: tuple[Intervention, ...]) -> InterventionCase:
    return InterventionCase(tuple(graph.tokens_P.tolist()), interventions)
