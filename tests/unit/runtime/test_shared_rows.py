"""A prompt's batches are shared with helpers: the graph is bit-identical, also if a helper fails or is late."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from jobs_of_cases import CASE

from distributed_tracer.config import TraceConfig
from distributed_tracer.graph.graph import Graph
from distributed_tracer.model.load import load_model
from distributed_tracer.model.model import Model
from distributed_tracer.prompt import Prompt
from distributed_tracer.runtime.shared_rows import HelperFailed, HelperPool, HelperSession, SharedRowComputer
from distributed_tracer.trace.attribute import attribute
from distributed_tracer.trace.edge_block_io import SerializedBlock
from distributed_tracer.trace.rows import RowComputer
from distributed_tracer.transcoder.base import Transcoders
from distributed_tracer.transcoder.load import load_transcoders

PROMPT = Prompt("p", tokens=(1, *range(20, 44)))
CONFIG = TraceConfig(max_feature_nodes=120, round_size=60, sweep_rows=7)


@pytest.fixture(scope="module")
def replica() -> tuple[Model, Transcoders]:
    return load_model(str(CASE / "model")), load_transcoders(str(CASE / "transcoders"))


class Near:
    """A helper in this process that is prepared when asked for the second time, and may fail at a round, or where
    it is sent something."""

    def __init__(
        self, replica: tuple[Model, Transcoders], fails_at: int = -1, prompt: Prompt | None = None, unsent: str = ""
    ) -> None:
        self.replica, self.fails_at, self.other_prompt, self.unsent = replica, fails_at, prompt, unsent
        self.session: HelperSession | None = None
        self.looked = self.rounds = self.num_blocks = 0

    def open(self, prompt: Prompt, config: TraceConfig) -> None:
        if self.unsent == "open":
            raise HelperFailed("no room")
        self.session = HelperSession(self.other_prompt or prompt, *self.replica, config)

    def fingerprint(self) -> str | None:
        self.looked += 1
        assert self.session is not None
        return self.session.fingerprint if self.looked > 1 else None

    def ask(self, chosen_F: npt.NDArray[np.int64], number: int) -> None:
        if self.unsent == "ask":
            raise HelperFailed("no room")
        self.asked = (chosen_F, number)

    def answered(self) -> bool:
        return self.num_blocks % 2 == 0  # now and then

    def take(self, seconds: float) -> SerializedBlock:
        import torch

        self.rounds += 1
        if self.rounds == self.fails_at:
            raise HelperFailed("its process died")
        assert self.session is not None
        self.num_blocks += 1
        return self.session.block(torch.tensor(self.asked[0]), self.asked[1])


def graph_with(replica: tuple[Model, Transcoders], config: TraceConfig, *helping: Near) -> Graph:
    helpers = HelperPool()
    for helper in helping:
        helpers.offer(helper)

    def open_rows(*opened: Any) -> SharedRowComputer:
        return SharedRowComputer(RowComputer(*opened), PROMPT, config, helpers)

    return attribute(PROMPT, *replica, config, open_rows)


def same(one: Graph, other: Graph) -> bool:
    arrays = ("indptr", "source_E", "weight_E", "influence_N", "row_abs_sum_N", "row_abs_dropped_N", "constant_N")
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in arrays)


@pytest.mark.parametrize("mass", [1.0, 0.9])
@pytest.mark.parametrize("count", [1, 2])
def test_with_helpers_the_graph_is_the_same_to_the_bit(replica: Any, count: int, mass: float) -> None:
    config, helping = replace(CONFIG, keep_row_mass=mass), [Near(replica) for _ in range(count)]
    assert same(graph_with(replica, config, *helping), attribute(PROMPT, *replica, config))
    assert all(helper.num_blocks for helper in helping)


def test_a_helper_that_fails_is_done_without(replica: Any, caplog: pytest.LogCaptureFixture) -> None:
    config, failing, going_on = replace(CONFIG, round_size=20), Near(replica, fails_at=2), Near(replica)
    assert same(graph_with(replica, config, failing, going_on), attribute(PROMPT, *replica, config))
    assert (failing.rounds, going_on.rounds) == (2, 5)
    assert "its process died" in caplog.text


@pytest.mark.parametrize("unsent", ["open", "ask"])
def test_a_helper_that_cannot_be_sent_anything_is_done_without(
    unsent: str, replica: Any, caplog: pytest.LogCaptureFixture
) -> None:
    mute, going_on = Near(replica, unsent=unsent), Near(replica)
    assert same(graph_with(replica, CONFIG, mute, going_on), attribute(PROMPT, *replica, CONFIG))
    assert (mute.rounds, caplog.text.count("no room")) == (0, 1)
    assert going_on.rounds


def test_a_helper_that_sees_other_features_is_not_used(replica: Any, caplog: pytest.LogCaptureFixture) -> None:
    stranger = Near(replica, prompt=Prompt("q", tokens=(1, *range(20, 43), 99)))
    assert same(graph_with(replica, CONFIG, stranger), attribute(PROMPT, *replica, CONFIG))
    assert stranger.rounds == 0
    assert "other features fire there" in caplog.text
