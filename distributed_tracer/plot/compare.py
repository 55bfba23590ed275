"""Picture of two graphs side by side: shared features in one colour, those of one graph alone in others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..graph.graph import Graph
from ..graph.labels import Labels
from ..graph.nodes import NodeKind
from ..query.compare import compare_graphs
from . import style
from .graph import MOST_POSITIONS, compose, left_out, legend_entries, title
from .groups import Look
from .panel import Limits, make_panel, sizes_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHARED, _ONLY_A, _ONLY_B = style.FEATURE, "#b7791f", "#be185d"


@style.in_own_style
def draw_comparison(
    a: Graph,
    b: Graph,
    *,
    labels: Labels | None = None,
    max_nodes: int = 40,
    max_edges: int = 110,
    num_labels: int = 15,
) -> Figure:
    """Draw two graphs side by side, each as `draw_graph` does, with the features that both have in one colour.

    Features are shared by the rules of `GraphComparison`, whether or not the other picture shows them. Raises
    ConfigError without matplotlib.
    """
    found = compare_graphs(a, b)
    limits = Limits(max_nodes, max_edges, num_labels)
    panels, looks = [], []
    for graph, shared, own in ((a, found.shared_a, _ONLY_A), (b, found.shared_b, _ONLY_B)):
        most = max(MOST_POSITIONS, max_nodes + len(graph.targets))
        panels.append(make_panel(graph, range(graph.num_layers), limits, None, labels or Labels(), most))
        known = set(shared.tolist())
        features = graph.nodes.where(NodeKind.FEATURE).tolist()
        looks.append({node: Look(_SHARED if node in known else own) for node in features})
    entries = legend_entries(
        panels,
        [
            ("features of both", Look(_SHARED)),
            ("features of the left alone", Look(_ONLY_A)),
            ("features of the right alone", Look(_ONLY_B)),
        ],
    )
    both, only_a, only_b = (int((found.features["in"] == side).sum()) for side in ("both", "a", "b"))
    said = (
        f"features: {both:,} in both graphs, {only_a:,} only in the left one, {only_b:,} only in the right one; "
        f"Jaccard {found.feature_jaccard:.2f} of features, {found.edge_jaccard:.2f} of edges"
    )
    sides = [
        f"{side}: {line}" for side, panel in zip(("left", "right"), panels, strict=True) for line in left_out(panel)
    ]
    texts = [style.shown(graph.text or graph.prompt_id, 90) for graph in (a, b)]
    lines = style.note_lines([said, *sides], [*texts, *(text for panel in panels for text in panel.texts)])
    return compose(panels, [title(a), title(b)], entries, lines, sizes_of(None), looks)
