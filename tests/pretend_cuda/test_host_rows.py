"""On pretended devices: decoder rows that the host gathers reach the GPU through pinned memory, without a wait."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from frozen import FLAVOURS, TOKENS
from jobs_of_cases import job
from tiny import LAYERS, save_transcoders, tiny_model

from distributed_tracer import TraceConfig, load_transcoders
from distributed_tracer.config import DecoderPlace, RunConfig, TranscoderConfig
from distributed_tracer.errors import TranscoderError
from distributed_tracer.plan import machine
from distributed_tracer.plan.cost import transcoder_bytes
from distributed_tracer.plan.decoders import PlannedDecoders
from distributed_tracer.plan.machine import free_bytes_of
from distributed_tracer.runtime import prompt_attempt
from distributed_tracer.runtime.prompt_attempt import LoadedModel
from distributed_tracer.store.format.digest import graph_digest
from distributed_tracer.trace import host_rows
from distributed_tracer.trace.attribute import attribute_dense
from distributed_tracer.transcoder import load
from distributed_tracer.transcoder.base import Transcoders
from distributed_tracer.transcoder.load import transcoder_shape
from distributed_tracer.transcoder.shard import Shard
from distributed_tracer.transcoder.sharded import ShardedTranscoders

from .counts import Counts
from .device import pretending
from .placing import placed_model
from .watching import Watched

PLACES: tuple[DecoderPlace, ...] = get_args(DecoderPlace)
AT_ONCE = {"host", "files"}
GIB = 2**30


def traced(transcoders: Transcoders, counts: Counts) -> tuple[bytes, Counter[str], list[Counter[str]]]:
    """Digest of a graph, all waits, and those of each round."""
    counts.reset()
    watched = Watched(counts)
    config = TraceConfig(40, round_size=8)
    dense = attribute_dense(list(TOKENS), placed_model("gemma2", "one"), transcoders, config, watched.open)
    waits = counts.waits.copy()
    return graph_digest(dense.whole()), waits, [waits for waits, _ in watched.rounds]


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_wherever_decoders_live_a_graph_has_the_same_bits_and_one_wait_more_is_all(
    flavour: str, keep: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room to keep vectors, every sweep asks for the rows again. Buffers hold three rows, so each is used
    several times."""
    monkeypatch.setattr(host_rows, "_BUFFER_BYTES", 3 * 32 * 4)
    source = str(save_transcoders(tmp_path, **FLAVOURS[flavour]))
    with pretending(free_bytes=GIB if keep else 0) as counts:
        found = {place: traced(load_transcoders(source, device="cuda", decoders=place), counts) for place in PLACES}
    digest, waits, rounds = found["device"]
    for place in AT_ONCE:
        assert found[place][0] == digest
        assert found[place][2] == rounds, "nothing waits for rows inside a round"
        more = found[place][1] - waits
        assert list(more.values()) == [1], more
        assert next(iter(more)).startswith("trace/host_rows.py"), "the features come to the host once"
    of_vectors = {line: n for line, n in waits.items() if line.startswith(("trace/source", "trace/column_layout"))}
    assert max(of_vectors.values()) < LAYERS, of_vectors


def test_rows_are_copied_from_pinned_memory_and_each_feature_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[tuple[int, bool]] = []
    copy = host_rows._PinnedBuffers.copy

    def watched(self: Any, source: torch.Tensor, target: torch.Tensor) -> None:
        copied.append((len(source), len(source.unique(dim=0)) == len(source)))  # type: ignore[no-untyped-call]
        copy(self, source, target)

    monkeypatch.setattr(host_rows._PinnedBuffers, "copy", watched)
    source = str(save_transcoders(tmp_path, **FLAVOURS["clt-jumprelu-resid"]))
    with pretending() as counts:
        _, waits, _ = traced(load_transcoders(source, device="cuda", decoders="host"), counts)
    assert not [line for line in waits if line.startswith("trace/host_rows.py") and "pageable" in line]
    assert len(copied) == LAYERS * (LAYERS + 1) // 2, "one for each pair of layers"
    assert all(num_rows <= 40 and once for num_rows, once in copied)


