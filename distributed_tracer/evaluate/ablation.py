"""Ablation: turns features off one by one and reads every node that they have an edge to, to test a graph's edges.

Axes: B row of a batch (a case), P position, D model width, N node of the graph, E edge, V vocabulary,
X some of the nodes (those of one layer) or of the edges (those of the sources that are turned off together).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..graph.graph import Graph
from ..graph.nodes import NodeKind
from ..intervene.intervene import NO_LAYERS, InterventionCase, intervene
from ..intervene.intervention import Intervention
from ..model.model import Model
from ..transcoder.base import Transcoders

_ABLATION_SCALE = {torch.bfloat16: 64.0, torch.float16: 16.0}
"""How far a feature is turned off where nothing reacts, as a multiple of the step to 0, by the model's dtype (1 for
other dtypes). There the effect is linear, so the measured effect is divided by this factor. Without the factor, the
rounding of a bfloat16 residual stream may hide a single feature's effect. float16 rounds less, and must not overflow.
"""


@dataclass(frozen=True, eq=False)
class AblationResult:
    """Edges out of the features that were turned off: node numbers, and what the edge and the model say [E].

    `direct_E` is what the target lost where nothing else reacts; it should equal `weight_E`. `reacting_E` is what the
    target lost where everything reacts except attention patterns.
    """

    source_E: npt.NDArray[np.int64]
    target_E: npt.NDArray[np.int64]
    weight_E: npt.NDArray[np.float64]
    direct_E: npt.NDArray[np.float64]
    reacting_E: npt.NDArray[np.float64]


def sample_sources(graph: Graph, count: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return `count` feature nodes that have outgoing edges, sampled at random; all of them if there are fewer."""
    acting = np.intersect1d(graph.nodes.where(NodeKind.FEATURE), graph.source_E)
    chosen = np.random.default_rng(seed).choice(acting, min(count, len(acting)), replace=False)
    return np.sort(chosen)


def ablate_sources(
    graph: Graph, model: Model, transcoders: Transcoders, sources: Sequence[int], cases_at_once: int = 32
) -> AblationResult:
    """Turn `sources` (numbers of feature nodes) off one by one, and measure the effect on the nodes they have edges to.

    Targets that are not the logit of one token are left out, because a graph does not hold their directions. Raises
    InterventionError for features that the transcoders do not have.
    """
    found = list(_probed(graph, model, transcoders, np.asarray(sources, np.int64), cases_at_once))
    none = (np.zeros(0, np.int64), np.zeros(0, np.int64), *[np.zeros(0)] * 3)
    return AblationResult(*(np.concatenate(columns) for columns in zip(none, *found, strict=True)))


def _probed(
    graph: Graph, model: Model, transcoders: Transcoders, sources: npt.NDArray[np.int64], cases_at_once: int
) -> Iterator[tuple[npt.NDArray[np.generic], ...]]:
    nodes, tokens = graph.nodes, tuple(graph.tokens_P.tolist())
    target_E = graph.target_E()
    knows_N = (nodes.kind_N == NodeKind.FEATURE) | (nodes.kind_N == NodeKind.TARGET)
    knows_N[nodes.where(NodeKind.TARGET)] = [target.token_id >= 0 for target in graph.targets]
    for first in range(0, len(sources), cases_at_once):
        some = sources[first : first + cases_at_once]
        lost = []
        for layers, scale in (
            (range(transcoders.shape.num_layers), _ABLATION_SCALE.get(model.dtype, 1.0)),
            (NO_LAYERS, 1.0),
        ):
            values = _NodeValues(graph, model, transcoders)
            cases = [InterventionCase(tokens, ()), *(_ablation_case(graph, node, scale) for node in some.tolist())]
            intervene(cases, model, transcoders, constrained_layers=layers, observe=values)
            lost.append((values.value_BN[:1] - values.value_BN[1:]) / scale)
        edge_X = np.flatnonzero(np.isin(graph.source_E, some) & knows_N[target_E])
        case_X = np.searchsorted(some, graph.source_E[edge_X])
        measured = (of_all_BN[case_X, target_E[edge_X]] for of_all_BN in lost)
        yield graph.source_E[edge_X], target_E[edge_X], graph.weight_E[edge_X], *measured


def _ablation_case(graph: Graph, node: int, scale: float) -> InterventionCase:
    """Return a case that turns one feature off, or `scale` times as far."""
    nodes = graph.nodes
    place = int(nodes.layer_N[node]), int(nodes.position_N[node]), int(nodes.feature_N[node])
    return InterventionCase(tuple(graph.tokens_P.tolist()), (Intervention(*place, times=1.0 - scale),))


class _NodeValues:
    """LayerObserver of node values for every case: pre-activations of features and values of targets, without biases.

    Other nodes have the value 0.
    """

    def __init__(self, graph: Graph, model: Model, transcoders: Transcoders) -> None:
        self._graph, self._model, self._transcoders = graph, model, transcoders
        self.value_BN = np.zeros((0, 0))

    def __call__(self, layer: int, x_BPD: Tensor) -> None:
        nodes = self._graph.nodes
        if layer == 0:
            self.value_BN = np.zeros((len(x_BPD), len(nodes)))
        if layer == self._transcoders.shape.num_layers:
            node_X = nodes.where(NodeKind.TARGET)
            vectors = self._directions().to(x_BPD.device)
        else:
            node_X = np.flatnonzero((nodes.kind_N == NodeKind.FEATURE) & (nodes.layer_N == layer))
            feature_X = torch.from_numpy(nodes.feature_N[node_X].astype(np.int64)).to(x_BPD.device)
            vectors, _ = self._transcoders.encoder_rows(layer, feature_X)
        position_X = torch.from_numpy(nodes.position_N[node_X].astype(np.int64)).to(x_BPD.device)
        value_BX = (x_BPD[:, position_X] * vectors).sum(-1)
        self.value_BN[:, node_X] = value_BX.double().numpy(force=True)

    def _directions(self) -> Tensor:
        """Return each target's vector: its token's unembedding minus the mean over the vocabulary."""
        tokens = torch.tensor([max(target.token_id, 0) for target in self._graph.targets])
        return self._model.unembed_VD[tokens.to(self._model.unembed_VD.device)] - self._model.unembed_mean_D
