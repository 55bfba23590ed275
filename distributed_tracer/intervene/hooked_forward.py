"""Two forward passes over a batch of prompts: an unchanged one that is recorded, and one with features set.

Axes: B row of a batch (a prompt), H attention head, P position, D model width, L layer, A active feature, I change,
X position of the batch that has changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..model.hooks import ForwardHooks, NormKey, hooked
from ..model.model import Model
from ..threads import add_at_
from ..transcoder.base import Transcoders
from .activation_recorder import FeaturePosition
from .intervention import ResolvedIntervention

LayerObserver = Callable[[int, Tensor], None]
"""Called with each layer's number and input values [B, P, D], and last with num_layers and the final norm's output."""


def forward(
    model: Model,
    transcoders: Transcoders,
    hooks: ForwardHooks,
    tokens_BP: Tensor,
    positions: Sequence[int],
    cache: Any = None,
) -> Tensor:
    """Return the logits [B, len(positions), V] in float32 or better.

    A `cache` provides the keys and values of earlier tokens and is extended by those of these tokens.
    """
    device = model.input_device
    with hooked(model, hooks, transcoders.shape.input_site, transcoders.shape.output_site):
        result = model.hf(
            input_ids=tokens_BP.to(device),
            past_key_values=cache,
            use_cache=cache is not None,
            logits_to_keep=list(positions),
        )
    logits: Tensor = result.logits
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


@dataclass(eq=False)
class BaselinePass:
    """ForwardHooks that change nothing and record the values that may be held constant in a later pass."""

    patterns_BHPP: dict[int, Tensor] = field(default_factory=dict)
    scales_BP1: dict[NormKey, Tensor] = field(default_factory=dict)
    inputs_BPD: dict[int, Tensor] = field(default_factory=dict)
    outputs_BPD: dict[int, Tensor] = field(default_factory=dict)
    observe: LayerObserver | None = None

    def pattern(self, layer: int, compute: Callable[[], Tensor]) -> Tensor:
        """Compute, record and return the attention pattern [B, H, P, P] of a layer."""
        return self.patterns_BHPP.setdefault(layer, compute())

    def scale(self, key: NormKey, compute: Callable[[], Tensor]) -> Tensor:
        """Compute, record and return the scale [B, P, 1] of a norm."""
        return self.scales_BP1.setdefault(key, compute())

    def embeddings(self, x: Tensor) -> Tensor:
        """Return the residual stream as it enters the first layer, unchanged."""
        return x

    def mlp_input(self, layer: int, x: Tensor) -> None:
        """Record the values [B, P, D] at a layer's input site, and pass them to the observer."""
        self.inputs_BPD[layer] = x
        if self.observe is not None:
            self.observe(layer, x)

    def mlp_output(self, layer: int, y: Tensor) -> Tensor:
        """Record and return the values [B, P, D] at a layer's output site."""
        self.outputs_BPD[layer] = y
        return y

    def final(self, y: Tensor) -> None:
        """Pass the final norm's output [B, P, D] to the observer."""
        if self.observe is not None:
            self.observe(max(self.inputs_BPD) + 1, y)


