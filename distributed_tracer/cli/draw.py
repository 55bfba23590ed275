"""Commands that draw: draw."""

from __future__ import annotations

from ..errors import ConfigError
from ..text import printable
from .app import StorePath


def draw(path: StorePath, out: str, prompt: str | None = None, by: str | None = None) -> int:
    """Draw one graph or, without a prompt, the whole store.

    Args:
        path: Directory or URL of a store.
        out: File for the picture, which ends in .png, .pdf or .svg.
        prompt: Id of the prompt whose graph to draw; without it, all prompts of the store are drawn.
        by: Metadata column that determines the colours of the prompts in a picture of the whole store.
    """
    from ..plot.corpus import draw_corpus
    from ..plot.graph import draw_graph
    from ..plot.style import check_picture, notes, save_figure
    from ..store.reader import open_store

    check_picture(out)
    if by is not None and prompt is not None:
        raise ConfigError("--by colours the prompts of a whole store: it does not go with --prompt")
    store = open_store(path)
    figure = draw_corpus(store, by) if prompt is None else draw_graph(store.graph(prompt))
    save_figure(figure, out)
    print("\n".join(map(printable, [out, *notes(figure)])))
    return 0