def test_shards_whose_rows_the_host_gathers_give_the_same_bits(tmp_path: Path) -> None:
    """As the same shards whose decoders are on the device: encoders of another width may round in another way."""
    source = str(save_transcoders(tmp_path, **FLAVOURS["clt-jumprelu-resid"]))
    found = {}
    for place in ("device", "host"):
        with pretending() as counts:
            owners = [load_transcoders(source, device="cuda", shard=Shard(n, 3), decoders=place) for n in range(3)]
            found[place] = traced(ShardedTranscoders(owners), counts)
    assert found["host"][0] == found["device"][0]
    assert sum(n for line, n in found["host"][1].items() if line.startswith("trace/host_rows.py")) == 1


def test_decoders_go_where_the_gpu_and_the_machine_have_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = str(save_transcoders(tmp_path, size=4096))
    decoders = 4 * LAYERS * 4096 * 32
    for gpu, host, place in ((10 * decoders, 0, "device"), (decoders, 2 * decoders, "host"), (decoders, 1, "files")):
        monkeypatch.setattr(load, "free_cpu_bytes", lambda host=host: host)
        with pretending(free_bytes=gpu):
            transcoders = load_transcoders(source, device="cuda")
            assert transcoders.decoders == place
            assert transcoders.decoder_device.type == ("cuda" if place == "device" else "cpu")
            assert f"decoders: {place}" in repr(transcoders)


@pytest.mark.parametrize(
    ("gpu", "host", "run", "place"),
    [
        (2.0, 0.0, RunConfig(local=True), "device"),
        (
            2.0,
            9.0,
            RunConfig(ray_address="auto", workers=2, gpus_per_worker=0.5),
            "host",
        ),  # half of the GPU is too small
        (4.0, 0.0, RunConfig(ray_address="auto", workers=2, gpus_per_worker=0.5), "device"),
        (0.5, 2.1, RunConfig(local=True), "host"),
        (0.5, 2.1, RunConfig(workers=2, gpus_per_worker=1), "files"),  # half of it is too small
    ],
)
def test_a_worker_counts_its_share_of_gpu_and_main_memory(
    gpu: float, host: float, run: RunConfig, place: DecoderPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes are multiples of those of the decoders, which are the most of what a worker needs. The model is there."""
    source = save_transcoders(tmp_path / "transcoders", kind="clt", size=4096)
    decoders = transcoder_bytes(transcoder_shape(str(source)), "float32")[0]
    loaded = SimpleNamespace(input_device=torch.device("cuda"), shape=tiny_model("llama").shape)
    monkeypatch.setattr(prompt_attempt, "load_model", lambda *arguments: loaded)
    monkeypatch.setattr(prompt_attempt, "free_cpu_bytes", lambda: int(host * decoders))
    monkeypatch.setattr(machine, "ask_gpus", lambda *names: [["0"]])
    config = job(tmp_path, [], run)
    config = replace(config, transcoders=TranscoderConfig(str(source)))
    with pretending(free_bytes=int(gpu * decoders)):
        worker = LoadedModel(config, 1, Shard(), None, PlannedDecoders(None, 0))
        assert worker.kept.decoders == place


def test_memory_that_the_allocator_holds_unused_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretending(free_bytes=100):
        assert free_bytes_of(torch.device("cuda")) == 100
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 70)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 50)
        assert free_bytes_of(torch.device("cuda")) == 120


def test_decoders_that_live_in_main_memory_are_checked_when_they_are_loaded(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_transcoders(tmp_path)
    tensors = load_file(tmp_path / "layer_1.safetensors")
    tensors["W_dec"][3, 5] = float("nan")
    save_file(tensors, tmp_path / "layer_1.safetensors")
    with pretending(), pytest.raises(TranscoderError, match=r"W_dec in .*layer_1.*: 1 of 1280 numbers are NaN"):
        load_transcoders(str(tmp_path), device="cuda", decoders="host")
