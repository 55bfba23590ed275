"""EdgeEffectMetric: compares a graph's edges with what the model does when their sources are turned off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..graph.graph import Graph
from ..moved import former_names
from ..table import Table

if TYPE_CHECKING:
    from ..model.model import Model
    from ..transcoder.base import Transcoders

_RESOLUTION = {"float64": 1e-4, "float32": 1e-4, "tf32": 1e-2, "bfloat16": 5e-2, "float16": 1e-2}
"""Tolerated difference of direct effects, as a share of a graph's largest edge: at least four times the largest
difference found. On tiny models, the demo and SmolLM2, float32 differs by 1e-5, bfloat16 in the forward pass by 1.0e-2,
bfloat16 in the sweep by 5e-3, and float16 by 1.7e-3.
"""
_SWEEP = {"bfloat16": 2e-2}


@former_names(kind="name", rows="evaluate_graph")
@dataclass(frozen=True)
class EdgeEffectMetric:
    """Turns `sources` features of each graph off one by one. They are sampled at random with `seed`."""

    sources: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sources < 1 or self.seed < 0:
            raise ConfigError(f"sources must be at least 1 and seed at least 0, not {self.sources} and {self.seed}")

    @property
    def name(self) -> str:
        """Name of the folder for the results."""
        return "edges"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything besides graph and model that determines the results, as JSON types."""
        return asdict(self)

    def evaluate_graph(self, graph: Graph, model: Model, transcoders: Transcoders, cases_at_once: int) -> Table:
        """Return a row for each number of layers from source to target and for `all`: see `agreement_by_distance`."""
        from .ablation import ablate_sources, sample_sources
        from .edge_agreement import agreement_by_distance

        chosen = sample_sources(graph, self.sources, self.seed)
        return agreement_by_distance(
            [(graph, ablate_sources(graph, model, transcoders, chosen.tolist(), cases_at_once))]
        )


def tolerance_of(identity: Mapping[str, Any]) -> float:
    """Return how far direct effects may be from a store's edges, given the precisions in the store's identity."""
    sweep = str(identity["trace"]["sweep_dtype"])
    bits = int(identity["weight_bits"])
    rounded = 0.0 if bits == 23 else 2.0 ** -(bits + 1)
    return max(_RESOLUTION[str(identity["forward_dtype"])], _SWEEP.get(sweep, _RESOLUTION[sweep])) + rounded
