"""Picture: a figure of matplotlib that belongs to nobody else, and that notebooks display."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """A figure outside of pyplot, so that drawing neither changes the backend of a notebook nor opens a window."""

    def __init__(self, width: float, height: float, layout: str | None, dpi: int) -> None:
        """Make an empty figure of this size in inches."""
        super().__init__(figsize=(width, height), dpi=dpi, layout=layout)  # type: ignore[arg-type]  # a name of an engine
        self.notes: list[str] = []
        """What the picture leaves out, as the lines below it say."""

    def _repr_png_(self) -> bytes:
        """Return the picture for a notebook, as PNG."""
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()
