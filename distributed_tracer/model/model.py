"""Model: a Hugging Face model on its devices, and those of its linear parts through which attribution goes.

Axes: V vocabulary, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..shapes import ModelShape
from .architectures import ArchitectureSpec
from .layer import Layer
from .norm import Norm

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False)
class Model:
    """A Hugging Face model on its devices, and those of its linear parts through which attribution goes.

    `unembed_VD` and `unembed_bias_V` include any factor by which the model scales its logits.
    """

    hf: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    shape: ModelShape
    sites: ArchitectureSpec
    layers: tuple[Layer, ...]
    final_norm: Norm
    unembed_VD: Tensor
    unembed_mean_D: Tensor
    unembed_bias_V: Tensor | None

    def __repr__(self) -> str:
        shape = self.shape
        return f"<Model {shape.architecture}: {shape.num_layers} layers, {self.dtype}, on {self.input_device}>"

    @property
    def decoder_layers(self) -> nn.ModuleList:
        """The modules of the model's decoder layers."""
        layers = self.hf.get_submodule(self.sites.layers)
        assert isinstance(layers, nn.ModuleList)
        return layers

    @property
    def input_device(self) -> torch.device:
        """The device of the input embeddings, on which token ids must be."""
        return self.hf.get_input_embeddings().get_parameter("weight").device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the unembedding."""
        return self.unembed_VD.dtype
