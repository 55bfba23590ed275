"""Shapes: sizes of models and transcoders without their weights, and the letters of tensor axes. No torch is imported.

Names of tensors end in letters that have the same meaning in the whole project:

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
    """Sizes of a model, which are all that a plan needs."""

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
    """Count of numbers that are held in addition to the parameters: an unembedding multiplied by the factor of the
    logits."""


@dataclass(frozen=True)
class TranscoderShape:
    """Sizes of a set of transcoders, which are all that a plan needs.

    `input_site` and `output_site` name where features read and write: `mlp.hook_in`, `ln2.hook_normalized` or
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
        """Return the layers to whose MLP outputs a feature of `layer` writes."""
        return range(layer, self.num_layers) if self.kind == "clt" else range(layer, layer + 1)
