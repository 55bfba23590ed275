"""Plans of motifs: which motifs are counted, in which prompts, against which draws, and how long that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Literal

from ..errors import ConfigError
from ..names import unknown
from ..store.reader import Store
from ..text import counted
from .clusters import Clusters, clusters_of
from .loop_strengths import ROW_BYTES
from .motif_counts import count_motifs
from .motif_graphs import EDGES, NULLS, Null, read_graphs
from .motif_statistics import NullSettings, graph_against_draws
from .prompts import ChosenPrompts, choose_prompts

Choice = Literal["position", "signed", "layer", "both", "all"]
OF_CHOICE: Mapping[str, tuple[Null, ...]] = {
    **{null: (null,) for null in NULLS},
    "both": ("position", "layer"),
    "all": NULLS,
}
"""Nulls that each choice names."""
_MEASURED = 8
"""Draws by which a dry run measures the time."""


@dataclass(frozen=True, eq=False)
class MotifPlan:
    """Which motifs are counted, in which prompts, against which draws."""

    prompts: ChosenPrompts
    clusters: Clusters
    choice: Choice
    settings: NullSettings
    edges: str
    top: int
    min_clusters: int
    memory_gb: float
    where: Sequence[str]

    @property
    def nulls(self) -> tuple[Null, ...]:
        """The nulls."""
        return OF_CHOICE[self.choice]

    def options(self) -> dict[str, Any]:
        """Return what determines the result beside the prompts, as JSON."""
        of_null = {"draws": self.settings.draws, "steps": self.settings.steps, "seed": self.settings.seed}
        loops = {"top": self.top, "min_clusters": self.min_clusters, "memory_gb": self.memory_gb}
        chosen = {"where": list(self.where), "cluster": self.clusters.field, "null": self.choice, "edges": self.edges}
        return {**chosen, **of_null, **loops}

    def describe(self) -> str:
        """Return lines for people. Draws a few graphs, to say how long all will take."""
        seconds, num_edges = self._measured_seconds()
        total = seconds * self.prompts.num_edges / max(1, num_edges)
        return (
            f"{counted(len(self.prompts), 'prompt')} in {counted(len(self.clusters), 'cluster')}, "
            f"{counted(self.prompts.num_edges, 'edge')}\n"
            f"{counted(self.settings.draws, 'draw')} of each graph by each of {', '.join(self.nulls)}\n"
            f"about {max(1, round(total)):,} s on one core, {total / 3600:.2f} h: measured here on three graphs"
        )

    def _measured_seconds(self) -> tuple[float, int]:
        """Return what graphs at three quartiles of size take, and their edges."""
        ids = sorted(self.prompts.ids, key=lambda prompt_id: (self.prompts.store.entry(prompt_id).num_edges, prompt_id))
        chosen = sorted({ids[len(ids) * quarter // 4] for quarter in (1, 2, 3)})
        few = replace(self.settings, draws=min(_MEASURED, self.settings.draws))
        seconds, num_edges = 0.0, 0
        for own in read_graphs(replace(self.prompts, ids=chosen, clusters=None), self.edges):
            observed = count_motifs(own.graph, own.graph.source_E[None])[0]
            begin = perf_counter()
            for null in self.nulls:
                graph_against_draws(own, "", observed, null, few)
            seconds += (perf_counter() - begin) * self.settings.draws / few.draws
            num_edges += len(own.graph.source_E)
        return seconds, num_edges


def plan_motifs(
    store: Store,
    *,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    null: Choice = "all",
    draws: int = 199,
    steps: int = 50,
    edges: Literal["all", "features"] = "all",
    top: int = 1_000,
    min_clusters: int = 2,
    memory_gb: float = 2.0,
    seed: int = 0,
) -> MotifPlan:
    """Return what `mine_motifs` would do, and refuse what it would refuse of these arguments. Reads no graphs."""
    for name, value, known in (("null", null, OF_CHOICE), ("edges", edges, EDGES)):
        if value not in known:
            raise ConfigError(unknown(name, value, known))
    for name, number, least in (
        ("draws", draws, 19),
        ("steps", steps, 1),
        ("top", top, 0),
        ("min_clusters", min_clusters, 1),
        ("seed", seed, 0),
    ):
        if number < least:
            raise ConfigError(f"{name} must be at least {least}, not {number:,}")
    if not memory_gb * 1e9 >= ROW_BYTES:
        raise ConfigError(f"memory_gb must be more than 0, not {memory_gb}")
    prompts = choose_prompts(store, where, cluster)
    conditions = [where] if isinstance(where, str) else list(where)
    settings = NullSettings(draws, steps, seed)
    of_loops = (top, min_clusters, memory_gb)
    return MotifPlan(prompts, clusters_of(prompts, cluster), null, settings, edges, *of_loops, conditions)
