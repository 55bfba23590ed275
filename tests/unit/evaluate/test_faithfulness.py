"""What keeping and dropping features does, beside plain interventions."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from checks_of_cases import check_job, traced
from jobs_of_cases import CASES, TEXTS
from rounding import largest, of_model, round_off
from torch import Tensor

from distributed_tracer import TraceConfig, attribute, load_model, load_transcoders, prune
from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError
from distributed_tracer.evaluate.faithfulness import FaithfulnessMetric, features_covering
from distributed_tracer.evaluate.job import run_evaluation
from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.intervene.intervene import InterventionCase, intervene
from distributed_tracer.intervene.intervention import Intervention
from distributed_tracer.model.model import Model
from distributed_tracer.prompt import Prompt, TargetSpec
from distributed_tracer.report.faithfulness import faithfulness
from distributed_tracer.table import Table
from distributed_tracer.transcoder.base import Transcoders

NAMES = ("gemma2_jumprelu_plt", "gpt2_relu_plt", "llama_relu_clt", "qwen3_topk_skip_tied")


@cache
def loaded(name: str) -> tuple[Model, Transcoders]:
    return load_model(str(CASES / name / "model")), load_transcoders(str(CASES / name / "transcoders"))


def graph_of(name: str, *targets: TargetSpec) -> Graph:
    config = TraceConfig(max_feature_nodes=60, round_size=16)
    return prune(attribute(Prompt("p", text=TEXTS[0], targets=targets), *loaded(name), config))


def off_of(name: str, *logits: Tensor) -> float:
    """How far each of a model's logits may be apart in two passes."""
    return of_model(loaded(name)[0].shape, largest(*logits))


def kl_of(before_V: Tensor, after_V: Tensor, off: float) -> tuple[float, float]:
    """What two log-distributions are apart in nats, and by how much that is off where every logit is off by `off`,
    independently: to first order by the norm of its gradient, with respect to both."""
    p_V, q_V = before_V.exp(), after_V.exp()
    kl = float((p_V * (before_V - after_V)).sum())
    gradients = (p_V * (before_V - after_V - kl)).norm() + (q_V - p_V).norm()
    return kl, off * float(gradients)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_what_interventions_by_hand_say(name: str) -> None:
    graph = graph_of(name)
    table = FaithfulnessMetric((0.0, 0.5, 1.0)).evaluate_graph(graph, *loaded(name), cases_at_once=4)
    nothing, half, all_ = table.rows()
    sites = {
        (int(graph.nodes.layer_N[n]), int(graph.nodes.position_N[n]), int(graph.nodes.feature_N[n]))
        for n in graph.nodes.where(NodeKind.FEATURE)
    }
    active = graph.active
    every = list(zip(active.layer_A.tolist(), active.position_A.tolist(), active.feature_A.tolist(), strict=True))
    assert [nothing["kept"], all_["kept"], all_["active"]] == [0, len(sites), len(every)]
    assert 0 < half["kept"] < all_["kept"]
    off = [site for site in every if site not in sites]
    (effect,) = intervene(
        [InterventionCase(tuple(graph.tokens_P.tolist()), tuple(Intervention(*site, value=0.0) for site in off))],
        *loaded(name),
    )
    before, after = (seen.logits_V.double().log_softmax(0) for seen in (effect.before, effect.after))
    off = off_of(name, effect.before.logits_V, effect.after.logits_V)
    kl, kl_off = kl_of(before, after, off)
    assert all_["keep_kl"] == pytest.approx(kl, abs=kl_off)
    weights = np.array([target.weight for target in graph.targets])
    tokens = [target.token_id for target in graph.targets]
    for seen, name_of in ((effect.before, "model_logit"), (effect.after, "keep_logit")):
        above = (seen.logits_V - seen.logits_V.mean())[tokens].numpy()
        assert all_[name_of] == pytest.approx(float(weights @ above / weights.sum()), abs=off)


