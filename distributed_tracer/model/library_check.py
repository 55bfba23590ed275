"""Check that a model computes the same logits with this package's hooks as in its library, on one short sequence.

The check finds what no list of configuration flags can: anything that this package's attention and norms do not
implement. Axes: P position, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from .attention import NAME
from .forward_cache import run_with_cache
from .model import Model

_POSITIONS = 16
_TOLERANCE = 4.0


@torch.no_grad()
def check_forward(model: Model, name: str) -> None:
    """Compare the logits of random tokens between the library's own forward pass and the hooked one.

    The check takes two short passes. The library's pass has two rows whose second halves differ, so that it also shows
    whether later tokens act on earlier positions, for which a graph has no edges. Raises ModelError if the logits
    differ, or if later tokens act on earlier positions. Nothing is compared if the library's own logits are not finite;
    a prompt with such values fails by itself when it is traced.
    """
    tokens_2P = _tokens(model)
    middle = tokens_2P.shape[1] // 2
    try:
        theirs_2PV = _library_logits(model, tokens_2P)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # the library's modules may raise errors of any type
        kind, count = type(error).__name__, tokens_2P.shape[1]
        raise ModelError(f"model {name!r} cannot read {count} tokens in its own library: {kind}: {error}") from error
    if not theirs_2PV.isfinite().all():
        return
    allowed = tolerance(model.dtype)
    leaked = _difference(theirs_2PV[0, :middle], theirs_2PV[1, :middle])
    if leaked > allowed:
        raise ModelError(
            f"model {name!r} lets later tokens act on earlier positions (is_causal or use_bidirectional_attention in "
            f"its config.json, for instance): other tokens from {middle} on change the logits before them by "
            f"{leaked:.3g} of their spread. Attribution graphs are of causal models only."
        )
    positions = range(tokens_2P.shape[1])
    cache = run_with_cache(model, tokens_2P[0].tolist(), "mlp.hook_in", "mlp.hook_out", positions)
    ours_PV = torch.stack([cache.logits[position] for position in positions])
    difference = _difference(theirs_2PV[0], ours_PV)
    if not difference <= allowed:
        dtype = str(model.dtype).removeprefix("torch.")
        raise ModelError(
            f"model {name!r} computes other logits here than in its library: they differ by {difference:.3g} of their "
            f"spread, where the rounding of {dtype} explains {allowed:.2g}. Something in its config.json "
            "is not understood here, and its graphs would be wrong: please report it with that file."
        )


def tolerance(dtype: torch.dtype) -> float:
    """Return the largest relative difference that rounding explains: 4 √eps, about half of the digits of the dtype.

    Rounding errors start at the last digit and grow with depth, while a mistake in the arithmetic changes the first
    digit. The value half-way between, 4 √eps, is 0.0014 for float32 (and for float64, because parts of models are
    float32 in any case), 0.13 for float16 and 0.35 for bfloat16.
    """
    return _TOLERANCE * math.sqrt(max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps))


def _tokens(model: Model) -> Tensor:
    """Return two rows of tokens [2, P] whose first halves are equal.

    The tokens are random ones from the vocabulary that are not special, except for a leading bos.
    """
    count = min(_POSITIONS, model.shape.max_positions)
    special = {*model.tokenizer.all_special_ids, *_special_ids(model.hf.config)}
    usual = [token for token in range(min(len(model.tokenizer), model.shape.vocab_size)) if token not in special]
    usual = usual or list(range(model.shape.vocab_size))
    drawn = torch.randint(len(usual), (2, count), generator=torch.Generator().manual_seed(0))
    tokens_2P = torch.tensor(usual)[drawn]
    tokens_2P[1, : count // 2] = tokens_2P[0, : count // 2]
    bos = model.tokenizer.bos_token_id
    if bos is not None and 0 <= bos < model.shape.vocab_size:
        tokens_2P[:, 0] = bos
    return tokens_2P.to(model.input_device)


def _special_ids(config: Any) -> set[int]:
    """Return the token ids that a config reserves, for images for example: the library may require an image where it
    sees such a token."""
    return {
        value
        for key, value in config.to_dict().items()
        if key.endswith(("_token_id", "_token_index")) and isinstance(value, int)
    }


def _library_logits(model: Model, tokens_2P: Tensor) -> Tensor:
    """Return the logits [2, P, V] that the library computes with its "eager" attention; its faster kinds of attention
    leave out softcaps and sinks."""
    model.hf.set_attn_implementation("eager")
    try:
        logits: Tensor = model.hf(input_ids=tokens_2P, use_cache=False).logits
    finally:
        model.hf.set_attn_implementation(NAME)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _difference(a_PV: Tensor, b_PV: Tensor) -> float:
    """Return the norm of the difference of logits, divided by the norm of their spread, over all positions."""
    spread = (a_PV - a_PV.mean(-1, keepdim=True)).norm()
    return float((a_PV - b_PV).norm() / spread.clamp_min(torch.finfo(torch.float32).tiny))
