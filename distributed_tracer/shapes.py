"""Shapes: sizes of models and transcoders without their weights, and the letters of tensor axes. No torch is imported.

The names of tensors and arrays end in one letter for each axis. Some letters have more than one meaning, each in the
folder or file that is named. Most modules that use letters also say at their top what they mean there.

    A  active feature of a prompt, or a candidate for one
    B  row of a batch: a node in one backward batch; a prompt or a case in one batch of forward passes (intervene/,
       evaluate/); an entry of a block in `running_sums` (trace/dense_pruning.py)
    C  column, which is anything that a row can read from, or a column that is requested; a change of an activation
       (intervene/hooked_forward.py); a column of the prompt table (store/catalogue.py)
    D  model width
    E  edge; width of an attention head (model/, trace/prefix.py, trace/sweep.py)
    F  feature that is selected, that is requested, or that is a node of a graph
    G  key/value head; supernode (intervene/cluster_supernodes.py)
    H  attention head of the queries (model/, intervene/, plan/); number of edges walked from a target (graph/, trace/,
       store/, plot/)
    I  row of a dense graph that is kept, or an item in `running_sums` (trace/dense_pruning.py); an edge that is
       examined (trace/sparse_edges.py)
    J  column of a dense graph that is kept (trace/dense_pruning.py)
    K  target; position attended to (model/frozen.py, trace/prefix.py, trace/sweep.py); edge that is kept so far
       (graph/prune.py)
    L  layer
    M  layer that a feature writes to (transcoder/, trace/source_vectors.py); column of a dense graph, which is every
       node but targets (trace/); every node that a dense adjacency matrix has (graph/graph.py, export/npz.py)
    N  node of a graph, of a round or of a part; a prompt of a store, a row of a table or a string of a column
       (store/, query/); a block of items in `running_sums` (trace/dense_pruning.py)
    P  position
    Q  query head among those that share one key/value head
    R  row of a graph: a node that has incoming edges; a prompt of a part (store/); a row of weights
       (transcoder/fold.py); a position of a prompt that is encoded (intervene/hooked_forward.py)
    S  feature of a transcoder's dictionary (transcoder/, graph/nodes.py); slot of a column (trace/); a feature node, or
       a share of the influence (evaluate/faithfulness.py); a distinct feature (store/index_builder.py)
    T  token of the prefix, followed by the constant (trace/prefix.py, trace/sweep.py); token node
       (intervene/cluster_supernodes.py)
    V  vocabulary
    W  slot of one position in a segment (trace/sweep.py)
    X  any axis, or several axes in one, described where it is used
    Y  the same as X, where a second such axis is needed

A digit is an axis of that length, as in `scale_P1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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

    `input_site` is where features read: `mlp.hook_in`, `ln2.hook_normalized` or `hook_resid_mid`. `output_site` is
    where they write: `mlp.hook_out` or `hook_mlp_out`.
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
