"""RemoteSlice: the slice of the transcoders that another actor keeps, as a ShardOwner here.

Only what a prompt needs travels: the input of an encoder one way, what is active and its vectors the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import ray
import torch
from torch import Tensor

from ...errors import TracerError, WorkerLost
from ...transcoder.activation import Candidates
from ...transcoder.loaded import LoadedTranscoders
from ...transcoder.shard import Shard
from ...transcoder.sharded import ShardedTranscoders
from ..telemetry.untrusted_text import in_short
from .cluster import ACTOR_LOST_ERRORS
from .prompt_message import TOO_LARGE


class RemoteSlice:
    """Like the slice kept here, but for its number. Raises WorkerLost if the other actor is no more, and FilesChanged
    if it has seen that."""

    def __init__(self, actor: Any, part: Shard, kept: LoadedTranscoders) -> None:
        self.part, self.shape, self.dtype, self.device = part, kept.shape, kept.dtype, kept.device
        self._actor = actor
        self.decoder_bias, self.skip = cache(self._decoder_bias), cache(self._skip)

    def encode(self, layer: int, x_PD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of this slice alone."""
        found: tuple[Tensor, Tensor, Tensor] = self._ask("encode", x_PD.device, layer, x_PD)
        return found

    def encode_candidates(self, layer: int, x_PD: Tensor) -> Candidates:
        """What of this slice may be active."""
        found: Candidates = self._ask("encode_candidates", x_PD.device, layer, x_PD)
        return found

    def encoder_rows(self, layer: int, features_F: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder vectors [F, D] and biases [F]."""
        found: tuple[Tensor, Tensor] = self._ask("encoder_rows", features_F.device, layer, features_F)
        return found

    def decoder_rows(self, layer: int, features_F: Tensor, output_layer: int) -> Tensor:
        """Decoder vectors [F, D] from `layer` to `output_layer`."""
        found: Tensor = self._ask("decoder_rows", features_F.device, layer, features_F, output_layer)
        return found

    def _decoder_bias(self, layer: int) -> Tensor:
        found: Tensor = self._ask("decoder_bias", self.device, layer)
        return found

    def _skip(self, layer: int) -> Tensor | None:
        found: Tensor | None = self._ask("skip", self.device, layer)
        return found

    def _ask(self, question: str, device: torch.device, *args: Any) -> Any:
        slice_ = f"slice {self.part.index} of {self.part.count}"
        try:
            return moved(ray.get(self._actor.of_slice.remote(question, *moved(args, "cpu"))), device)
        except ACTOR_LOST_ERRORS as error:
            raise WorkerLost(f"the worker that keeps {slice_} died") from error
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, TOO_LARGE):
                raise _no_room(slice_, cause) from error
            raise (cause or error) from error
        except TOO_LARGE as error:
            raise _no_room(slice_, error) from error


def _no_room(slice_: str, error: Exception) -> TracerError:
    return TracerError(
        f"Ray has no room for what workers send each other of {slice_} of the transcoders ({in_short(error)}). Try a "
        "larger /dev/shm, more room where Ray spills (ray start --temp-dir), or fewer --slices"
    )


def sharing(kept: LoadedTranscoders, group: Sequence[Any]) -> ShardedTranscoders:
    """The whole set, of the slice kept here and those that the other actors of the group keep; all asked at once."""
    parts = [Shard(index, len(group)) for index in range(len(group))]
    holders = [
        kept if part == kept.part else RemoteSlice(actor, part, kept) for actor, part in zip(group, parts, strict=True)
    ]
    pool = ThreadPoolExecutor(len(group), "slice")
    return ShardedTranscoders(holders, lambda questions: list(pool.map(lambda question: question(), questions)))


def moved(found: Any, device: torch.device | str) -> Any:
    """Every tensor in an answer or in a question's arguments, on another device."""
    if isinstance(found, Tensor):
        return found.to(device)
    if isinstance(found, tuple):
        return tuple(moved(item, device) for item in found)
    if isinstance(found, Candidates):
        return Candidates(
            found.positions_A.to(device), found.features_A.to(device), found.activations_A.to(device), found.k
        )
    return found
