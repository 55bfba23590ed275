"""FaithfulnessMetric: tests whether the part of the model that a graph names does what the whole model does.

Circuits are judged as in Marks et al. 2024, "Sparse Feature Circuits", section on faithfulness and completeness, with
zero in place of a mean activation. Axes: F feature of the graph, A active feature, N node, P position,
V vocabulary, I share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.graph import Graph
from ..graph.nodes import ActiveTable, NodeKind
from ..moved import former_names
from ..table import Table

if TYPE_CHECKING:
    from torch import Tensor

    from ..intervene.intervene import InterventionCase, InterventionResult
    from ..model.model import Model
    from ..transcoder.base import Transcoders

TENTHS = tuple(tenth / 10 for tenth in range(11))
_WAYS = ("keep", "drop", "lot")


@former_names(kind="name", rows="evaluate_graph")
@dataclass(frozen=True)
class FaithfulnessMetric:
    """For each of `shares`, takes a graph's most influential features that carry this share of its features' influence.

    Three sets of features are set to 0: in *keep*, all active features except the taken ones; in *drop*, only the taken
    ones; in *lot* (the random baseline), all active features except equally many that are sampled at random. At share
    1, *keep* leaves all features of the stored graph and removes what pruning dropped. Attention patterns are held as
    they are in the prompt. Everything else reacts: norms, features that are not set (also those that did not fire
    before), and errors, which are kept: an MLP's own output stays where its features do not explain it.
    """

    shares: tuple[float, ...] = TENTHS
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.shares or not all(0 <= share <= 1 for share in self.shares) or self.seed < 0:
            raise ConfigError(f"shares must be from 0 to 1 and seed at least 0, not {self.shares} and {self.seed}")

    @property
    def name(self) -> str:
        """Name of the folder for the results."""
        return "faithfulness"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything besides graph and model that determines the results, as JSON types."""
        return {**asdict(self), "shares": list(self.shares)}

    def evaluate_graph(self, graph: Graph, model: Model, transcoders: Transcoders, cases_at_once: int) -> Table:
        """Return a row for each share.

        `kept` of `active` features are taken. For each of the three sets and for the `model`, `logit` is the mean over
        targets, by weight, of a token's logit minus the mean over the vocabulary; `kl` is the divergence of the
        next-token distribution from the model's own, in nats. Targets that are not a token's logit at the last position
        are left out; if no others exist, the logit is NaN.
        """
        from ..intervene.intervene import InterventionCase, intervene

        tokens = tuple(graph.tokens_P.tolist())
        (plain,) = intervene([InterventionCase(tokens, ())], model, transcoders, with_active=True)
        active = plain.before.active
        assert active is not None
        kept_I = [features_covering(graph, active, share) for share in self.shares]
        random_sets = _random_sets(len(active), [len(kept) for kept in kept_I], self.seed)
        everything = np.arange(len(active))
        off = [
            [np.setdiff1d(everything, kept), kept, np.setdiff1d(everything, random_set)]
            for kept, random_set in zip(kept_I, random_sets, strict=True)
        ]
        cases = [_turned_off(tokens, active, chosen) for of_share in off for chosen in of_share]
        effects: list[InterventionResult] = []
        for first in range(0, len(cases), cases_at_once):
            effects += intervene(cases[first : first + cases_at_once], model, transcoders)
        columns: dict[str, list[Any]] = {"share": list(self.shares), "kept": [len(kept) for kept in kept_I]}
        columns["active"] = [len(active)] * len(self.shares)
        columns["model_logit"] = [_logit(graph, plain.before.logits_V)] * len(self.shares)
        for number, way in enumerate(_WAYS):
            seen = [effect.after.logits_V for effect in effects[number :: len(_WAYS)]]
            columns[f"{way}_logit"] = [_logit(graph, logits_V) for logits_V in seen]
            columns[f"{way}_kl"] = [_kl(plain.before.logits_V, logits_V) for logits_V in seen]
        return Table(columns)


def features_covering(graph: Graph, active: ActiveTable, share: float) -> npt.NDArray[np.int64]:
    """Return a graph's most influential features that carry a share of the influence of all its features.

    The result contains numbers of active features; it is empty for share 0 and has all for 1. Features that do not fire
    (in a model at another precision) are left out.
    """
    nodes = graph.nodes.where(NodeKind.FEATURE)
    influence_F = graph.influence_N[nodes].astype(np.float64)
    order = np.argsort(-influence_F, kind="stable")
    covered = np.cumsum(influence_F[order])
    count = len(nodes)
    if count and share < 1:
        count = int(np.searchsorted(covered, share * covered[-1])) + 1 if share else 0
    table, chosen = graph.nodes, nodes[order[:count]]
    columns = (table.layer_N[chosen], table.position_N[chosen], table.feature_N[chosen])
    sites = set(zip(*(column.tolist() for column in columns), strict=True))
    fires = zip(active.layer_A.tolist(), active.position_A.tolist(), active.feature_A.tolist(), strict=True)
    return np.array([number for number, site in enumerate(fires) if site in sites], dtype=np.int64)


def _random_sets(num_active: int, counts: Sequence[int], seed: int) -> list[npt.NDArray[np.int64]]:
    """Return random samples of active features, of the sizes `counts`. Larger samples contain the smaller ones."""
    order = np.random.default_rng(seed).permutation(num_active)
    return [order[:count] for count in counts]


def _turned_off(tokens: tuple[int, ...], active: ActiveTable, chosen: npt.NDArray[np.int64]) -> InterventionCase:
    from ..intervene.intervene import InterventionCase
    from ..intervene.intervention import Intervention

    off = active.take(chosen)
    columns = (off.layer_A.tolist(), off.position_A.tolist(), off.feature_A.tolist())
    return InterventionCase(tokens, tuple(Intervention(*site, value=0.0) for site in zip(*columns, strict=True)))


def _logit(graph: Graph, logits_V: Tensor) -> float:
    last = len(graph.tokens_P) - 1
    known = [target for target in graph.targets if target.token_id >= 0 and target.position == last]
    total = sum(target.weight for target in known)
    if not total > 0:
        return float("nan")
    above_V = logits_V.double() - logits_V.double().mean()
    return float(sum(target.weight * above_V[target.token_id] for target in known)) / total


def _kl(before_V: Tensor, after_V: Tensor) -> float:
    log_p, log_q = (logits_V.double().log_softmax(0) for logits_V in (before_V, after_V))
    return max(0.0, float((log_p.exp() * (log_p - log_q)).sum()))
