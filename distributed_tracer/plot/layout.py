"""Layout of a graph's picture in inches: a column for each position, a band for each layer, and no two nodes overlap.

A node takes a cell that holds its marker and, above it, its label. The cells of one layer and position are laid out in
rows. Axes: N node, P position that is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeTable

FOLDED_HEIGHT = 0.17
"""Height of a band that stands for layers without drawn nodes, in inches."""
_PADDING = 0.07  # inches above and below the cells of a band
_SIDE = 0.02  # inches at both sides of a column
_ROW = 3.2  # inches: the widest row of a picture whose width is free
_WIDEST = 15.0  # inches: a picture whose width is free becomes wider only if it cannot be narrower
_TRIES = 60


class Cell(NamedTuple):
    """The size of a node with its label, in inches. The marker stands at the bottom."""

    width: float
    height: float


class Band(NamedTuple):
    """The layers from `first` to `last` between two heights in inches; -1 is the row of tokens.

    A folded band stands for layers without drawn nodes.
    """

    first: int
    last: int
    bottom: float
    top: float
    is_folded: bool

    @property
    def middle(self) -> float:
        """The height of the band's middle, in inches."""
        return (self.bottom + self.top) / 2


@dataclass(frozen=True, eq=False)
class Layout:
    """Where everything is, in inches from the lower left corner of the drawing. `x_N` and `y_N` are NaN for nodes that
    are not drawn. `borders_P` has one border more than there are drawn positions."""

    x_N: npt.NDArray[np.float64]
    y_N: npt.NDArray[np.float64]
    positions_P: npt.NDArray[np.intp]
    borders_P: npt.NDArray[np.float64]
    bands: tuple[Band, ...]

    @property
    def width(self) -> float:
        """The width of the drawing in inches."""
        return float(self.borders_P[-1])

    @property
    def height(self) -> float:
        """The height of the drawing in inches."""
        return self.bands[-1].top

    @property
    def centres_P(self) -> npt.NDArray[np.float64]:
        """The middle of each column."""
        return (self.borders_P[1:] + self.borders_P[:-1]) / 2


class _Site(NamedTuple):
    position: int
    layer: int


def least_width(cells: Mapping[int, Cell], nodes: NodeTable, num_layers: int, token_width: float) -> float:
    """Return the smallest width in inches in which the nodes can be laid out: one node beside the other nowhere."""
    return float(sum(_columns(_sites(cells, nodes), cells, num_layers, 0.0, token_width).values()))


def lay_out(
    cells: Mapping[int, Cell], nodes: NodeTable, layers: range, num_layers: int, token_width: float, width: float | None
) -> Layout:
    """Return the layout of the nodes that have `cells`.

    `layers` are those to show; without nodes they are folded. `token_width` is the least width of a column in inches.
    With `width`, the drawing has this width, or its least width if that is larger.
    """
    sites = _sites(cells, nodes)
    columns = _columns(sites, cells, num_layers, _ROW, token_width)
    if width is None and sum(columns.values()) > _WIDEST:
        width = _WIDEST
    if width is not None:
        columns = _fit(sites, cells, num_layers, token_width, width)
    borders_P = np.concatenate([[0.0], np.cumsum(list(columns.values()))])
    place = {position: number for number, position in enumerate(columns)}
    rows = {}
    for site, members in sites.items():
        number = place[site.position]
        room = borders_P[-1] if site.layer == num_layers else borders_P[number + 1] - borders_P[number]
        rows[site] = _rows(members, cells, room - 2 * _SIDE)
    bands = _bands(rows, cells, layers, num_layers)
    x_N, y_N = np.full(len(nodes), np.nan), np.full(len(nodes), np.nan)
    band_of = {layer: band for band in bands for layer in range(band.first, band.last + 1)}
    for site, site_rows in rows.items():
        number = place[site.position]
        centre = float(borders_P[number] + borders_P[number + 1]) / 2
        heights = [max(cells[node].height for node in row) for row in site_rows]
        bottom = band_of[site.layer].middle - sum(heights) / 2
        for row, height in zip(site_rows, heights, strict=True):
            row_width = sum(cells[node].width for node in row)
            left = min(max(centre - row_width / 2, _SIDE), max(float(borders_P[-1]) - _SIDE - row_width, _SIDE))
            for node in row:
                x_N[node] = left + cells[node].width / 2
                y_N[node] = bottom
                left += cells[node].width
            bottom += height
    return Layout(x_N, y_N, np.array(list(columns), dtype=np.intp), borders_P, bands)


