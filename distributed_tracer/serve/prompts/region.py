"""RegionOfMap: a condition that is met by the prompts within a polygon on the map.

It is written among other conditions as `map.region=MAP:X,Y X,Y X,Y`, where MAP is the id of the map on which it was
drawn, so that links and named sets keep it, and so that it never means other prompts than those that were chosen.

Axes: I prompt, X vertex.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError
from ...mine.prompt_map import PromptMap
from ...store.catalogue import Catalogue
from ...text import short
from .column import Bools

COLUMN = "map.region"
MOST_VERTICES = 200
_REGION = re.compile(rf"{COLUMN}=(?P<map>[0-9a-f]{{12}}):(?P<points>[-+.,0-9e ]+)", re.ASCII)


@dataclass(frozen=True, eq=False)
class RegionOfMap:
    """The points of a map within a polygon; every second crossing of its sides leads out of it."""

    text: str
    found: PromptMap
    vertex_X2: npt.NDArray[np.float64]
    column: str = COLUMN

    @classmethod
    def of(cls, text: str, found: PromptMap) -> RegionOfMap:
        """Return the region that a condition names. Raises ConfigError for a malformed one, and for another map."""
        match = _REGION.fullmatch(text)
        try:
            pairs = [pair.split(",") for pair in match["points"].split()] if match else []
            vertex_X2 = np.array([[float(x), float(y)] for x, y in pairs])
        except ValueError:
            vertex_X2 = np.zeros((0, 2))
        if match is None or not 3 <= len(vertex_X2) <= MOST_VERTICES or not np.isfinite(vertex_X2).all():
            raise ConfigError(
                f"{short(text)} is no region: it is written {COLUMN}=MAP:X,Y X,Y X,Y with 3 to {MOST_VERTICES} vertices"
            )
        if match["map"] != found.id:
            raise ConfigError(
                f"the region was drawn on the map {match['map']}, and the map is now {found.id}, as the store has "
                "other prompts: remove this condition and draw the region again"
            )
        return cls(text, found, vertex_X2)

    def met_by(self, catalogue: Catalogue) -> Bools:
        """Return which prompts of a store are in the region: bool [prompts]. Those without a place are not."""
        mask_I = np.zeros(len(catalogue), dtype=bool)
        number_of = catalogue.number_of
        for place in np.flatnonzero(self.inside(self.found.place_I2)).tolist():
            if (number := number_of.get(self.found.ids[place])) is not None:
                mask_I[number] = True
        return mask_I

    def inside(self, place_I2: npt.NDArray[np.float64]) -> Bools:
        """Return which points are in the polygon: bool [points]."""
        x_I, y_I = place_I2[:, 0], place_I2[:, 1]
        is_inside_I = np.zeros(len(place_I2), dtype=bool)
        for (x, y), (next_x, next_y) in zip(self.vertex_X2, np.roll(self.vertex_X2, -1, axis=0), strict=True):
            if y != next_y:
                crosses_I = (y > y_I) != (next_y > y_I)
                is_inside_I ^= crosses_I & (x_I < x + (next_x - x) * (y_I - y) / (next_y - y))
        return is_inside_I


def is_region(text: str) -> bool:
    """Whether a condition names a region of the map."""
    return text.startswith(f"{COLUMN}=")
