"""Chooses the features that represent something: those that fire with it and not without it.

The effects of interventions are never used for this choice.

Axes: I prompt, L layer, X position counted from the end, S feature of the dictionary, A active feature.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from distributed_tracer import Intervention, ReplacementModel

MOST, FEW = 0.75, 0.25
"""A feature fires with something if it does so in at least the share MOST of its prompts, and does not fire without it
if it fires in less than the share FEW of the other prompts.
"""

Floats = npt.NDArray[np.float32]
Supernode = dict[tuple[int, int, int], float]
"""Mean activation by (layer, position from the end, feature)."""


def activations(model: ReplacementModel, texts: Sequence[str], positions: int = 1) -> Floats:
    """Return the activation of every feature at each prompt's last positions: [I, L, X, S]."""
    shape = model.transcoders.shape
    found = np.zeros((len(texts), shape.num_layers, positions, max(shape.features_L)), dtype=np.float32)
    for row, effect in enumerate(model.intervene_many([(text, ()) for text in texts], with_active=True)):
        active = effect.before.active
        position_A = active.position_A - len(effect.tokens) + positions
        is_near_A = position_A >= 0
        sites = active.layer_A[is_near_A], position_A[is_near_A], active.feature_A[is_near_A]
        found[row][sites] = active.activation_A[is_near_A]
    return found


def supernode(with_it: Floats, without_it: Floats, layers: range | None = None) -> Supernode:
    """Return features that fire with something and not without it, in some or all layers, with mean activations."""
    share_LXS, mean_LXS = (with_it > 0).mean(0), with_it.mean(0)
    chosen_LXS = (share_LXS >= MOST) & ((without_it > 0).mean(0) < FEW)
    if layers is not None:
        chosen_LXS[[layer for layer in range(len(chosen_LXS)) if layer not in layers]] = False
    positions = chosen_LXS.shape[1]
    return {
        (layer, position - positions, feature): float(mean_LXS[layer, position, feature])
        for layer, position, feature in zip(*(places.tolist() for places in np.nonzero(chosen_LXS)), strict=True)
    }


def both(first: Supernode, second: Supernode) -> Supernode:
    """Return the features that both supernodes have, with the activations of the first."""
    return {site: value for site, value in first.items() if site in second}


def swap(off: Supernode, on: Supernode, strength: float) -> list[Intervention]:
    """Return interventions that turn one supernode off and the other on, fully at strength 1 and beyond that above 1.

    Features that are turned off are multiplied by (1 - strength): unchanged at 0, and at 2 as strong as before with the
    sign reversed. Features that are turned on get `strength` times their mean.
    """
    turned_off = [Intervention(*site, times=1 - strength) for site in off if site not in on]
    mixed = [
        Intervention(*site, value=strength * value + (1 - strength) * off.get(site, 0.0)) for site, value in on.items()
    ]
    return turned_off + mixed