class InterventionPass:
    """ForwardHooks that set features, and hold constant attention patterns or whole layers as they are configured.

    At a layer that may react, the model's own MLP runs, and the hooks add decoder rows times the difference between the
    wanted activation and the one that the feature has in this pass. At a constrained layer, the MLP's output is the
    baseline's (plus the change of the transcoder's skip connection, which is linear), and the difference is the one
    between the wanted activation and the baseline's. Features set at a constrained layer are written to constrained
    layers only.
    """

    def __init__(
        self,
        transcoders: Transcoders,
        baseline: BaselinePass,
        row_B: Tensor,
        changes_B: Sequence[Sequence[ResolvedIntervention]],
        freeze_attention: bool,
        constrained: range,
        observe: LayerObserver | None,
    ) -> None:
        """Store what to set and what to hold.

        `row_B` gives, for each prompt of this batch, its row in the baseline. After the pass, `values_B` holds the
        values to which each prompt's features were set.
        """
        self.values_B: list[dict[FeaturePosition, float]] = [{} for _ in changes_B]
        self._transcoders, self._baseline, self._row_B = transcoders, baseline, row_B
        self._freeze_attention, self._constrained, self._observe = freeze_attention, constrained, observe
        self._changes: dict[int, list[tuple[int, ResolvedIntervention]]] = {}
        for row, of_row in enumerate(changes_B):
            for change in of_row:
                self._changes.setdefault(change.layer, []).append((row, change))
        self._feature_output_BPD: dict[int, Tensor] = {}
        self._inputs_BPD: dict[int, Tensor] = {}

    def pattern(self, layer: int, compute: Callable[[], Tensor]) -> Tensor:
        """Return the baseline's attention pattern [B, H, P, P] if it is held, else a new one."""
        held = self._freeze_attention or layer in self._constrained
        return self._held(self._baseline.patterns_BHPP[layer]) if held else compute()

    def scale(self, key: NormKey, compute: Callable[[], Tensor]) -> Tensor:
        """Return the baseline's scale [B, P, 1] of a norm in a constrained layer, else a new one."""
        layer = min(key[0], self._transcoders.shape.num_layers - 1)  # the final norm belongs to the last layer
        return self._held(self._baseline.scales_BP1[key]) if layer in self._constrained else compute()

    def embeddings(self, x: Tensor) -> Tensor:
        """Return the residual stream as it enters the first layer, unchanged."""
        return x

    def mlp_input(self, layer: int, x: Tensor) -> None:
        """Pass a layer's input values [B, P, D] to the observer, and prepare what its set features write."""
        self._inputs_BPD[layer] = x
        if self._observe is not None:
            self._observe(layer, x)
        if layer in self._changes:
            self._write(layer, x)

    def mlp_output(self, layer: int, y: Tensor) -> Tensor:
        """Return a layer's output values [B, P, D], held if it is constrained, plus what set features write."""
        x = self._inputs_BPD.pop(layer)
        if layer in self._constrained:
            y = self._held(self._baseline.outputs_BPD[layer])
            skip = self._transcoders.skip(layer)
            if skip is not None:
                y = y + (x - self._held(self._baseline.inputs_BPD[layer])) @ skip.to(x.device, x.dtype).T
        added = self._feature_output_BPD.pop(layer, None)
        return y if added is None else y + added.to(y.device)

    def final(self, y: Tensor) -> None:
        """Pass the final norm's output [B, P, D] to the observer."""
        if self._observe is not None:
            self._observe(self._transcoders.shape.num_layers, y)

    def _held(self, values: Tensor) -> Tensor:
        return values[self._row_B.to(values.device)]

    def _write(self, layer: int, x: Tensor) -> None:
        """Add the effect of a layer's changes to the outputs of its own MLP and of the MLPs above it."""
        rows, changes = zip(*self._changes[layer], strict=True)
        row_I = torch.tensor(rows, device=x.device)
        position_I = torch.tensor([change.position for change in changes], device=x.device)
        feature_I = torch.tensor([change.feature for change in changes], device=x.device)
        original_BPD, original_row_I = self._baseline.inputs_BPD[layer], self._row_B.to(x.device)[row_I]
        original_I = self._activations(layer, original_BPD, original_row_I, position_I, feature_I)
        is_held = layer in self._constrained
        now_I = original_I if is_held else self._activations(layer, x, row_I, position_I, feature_I)
        number_I = torch.tensor([change.number for change in changes], device=x.device, dtype=now_I.dtype)
        is_multiple_I = torch.tensor([change.is_multiple for change in changes], device=x.device)
        value_I = torch.where(is_multiple_I, number_I * original_I, number_I)
        for row, change, value in zip(rows, changes, value_I.tolist(), strict=True):
            self.values_B[row][layer, change.position, change.feature] = value
        difference_I = value_I - now_I
        for output_layer in self._transcoders.shape.writes_to(layer):
            if is_held and output_layer not in self._constrained:
                continue  # MLPs above the range react to what is written within it; writing there would count it twice
            rows_ID = difference_I[:, None] * self._transcoders.decoder_rows(layer, feature_I, output_layer)
            added = self._feature_output_BPD.setdefault(output_layer, torch.zeros_like(x))
            add_at_(added, (row_I, position_I), rows_ID.to(x.dtype))

    def _activations(self, layer: int, x_BPD: Tensor, row_I: Tensor, position_I: Tensor, feature_I: Tensor) -> Tensor:
        """Return the activation of one feature for each change.

        The whole layer is encoded, because in a TopK transcoder all features decide which ones are active. Each
        position is encoded once, however many of its features are set.
        """
        place_X, read_I = (row_I * x_BPD.shape[1] + position_I).unique(return_inverse=True)  # type: ignore[no-untyped-call]  # torch's gap
        read_A, feature_A, activation_A = self._transcoders.encode(layer, x_BPD.flatten(0, 1)[place_X])
        num_features = self._transcoders.shape.features_L[layer]
        site_A, order_A = (read_A * num_features + feature_A).sort()
        site_I = read_I * num_features + feature_I
        if not len(site_A):
            return activation_A.new_zeros(len(site_I))
        at_I = torch.searchsorted(site_A, site_I).clamp(max=len(site_A) - 1)
        return torch.where(site_A[at_I] == site_I, activation_A[order_A[at_I]], 0.0)
