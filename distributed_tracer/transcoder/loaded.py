"""LoadedTranscoders: the weights of a set of transcoders, or of one shard of it, in this process.

Per-layer and cross-layer transcoders are treated alike: a per-layer transcoder is a cross-layer one that writes to its
own layer only. Both keep decoders as [S, L, D], where entry m writes to layer + m, and nothing else differs.

Axes: P position, D model width, S feature of the dictionary (kept here), A active feature, F feature requested,
L layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import DecoderPlace
from ..errors import TranscoderError
from ..shapes import TranscoderShape
from ..text import counted
from ..threads import linear
from .activation import Activation, Candidates, candidate_mask, merge
from .fold import encoder_bias, feature_scales, scaled
from .shard import Shard
from .spec import LayerSpec
from .tensor_files import map_rows, read

_PRE_ACTIVATIONS = 2**26  # computed at once: 256 MiB of float32 and as much for masks, however long the prompt


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """The weights of one layer, for the features kept.

    All are on one device, except a decoder that lives in main memory beside a GPU, or a lazy one, which is a view of
    its file.
    """

    features: range
    activation: Activation
    W_enc_SD: Tensor
    b_enc_S: Tensor
    threshold_S: Tensor | None
    W_dec_SLD: Tensor
    b_dec_D: Tensor
    W_skip_DD: Tensor | None
    lazy: bool = False
    """Whether `W_dec_SLD` is a view of a file whose values have not been checked yet."""
    decoder_scale_S: Tensor | None = None
    """The factors by which the rows of a lazy decoder are multiplied when they are read: [S] or a scalar, in
    float64."""


class LoadedTranscoders:
    """A set of transcoders with its weights in this process, or one shard of it, which has only some of the features.

    It implements the protocol `base.Transcoders`.
    """

    def __init__(
        self,
        shape: TranscoderShape,
        layers: Sequence[LayerWeights],
        dtype: torch.dtype,
        device: torch.device,
        shard: Shard,
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.device = device
        self.shard = shard
        self.layers = layers

    def __repr__(self) -> str:
        shape, least, most = self.shape, min(self.shape.features_L), max(self.shape.features_L)
        features = counted(most, "feature") if least == most else f"{least:,} to {counted(most, 'feature')}"
        kind = f"{shape.kind}: {counted(shape.num_layers, 'layer')} of {features}, {shape.activation}"
        return f"<LoadedTranscoders {kind}, {self.dtype}, on {self.device}, decoders: {self.decoders}>"

    @property
    def decoders(self) -> DecoderPlace:
        """Where the decoders live."""
        if self.layers[0].lazy:
            return "files"
        return "device" if self.decoder_device.type == self.device.type else "host"

    @property
    def decoder_device(self) -> torch.device:
        """The device on which decoder rows are gathered: the CPU unless the decoders are on a GPU."""
        return self.layers[0].W_dec_SLD.device

    def encode(self, layer: int, x_PD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return positions [A], features [A] and activations [A] of the active features kept here.

        Raises TranscoderError for one of several shards of TopK transcoders, which cannot tell alone which features are
        active: the candidates of all shards must be merged.
        """
        candidates = self.encode_candidates(layer, x_PD)
        if candidates.k is not None and self.shard.count > 1:
            raise TranscoderError(
                f"shard {self.shard.index} of {self.shard.count} cannot determine which {candidates.k} features are "
                "the largest: merge the encode_candidates of all shards"
            )
        return merge([candidates])

    @torch.no_grad()
    def encode_candidates(self, layer: int, x_PD: Tensor) -> Candidates:
        """Return the features of this shard that may be active."""
        weights = self.layers[layer]
        positions, features, activations = [], [], []
        # blocks depend on the features of all shards, so they, and all bits, are the same for any number of shards
        num_positions = max(1, _PRE_ACTIVATIONS // max(1, self.shape.features_L[layer]))
        for start in range(0, max(1, len(x_PD)), num_positions):
            block_PD = x_PD[start : start + num_positions]
            pre_PS = linear(block_PD.to(self.device, self.dtype), weights.W_enc_SD, weights.b_enc_S)
            mask_PS = candidate_mask(pre_PS, weights.activation, weights.threshold_S)
            position_A, feature_A = mask_PS.nonzero(as_tuple=True)
            positions.append(position_A + start)
            features.append(feature_A + weights.features.start)
            activations.append(pre_PS[position_A, feature_A])
        k = weights.activation.k if weights.activation.kind == "topk" else None
        positions_A, features_A, activations_A = (
            torch.cat(t).to(x_PD.device) for t in (positions, features, activations)
        )
        return Candidates(positions_A, features_A, activations_A, k)

    def encoder_rows(self, layer: int, features_F: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoder vectors [F, D] and biases [F] of features of `layer`, which must be kept here."""
        weights = self.layers[layer]
        index_F = self._index(weights, features_F, self.device)
        return weights.W_enc_SD[index_F].to(features_F.device), weights.b_enc_S[index_F].to(features_F.device)

    def decoder_rows(self, layer: int, features_F: Tensor, output_layer: int) -> Tensor:
        """Return the decoder vectors [F, D] from `layer` to `output_layer` of features that are kept here.

        The rows are gathered where the decoders live. If that is not the device of `features_F`, the program waits for
        the features, so give them on `decoder_device` where that matters. Lazy decoders are read from their file now.
        Raises TranscoderError if their numbers are NaN or infinite.
        """
        weights = self.layers[layer]
        assert output_layer in self.shape.writes_to(layer), f"layer {layer} does not write to layer {output_layer}"
        index_F = self._index(weights, features_F, weights.W_dec_SLD.device)
        rows_FD = weights.W_dec_SLD[:, output_layer - layer].index_select(0, index_F)
        if weights.decoder_scale_S is not None:
            scale_S = weights.decoder_scale_S
            rows_FD = scaled(rows_FD, scale_S[index_F] if scale_S.ndim else scale_S, self.dtype)
        rows_FD = rows_FD.to(self.dtype)
        if weights.lazy:
            _finite(rows_FD, f"W_dec of layer {layer}")
        return rows_FD.to(features_F.device)

    def decoder_bias(self, layer: int) -> Tensor:
        """Return the decoder bias [D], which is zero in all shards but shard 0, so that the shards add up."""
        return self.layers[layer].b_dec_D

    def skip(self, layer: int) -> Tensor | None:
        """Return the skip matrix [D_out, D_in]; None without a skip connection, and in shards other than shard 0."""
        return self.layers[layer].W_skip_DD

    def _index(self, weights: LayerWeights, features_F: Tensor, device: torch.device) -> Tensor:
        index_F = features_F.to(device) - weights.features.start
        if self.shard.count > 1:  # a negative index would give another feature's row
            kept = (index_F >= 0) & (index_F < len(weights.features))
            assert bool(kept.all()), f"shard {self.shard.index} of {self.shard.count} has {weights.features} only"
        return index_F


def load_layer(
    files: LayerSpec,
    layer: int,
    features: range,
    shard: Shard,
    dtype: torch.dtype,
    device: torch.device,
    decoders: DecoderPlace,
) -> LayerWeights:
    """Read the weights of `features` of one layer.

    `shard` is the shard to which the features belong, and `decoders` is where their decoders are to live. Raises
    TranscoderError for weights that are NaN or infinite in `dtype`.
    """

    def resident(name: object, stored: Tensor, where: torch.device = device) -> Tensor:
        return _finite(_copy(stored, dtype, where), str(name))

    fold, lazy = files.fold, decoders == "files"
    W_dec = map_rows(files.W_dec)[features.start : features.stop] if lazy else read(files.W_dec, features)
    W_dec_SLD = W_dec[:, None] if files.first_output is None else W_dec[:, layer - files.first_output :]
    encoder_scale, decoder_scale = feature_scales(fold, W_dec_SLD[:, 0] if fold.unit_decoders else None)
    decoder_scale = decoder_scale * fold.output_scale
    if not lazy:
        where = device if decoders == "device" else torch.device("cpu")
        W_dec_SLD = resident(files.W_dec, scaled(W_dec_SLD, decoder_scale, dtype), where)
    stored_b_dec_D = read(files.b_dec) if files.b_dec else None
    b_dec_D = torch.zeros(W_dec_SLD.shape[-1], dtype=dtype, device=device)
    if stored_b_dec_D is not None and shard.index == 0:
        output_scale = torch.tensor(fold.output_scale, dtype=torch.float64)
        b_dec_D = resident(files.b_dec, scaled(stored_b_dec_D, output_scale, dtype))
    stored_W_enc_SD = read(files.W_enc, features)
    b_enc_S = encoder_bias(fold, stored_W_enc_SD, read(files.b_enc, features), stored_b_dec_D)
    return LayerWeights(
        features=features,
        activation=files.activation,
        W_enc_SD=resident(files.W_enc, scaled(stored_W_enc_SD, encoder_scale * fold.input_scale, dtype)),
        b_enc_S=resident(files.b_enc, b_enc_S * encoder_scale),
        threshold_S=_thresholds(files, features, dtype, device),
        W_dec_SLD=W_dec_SLD,
        b_dec_D=b_dec_D,
        W_skip_DD=resident(files.W_skip, read(files.W_skip)) if files.W_skip and shard.index == 0 else None,
        lazy=lazy,
        decoder_scale_S=decoder_scale if lazy else None,
    )


def _thresholds(files: LayerSpec, features: range, dtype: torch.dtype, device: torch.device) -> Tensor | None:
    """Return the thresholds [S] of those features, or None. Infinite ones are allowed: such features are never
    active."""
    if files.threshold is None:
        return None
    stored_S = read(files.threshold).flatten()[features.start : features.stop]  # [S] or [1, S], and small
    threshold_S = _copy(stored_S.double().exp() if files.fold.log_threshold else stored_S, dtype, device)
    if threshold_S.isnan().any():
        raise TranscoderError(f"{files.threshold}: NaN among {len(threshold_S)} thresholds")
    return threshold_S


def _copy(stored: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a contiguous copy, which does not depend on the file, as that may be mapped."""
    return torch.empty(stored.shape, dtype=dtype, device=device).copy_(stored)


def _finite(tensor: Tensor, name: str) -> Tensor:
    if not tensor.isfinite().all():
        num_wrong = int((~tensor.isfinite()).sum())
        raise TranscoderError(f"{name}: {num_wrong} of {tensor.numel()} numbers are NaN or infinite in {tensor.dtype}")
    return tensor
