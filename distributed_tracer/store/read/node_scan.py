"""NodeScan: columns of the node tables of all prompts of one part, for questions that add up over prompts.

Axes: N node.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...text import counted
from ..format.schema import Columns


@dataclass(frozen=True, eq=False)
class NodeScan:
    """Columns of the node tables of all prompts of one part, concatenated.

    `prompt_N` gives each node's prompt as an index into `ids`.
    """

    ids: list[str]
    prompt_N: npt.NDArray[np.int32]
    columns: Columns

    def __repr__(self) -> str:
        sizes = f"{counted(len(self.prompt_N), 'node')} of {counted(len(self.ids), 'prompt')}"
        return f"<NodeScan: {sizes}, {', '.join(self.columns)}>"
