"""One look for all pictures: colours that colour-blind readers tell apart, and fonts that have the characters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POSITIVE, NEGATIVE, FEATURE, ERROR, TOKEN, TARGET, CONSTANT = (
    "#2b6cb0",
    "#c2410c",
    "#1f4e79",
    "#9a9a9a",
    "#0f766e",
    "#7c2d12",
    "#d9c36b",
)
SERIES = ("#1f4e79", "#c2410c", "#0f766e", "#7c3aed", "#b7791f", "#be185d", "#4b5563", "#65a30d")
_CHINESE = ("Noto Sans CJK SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "SimHei", "PingFang SC", "Arial Unicode MS")


def new_figure(width: float, height: float, **options: Any) -> tuple[Figure, Any]:
    """An empty figure in inches and its axes, drawn without a display. Raises ConfigError without matplotlib."""
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError("pictures need matplotlib: pip install 'distributed-tracer[plots]'") from error
    matplotlib.use("Agg")
    from matplotlib import font_manager, pyplot

    known = {font.name for font in font_manager.fontManager.ttflist}
    fonts = [*(name for name in _CHINESE if name in known), "DejaVu Sans"]
    pyplot.rcParams.update(
        {
            "font.family": ["DejaVu Sans", *fonts],
            "font.size": 9,
            "text.parse_math": False,  # a prompt may hold dollar signs
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.dpi": 150,
        }
    )
    return pyplot.subplots(figsize=(width, height), layout="constrained", **options)


def save(figure: Figure, path: str) -> None:
    """Write the picture; the ending says which format."""
    from matplotlib import pyplot

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


def shown(text: str, limit: int = 14) -> str:
    """A token as a label: visible white space, nothing that controls, not too long."""
    visible = "".join(c if c.isprintable() else "·" for c in text.replace(" ", "␣", 1).replace("\n", "⏎"))
    return visible if len(visible) <= limit else visible[: limit - 1] + "…"
