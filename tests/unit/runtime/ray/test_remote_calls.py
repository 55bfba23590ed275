"""What Ray has no room for, between workers: actors are stand-ins that Ray refuses to send anything to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray")

import ray

from distributed_tracer.config import TraceConfig
from distributed_tracer.errors import OutOfMemory, TracerError
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.ray.remote_helper import RemoteHelper
from distributed_tracer.runtime.ray.remote_shard import RemoteShard
from distributed_tracer.runtime.shared_rows import HelperFailed
from distributed_tracer.transcoder.shard import Shard

FULL = (ray.exceptions.ObjectStoreFullError("full"), ray.exceptions.OutOfDiskError("full"))
KEPT: Any = SimpleNamespace(shape=None, dtype=None, device="cpu")


def refusing(error: Exception) -> Any:
    """An actor whose every method raises when it is called."""

    def remote(*args: Any) -> None:
        raise error

    method = SimpleNamespace(remote=remote)
    return SimpleNamespace(call_shard=method, open_session=method, compute_batch=method)


@pytest.mark.parametrize("error", FULL)
def test_what_cannot_be_sent_to_a_helper_is_its_failure(error: Exception) -> None:
    helper = RemoteHelper(refusing(error))
    with pytest.raises(HelperFailed, match="no room"):
        helper.open(Prompt("p", "x"), TraceConfig())
    with pytest.raises(HelperFailed, match="no room"):
        helper.ask(np.zeros(1, np.int64), 0)


@pytest.mark.parametrize("error", FULL)
@pytest.mark.parametrize("sent", [True, False])
def test_a_slice_that_cannot_be_asked_or_answer_is_an_error_with_a_remedy(error: Exception, sent: bool) -> None:
    answer = ray.exceptions.RayTaskError("call_shard", "traceback", error) if sent else error
    with pytest.raises(TracerError, match=r"shard 1 of 2 of the transcoders .*--slices"):
        RemoteShard(refusing(answer), Shard(1, 2), KEPT).decoder_bias(0)


def test_an_error_in_a_slices_worker_arrives_as_itself() -> None:
    answer = ray.exceptions.RayTaskError("call_shard", "traceback", OutOfMemory("none left"))
    with pytest.raises(OutOfMemory, match=r"^none left$"):
        RemoteShard(refusing(answer), Shard(1, 2), KEPT).decoder_bias(0)
