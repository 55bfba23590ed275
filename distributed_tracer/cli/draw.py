"""Commands that draw: draw, compare."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional

from ..errors import ConfigError
from ..text import printable
from .app import StorePath, check_count, print_answer
from .community_choice import check_choice, groups_of

LayerRange = Annotated[str | None, tyro.conf.arg(metavar="FIRST:END")]
Inches = Annotated[float | None, tyro.conf.arg(metavar="INCHES")]
PromptA = Annotated[Positional[str], tyro.conf.arg(metavar="A")]
PromptB = Annotated[Positional[str], tyro.conf.arg(metavar="B")]
Count = Annotated[int | None, tyro.conf.arg(metavar="N")]


def draw(
    path: StorePath,
    out: str,
    prompt: str | None = None,
    by: str | None = None,
    layers: LayerRange = None,
    top: Count = None,
    edges: Count = None,
    labels: Count = None,
    size: Literal["column", "page", "screen"] | None = None,
    width: Inches = None,
    communities: str | None = None,
    level: int | None = None,
    every_community: bool = False,
) -> int:
    """Draw one graph or, without a prompt, the whole store.

    Args:
        path: Directory or URL of a store.
        out: File for the picture, which ends in .png, .pdf or .svg.
        prompt: Id of the prompt whose graph to draw; without it, all prompts of the store are drawn.
        by: Metadata column that determines the colours of the prompts in a picture of the whole store.
        layers: Layers of a graph to draw. 10:20 are the layers 10 to 19; one number is one layer.
        top: Largest number of features and errors to draw, the most influential ones. Without it, the number depends
            on the width.
        edges: Largest number of edges to draw, those that pass on most influence.
        labels: Largest number of features that have a label, the most influential ones.
        size: Size of the picture of a graph. column is 3.3 inches wide, for one column of a paper; page is 7 inches;
            screen, the default, is as wide as the graph needs.
        width: Width of the picture of a graph in inches, instead of a size.
        communities: Folder of a result of `mine roles` or `mine pathways`, whose communities colour the features of a
            graph.
        level: Level of the communities (default: the finest one in which a feature has a community).
        every_community: Whether communities count too that are not significant.
    """
    from ..plot.corpus import draw_corpus
    from ..plot.graph import draw_graph, picture_width
    from ..plot.selection import parse_layers
    from ..plot.style import check_picture, notes, save_figure
    from ..store.reader import open_store

    given: dict[str, Any] = {"--top": top, "--edges": edges, "--labels": labels}
    for flag, count in given.items():
        check_count(flag, count or 0)
    picture_width(size, width)
    given |= {"--layers": layers, "--size": size, "--width": width, "--communities": communities}
    check_choice("--communities", communities is not None, level, every_community)
    check_picture(out)
    if by is not None and prompt is not None:
        raise ConfigError("--by colours the prompts of a whole store: it does not go with --prompt")
    if prompt is None and (used := [flag for flag, value in given.items() if value is not None]):
        raise ConfigError(f"{', '.join(used)} say how one graph is drawn: name it with --prompt")
    chosen = None if layers is None else parse_layers(layers)
    store = open_store(path)
    if prompt is None:
        figure = draw_corpus(store, by)
    else:
        graph = store.graph(prompt)
        figure = draw_graph(
            graph,
            labels=store.context(prompt).labels,
            groups=groups_of(communities, store, graph, level, every_community),
            layers=chosen,
            max_nodes=top,
            max_edges=edges,
            num_labels=labels,
            size=size,
            width=width,
        )
    save_figure(figure, out)
    print("\n".join(map(printable, [out, *notes(figure)])))
    return 0


def compare(path: StorePath, a: PromptA, b: PromptB, out: str | None = None, top: int = 10, json: bool = False) -> int:
    """Compare the graphs of two prompts: answers, scores, and which features and edges they share.

    Features are shared at aligned positions: where the tokens agree and, between those, counted from the end.

    Args:
        path: Directory or URL of a store.
        a: Id of a prompt.
        b: Id of another prompt.
        out: File for a picture of both graphs side by side, which ends in .png, .pdf or .svg.
        top: Number of features and of edges to print: of those that both graphs have, and of those that one has alone.
        json: Whether to print the answer as JSON.
    """
    from ..query.compare import compare_graphs
    from ..report.compare import comparison_summary, comparison_text
    from ..store.reader import open_store

    check_count("--top", top)
    if out is not None:
        from ..plot.style import check_picture

        check_picture(out)
    store = open_store(path)
    graphs, labels = (store.graph(a), store.graph(b)), store.context(a).labels
    found = comparison_summary(compare_graphs(*graphs), top, labels)
    print_answer(found if json else comparison_text(found))
    if out is not None:
        from ..plot.compare import draw_comparison
        from ..plot.style import notes, save_figure

        figure = draw_comparison(*graphs, labels=labels)
        save_figure(figure, out)
        if not json:
            print("\n".join(map(printable, ["", out, *notes(figure)])))
    return 0
