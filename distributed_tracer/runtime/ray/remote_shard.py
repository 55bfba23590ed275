"""RemoteShard: a ShardOwner for the shard of the transcoders that another actor holds.

Only the data that a prompt needs is sent: the input of an encoder in one direction, and the active features with their
vectors in the other.
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


class RemoteShard:
    """A shard held by another actor; shape, dtype and device are those of the local shard.

    All methods raise WorkerLost if the other actor died, and FilesChanged if its weight files changed.
    """

    def __init__(self, actor: Any, shard: Shard, kept: LoadedTranscoders) -> None:
        self.shard, self.shape, self.dtype, self.device = shard, kept.shape, kept.dtype, kept.device
        self.decoder_device = torch.device("cpu")  # rows arrive in this process's main memory
        self._actor = actor
        self.decoder_bias, self.skip = cache(self._decoder_bias), cache(self._skip)

    def encode(self, layer: int, x_PD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode the inputs x_PD with the features of this shard alone."""
        found: tuple[Tensor, Tensor, Tensor] = self._call("encode", x_PD.device, layer, x_PD)
        return found

    def encode_candidates(self, layer: int, x_PD: Tensor) -> Candidates:
        """Return the features of this shard that may be active for the inputs x_PD."""
        found: Candidates = self._call("encode_candidates", x_PD.device, layer, x_PD)
        return found

    def encoder_rows(self, layer: int, features_F: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoder vectors [F, D] and biases [F] of features of a layer."""
        found: tuple[Tensor, Tensor] = self._call("encoder_rows", features_F.device, layer, features_F)
        return found

    def decoder_rows(self, layer: int, features_F: Tensor, output_layer: int) -> Tensor:
        """Return the decoder vectors [F, D] from `layer` to `output_layer`."""
        found: Tensor = self._call("decoder_rows", features_F.device, layer, features_F, output_layer)
        return found

    def _decoder_bias(self, layer: int) -> Tensor:
        found: Tensor = self._call("decoder_bias", self.device, layer)
        return found

    def _skip(self, layer: int) -> Tensor | None:
        found: Tensor | None = self._call("skip", self.device, layer)
        return found

    def _call(self, method: str, device: torch.device, *args: Any) -> Any:
        name = f"shard {self.shard.index} of {self.shard.count}"
        try:
            return moved(ray.get(self._actor.call_shard.remote(method, *moved(args, "cpu"))), device)
        except ACTOR_LOST_ERRORS as error:
            raise WorkerLost(f"the worker that holds {name} died") from error
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, TOO_LARGE):
                raise _no_room(name, cause) from error
            raise (cause or error) from error
        except TOO_LARGE as error:
            raise _no_room(name, error) from error


def _no_room(name: str, error: Exception) -> TracerError:
    return TracerError(
        f"Ray has no room for the data that workers send each other for {name} of the transcoders ({in_short(error)}). "
        "Try a larger /dev/shm, more room where Ray spills (ray start --temp-dir), or fewer --slices"
    )


def sharing(kept: LoadedTranscoders, group: Sequence[Any]) -> ShardedTranscoders:
    """Return the whole set of transcoders: the shard held here, and those of the group's other actors.

    All shards are called at the same time, each from a thread of its own.
    """
    shards = [Shard(index, len(group)) for index in range(len(group))]
    owners = [
        kept if shard == kept.shard else RemoteShard(actor, shard, kept)
        for actor, shard in zip(group, shards, strict=True)
    ]
    pool = ThreadPoolExecutor(len(group), "shard")
    return ShardedTranscoders(owners, lambda calls: list(pool.map(lambda call: call(), calls)))


def moved(found: Any, device: torch.device | str) -> Any:
    """Return an answer, or the arguments of a call, with every tensor moved to another device."""
    if isinstance(found, Tensor):
        return found.to(device)
    if isinstance(found, tuple):
        return tuple(moved(item, device) for item in found)
    if isinstance(found, Candidates):
        return Candidates(
            found.positions_A.to(device), found.features_A.to(device), found.activations_A.to(device), found.k
        )
    return found
