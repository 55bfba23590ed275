"""NormScales: the norm scales that a prompt's local replacement model holds constant.

Axes: P position, L layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..text import counted


@dataclass(frozen=True, eq=False)
class NormScales:
    """The frozen scales through which transcoders read and write at each position and layer of one prompt.

    With the weights of the transcoders and of the model's norms, they give the direct part of every edge, which is the
    part that neither attention nor a linear skip carries. Section 6 of store/FORMAT.md has the formula.
    """

    read_PL: npt.NDArray[np.float32]
    """The factor 1 / root mean square (or standard deviation) of the norm between the residual stream and the input
    site of the transcoders: 1 where there is no such norm."""
    write_PL: npt.NDArray[np.float32]
    """The same factor of the norm between the output site and the residual stream (1 without such a norm), times the
    factor by which some architectures multiply what a layer adds to the residual stream."""
    final_P: npt.NDArray[np.float32]
    """The same factor of the final norm, through which targets read."""

    def __repr__(self) -> str:
        num_positions, num_layers = self.read_PL.shape
        return f"<NormScales: {counted(num_positions, 'position')}, {counted(num_layers, 'layer')}>"
