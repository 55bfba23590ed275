"""Sizes of models and transcoders without their weights, and the letters for tensor axes. No torch here.

Names of tensors end in letters that mean the same in the whole project:

    L layer              A active feature            N node of a graph
    P position           F selected feature (node)   B node in one backward batch
    D model width        S transcoder dictionary     C column: whatever a row can read from
    H attention head     K target                    E edge
    V vocabulary         M layer written to
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelShape:
    """What a plan needs to know about a model: counts only."""

    architecture: str
    num_layers: int
    d_model: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    max_positions: int
    num_parameters: int
    num_copied: int = 0
    """Numbers that are held once more beside the parameters: an unembedding with the factor of the logits in it."""


@dataclass(frozen=True)
class TranscoderShape:
    """What a plan needs to know about a set of transcoders: counts only.

    `input_site` and `output_site` say where features read and write: `mlp.hook_in`, `ln2.hook_normalized` or
    `hook_resid_mid`, and `mlp.hook_out` or `hook_mlp_out`.
    """

    kind: Literal["plt", "clt"]
    num_layers: int
    d_model: int
    features_L: tuple[int, ...]
    input_site: str
    output_site: str
    activation: Literal["relu", "jumprelu", "topk"]
    has_skip: bool
    num_parameters: int

    def writes_to(self, layer: int) -> range:
        """Layers whose MLP output a feature of `layer` writes to."""
        return range(layer, self.num_layers) if self.kind == "clt" else range(layer, layer + 1)