def _sites(cells: Mapping[int, Cell], nodes: NodeTable) -> dict[_Site, list[int]]:
    """Return the nodes of each position and layer, by position."""
    sites: dict[_Site, list[int]] = {}
    for node in sorted(cells, key=lambda node: (int(nodes.position_N[node]), node)):
        sites.setdefault(_Site(int(nodes.position_N[node]), int(nodes.layer_N[node])), []).append(node)
    return sites


def _columns(
    sites: Mapping[_Site, list[int]], cells: Mapping[int, Cell], num_layers: int, row: float, token_width: float
) -> dict[int, float]:
    """Return the width of each position's column if no row is wider than `row`, unless a single cell is.

    Targets do not count: they may extend into the empty space beside them.
    """
    widths: dict[int, float] = {}
    for site, members in sites.items():
        inner = [] if site.layer == num_layers else _rows(members, cells, row)
        needed = max((sum(cells[node].width for node in line) for line in inner), default=0.0) + 2 * _SIDE
        widths[site.position] = max(widths.get(site.position, token_width), needed)
    return widths


def _fit(
    sites: Mapping[_Site, list[int]], cells: Mapping[int, Cell], num_layers: int, token_width: float, width: float
) -> dict[int, float]:
    """Return the columns with the longest rows that fit, widened to the given width."""
    for row in np.linspace(width, 0.0, _TRIES):
        columns = _columns(sites, cells, num_layers, float(row), token_width)
        if sum(columns.values()) <= width:
            break
    spare = max(width - sum(columns.values()), 0.0) / max(len(columns), 1)
    return {position: column + spare for position, column in columns.items()}


def _rows(members: Sequence[int], cells: Mapping[int, Cell], room: float) -> list[list[int]]:
    """Return nodes in as few rows as the room allows, of similar lengths."""

    def fill(room: float) -> list[list[int]]:
        rows: list[list[int]] = [[]]
        left = room
        for node in members:
            if rows[-1] and cells[node].width > left + 1e-9:
                rows.append([])
                left = room
            rows[-1].append(node)
            left -= cells[node].width
        return rows

    rows = fill(room)
    even = sum(cells[node].width for node in members) / len(rows)
    for share in np.linspace(even, room, 8) if len(rows) > 1 else ():
        if len(balanced := fill(float(share))) == len(rows):
            return balanced
    return rows


def _bands(
    rows: Mapping[_Site, list[list[int]]], cells: Mapping[int, Cell], layers: range, num_layers: int
) -> tuple[Band, ...]:
    """Return bands from the tokens up. Neighbouring layers without nodes share a band."""
    needed: dict[int, float] = {}
    for site, lines in rows.items():
        height = sum(max(cells[node].height for node in line) for line in lines)
        needed[site.layer] = max(needed.get(site.layer, 0.0), height)
    bands: list[Band] = []
    for layer in (-1, *layers, num_layers):
        is_folded = layer not in needed and layer in layers
        if is_folded and bands[-1].is_folded:
            bands[-1] = bands[-1]._replace(last=layer)
            continue
        bottom = bands[-1].top if bands else 0.0
        height = FOLDED_HEIGHT if is_folded else needed.get(layer, 0.0) + 2 * _PADDING
        bands.append(Band(layer, layer, bottom, bottom + height, is_folded))
    return tuple(bands)
