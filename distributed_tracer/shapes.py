"""Shapes: sizes of models and transcoders without their weights, and the legend of axis letters. No torch is imported.

The names of tensors and arrays end in one letter for each axis: `decoder_FD` has a row of the model's width for each
feature. A letter has the same meaning in the whole package. The meaning is what stands before the colon:

    A  active feature: a feature that fires in a prompt, or a candidate for one
    B  row of a batch: of nodes in a sweep, of prompts in a forward pass, or of anything else that is computed together
    C  column: what a row can read from (active features, errors, tokens), either every column or those requested
    D  model width
    E  edge
    F  feature: one of a selection, such as those that are requested, that have rows or that are nodes of a graph
    G  key/value head
    H  attention head: of the queries
    I  item: of a list, described where it is used
    J  position attended to
    K  target
    L  layer
    M  node in dense order: features, every error and every token, and targets if they have a place in the matrix
    N  node
    P  position
    Q  query head of one key/value head
    R  row of a graph: a node that has incoming edges
    S  feature of the dictionary: every feature of a transcoder's layer, or of one shard
    T  token of the prefix: followed by the constant
    U  head width
    V  vocabulary
    W  number of edges walked: from a target
    X  any axis: several axes in one, or a local axis, described where it is used
    Y  another such axis
    Z  slot: the place of a column, or of a constant, while rows are computed

A digit is an axis of that length, as in `scale_P1`.

The docstring of a module may repeat this legend for the letters that the module uses, in a sentence that begins with
"Axes:". It may narrow a meaning by words that follow ("feature requested", "layer (written to)"). It is complete, and
it is required where `I`, `X` or `Y` occur. One name has an older letter, because users read it in tables and JSON:
`path_length_H` is the share of the influence over each number of edges walked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

INPUT_SITES = ("mlp.hook_in", "ln2.hook_normalized", "hook_resid_mid")
"""Where transcoders can read: the output of the norm before the MLP, with and without that norm's weights, or the
residual stream before that norm."""
OUTPUT_SITES = ("mlp.hook_out", "hook_mlp_out")
"""Where transcoders can write: the output of the MLP, before or after a norm that some architectures have there."""


@dataclass(frozen=True)
class ModelShape:
    """The counts that describe a model, which is all that a plan needs to know about it."""

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
    """Count of the numbers in memory besides the parameters: a copy of the unembedding, multiplied by the factor by
    which the model scales its logits. It is 0 if there is no such factor."""


@dataclass(frozen=True)
class TranscoderShape:
    """The counts that describe a set of transcoders, which are all that a plan needs to know about it.

    `input_site` is where features read, one of INPUT_SITES; `output_site` is where they write, one of OUTPUT_SITES.
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
        """Return the layers whose MLP output a feature of `layer` writes to."""
        return range(layer, self.num_layers) if self.kind == "clt" else range(layer, layer + 1)

    def num_decoder_weights(self, features_L: Sequence[int] | None = None) -> int:
        """Return the count of the numbers in all decoders, or in the decoders of `features_L` features per layer."""
        counts_L = self.features_L if features_L is None else features_L
        return self.d_model * sum(count * len(self.writes_to(layer)) for layer, count in enumerate(counts_L))