@pytest.mark.parametrize("name", NAMES)
def test_to_drop_nothing_changes_nothing_and_to_keep_nothing_is_to_drop_all(name: str) -> None:
    metric = FaithfulnessMetric((0.0, 1.0))
    graph = attribute(Prompt("p", text=TEXTS[0]), *loaded(name), TraceConfig(max_feature_nodes=None))
    none, every = metric.evaluate_graph(graph, *loaded(name), 32).rows()
    assert every["kept"] == every["active"]
    tokens, active = tuple(graph.tokens_P.tolist()), graph.active
    sites = zip(active.layer_A.tolist(), active.position_A.tolist(), active.feature_A.tolist(), strict=True)
    (effect,) = intervene(
        [InterventionCase(tokens, tuple(Intervention(*site, value=0.0) for site in sites))], *loaded(name)
    )
    before, after = (seen.logits_V.double().log_softmax(0) for seen in (effect.before, effect.after))
    off = off_of(name, effect.before.logits_V, effect.after.logits_V)
    kl, kl_off = kl_of(before, after, off)
    # KL has its minimum where nothing changes: there it is off by half of the logits' variance.
    assert (none["drop_kl"], every["keep_kl"], every["lot_kl"]) == pytest.approx((0, 0, 0), abs=off**2 / 2)
    assert none["drop_logit"] == pytest.approx(none["model_logit"], abs=off)
    assert (none["keep_kl"], every["drop_kl"]) == pytest.approx((kl, kl), abs=kl_off)
    assert kl > 100 * kl_off


def test_the_most_influential_cover_their_share() -> None:
    graph = graph_of("llama_relu_clt")
    influence = np.sort(graph.influence_N[graph.nodes.where(NodeKind.FEATURE)].astype(np.float64))[::-1]
    for share in (0.1, 0.5, 0.9):
        count = len(features_covering(graph, graph.active, share))
        wanted = share * influence.sum() - round_off(torch.float64, len(influence), influence.sum())
        assert influence[:count].sum() >= wanted > influence[: count - 1].sum()


def test_targets_that_are_no_token_s_logit_at_the_end_have_no_logit() -> None:
    graph = graph_of("llama_relu_clt", TargetSpec(token=40, minus=41), TargetSpec(token=40, position=2))
    (row,) = FaithfulnessMetric((1.0,)).evaluate_graph(graph, *loaded("llama_relu_clt"), 32).rows()
    assert np.isnan([row["model_logit"], row["keep_logit"]]).all()
    assert row["keep_kl"] >= 0


def test_medians_are_of_what_is_restored() -> None:
    columns = {
        "prompt": ["a", "a", "b", "b", "c", "c"],
        "share": [0.0, 1.0] * 3,
        "kept": [0, 2, 0, 4, 0, 6],
        "active": [10] * 6,
        "model_logit": np.array([5.0, 5.0, 4.0, 4.0, 1.0, 1.0]),
        **{f"{way}_kl": np.array([1.0, 0.5] * 3) for way in ("keep", "drop", "lot")},
        **{f"{way}_logit": np.array([1.0, 4.0, 2.0, 2.5, 1.0, 3.0]) for way in ("keep", "drop", "lot")},
    }
    none, all_ = faithfulness(Table(columns)).rows()
    assert (none["keep_restored"], all_["keep_restored"]) == (0.0, 0.5), "of 0.75 and 0.25; c has no range"
    assert (all_["features"], all_["keep_kl"], all_["prompts"]) == (0.4, 0.5, 3)


def test_the_command_keeps_figures_draws_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = traced(tmp_path)
    command = ["faithfulness", store.url, "--local", "--no-progress"]
    assert main([*command, "--out", str(tmp_path / "picture.svg")]) == 0
    assert "by share of its features' influence" in capsys.readouterr().out
    assert (tmp_path / "picture.svg").stat().st_size > 5_000
    assert len(store.checks("faithfulness")) == 4 * 11
    assert main(command) == 0
    assert "0 measured, 4 skipped" in capsys.readouterr().out
    assert run_evaluation(check_job(store)).num_skipped == 0, "of edges nothing is known"


@pytest.mark.parametrize(("shares", "seed"), [((), 0), ((1.5,), 0), ((0.5,), -1)])
def test_nonsense_is_refused(shares: tuple[float, ...], seed: int) -> None:
    with pytest.raises(ConfigError, match="shares"):
        FaithfulnessMetric(shares, seed)
