"""Certificates in a small store: what a row says, which prompts are held out, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from certificate_results import communities
from checks_of_cases import traced
from jobs_of_cases import CASE, LOCAL, job, plain_rows
from rounding import largest, of_model

from distributed_tracer import load_model, load_transcoders
from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError
from distributed_tracer.evaluate.certificate_metric import CertificateMetric, control_effects
from distributed_tracer.evaluate.certify import ON_DISCOVERY, CertifyJob, certify, plan_certificates
from distributed_tracer.evaluate.hypotheses import Hypothesis, Prediction, Quantity
from distributed_tracer.evaluate.turned_off import features_of
from distributed_tracer.intervene.intervene import InterventionCase, intervene
from distributed_tracer.intervene.intervention import Intervention
from distributed_tracer.mine.certificates import certificates_of, with_certificates, with_verdicts
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.mine.result import open_result
from distributed_tracer.pipeline import run_job
from distributed_tracer.store.reader import Store, open_store

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of two prompts."""
    return traced(tmp_path_factory.mktemp("certify"), 2)


def some_sites(store: Store, prompt: str, layer: int, count: int) -> list[tuple[int, int]]:
    active = store.graph(prompt).active
    assert active is not None
    return [(layer, feature) for feature in sorted({*active.feature_A[active.layer_A == layer].tolist()})[:count]]


def test_effects_are_those_of_interventions_by_hand_and_do_not_depend_on_batches(made: Store) -> None:
    graph, model, transcoders = (
        made.graph("p0"),
        load_model(str(CASE / "model")),
        load_transcoders(str(CASE / "transcoders")),
    )
    off = some_sites(made, "p0", 0, 3)
    ((_, target),) = some_sites(made, "p0", 1, 1)
    read = (Quantity("targets"), Quantity("feature", 1, target), Quantity("token", number=graph.targets[0].token_id))
    hypothesis = Hypothesis(0, "some", tuple(off), (Prediction(read[0]), Prediction(read[1], -1), Prediction(read[2])))
    metric = CertificateMetric((hypothesis,), controls=7, strength=1.5)
    rows = list(metric.evaluate_graph(graph, model, transcoders, 32).rows())
    few = list(metric.evaluate_graph(graph, model, transcoders, 2).rows())
    assert [row["prediction"] for row in rows] == [0, 1, 2]
    assert {row["features"] for row in rows} == {3}
    features = features_of(graph, model, transcoders)
    sets = [features.numbers(tuple(off)), *features.controls(features.numbers(tuple(off)), 7, 0)]
    tokens = tuple(graph.tokens_P.tolist())
    by_hand = [_by_hand(features, chosen, tokens, model, transcoders) for chosen in sets]
    off = 2 * of_model(model.shape, largest(*(seen for pair in by_hand for seen in pair)))
    weights = torch.tensor([target.weight for target in graph.targets])
    ids = [target.token_id for target in graph.targets]
    falls = [before - after for before, after in by_hand]
    expected = [float((weights @ fall[ids]) / weights.sum()) for fall in falls], [float(fall[ids[0]]) for fall in falls]
    for place, wanted in zip((0, 2), expected, strict=True):
        for row in (rows[place], few[place]):
            assert [row["effect"], *control_effects(row["controls"])] == pytest.approx(wanted, abs=off)


def _by_hand(features, chosen, tokens, model, transcoders):  # type: ignore[no-untyped-def]  # a helper of one test
    """The logits above their mean before and after a set is turned off at strength 1.5."""
    active = features.active.take(np.flatnonzero(np.isin(features.row_A, chosen)))
    sites = zip(active.layer_A.tolist(), active.position_A.tolist(), active.feature_A.tolist(), strict=True)
    case = InterventionCase(tokens, tuple(Intervention(*site, times=-0.5) for site in sites))
    (effect,) = intervene([case], model, transcoders)
    return tuple(seen - seen.mean() for seen in (effect.before.logits_V, effect.after.logits_V))


def test_clusters_of_the_result_are_not_tested_and_its_split_is_not_asked_of_the_others(tmp_path: Path) -> None:
    rows = [{**row, "topic": f"t{number % 6}", "even": number % 2 == 0} for number, row in enumerate(plain_rows(12))]
    config = job(tmp_path, rows)
    run_job(config)
    store = open_store(config.store.store)
    where = ["split(topic)<=0.35", "even=true"]
    used = choose_prompts(store, where, "topic")
    topics = {row["id"]: row["topic"] for row in rows}
    seen = {topics[prompt] for prompt in used.ids}
    assert seen < {"t0", "t2", "t4"}, "the split takes some of the topics, not all"
    sites = some_sites(store, used.ids[0], 0, 2)
    result = communities(store, tmp_path / "found", {"a": sites}, where)
    plan = plan_certificates(CertifyJob(result.path, store.url, "topic"))
    assert plan.held_out.is_held_out
    assert {*plan.ids} == {row["id"] for row in rows if row["even"] and row["topic"] not in seen}
    assert plan.held_out.num_discovery == len(used)
    any_ = plan_certificates(CertifyJob(result.path, store.url, "topic", where=("even=false",)))
    assert {*any_.ids} == {row["id"] for row in rows if not row["even"]}
    assert len(plan_certificates(CertifyJob(result.path, store.url, "topic", sample=1)).ids) == 1
    _, own = certify(CertifyJob(result.path, store.url, "topic", controls=9, run=LOCAL))
    assert own is not None
    assert own.facts["held_out"] is True
    assert own.table("certificates")["verdict"].tolist() == ["no power"]
    assert own.info["num_clusters"] == len({topics[prompt] for prompt in plan.ids})


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_verdicts_on_the_discovery_set_say_so_and_lie_beside_the_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = traced(_folder(tmp_path / "made"), 4, kind="one")
    sites = some_sites(store, "p0", 0, 2)
    result = communities(store, tmp_path / "found", {"first": sites, "second": sites[:1], "none": [(0, 0), (1, 0)]})
    before = sorted(path.name for path in result.path.iterdir())
    command = ["certify", str(result.path), store.url, "--cluster", "kind", "--controls", "9", "--local"]
    assert main([*command, "--dry-run"]) == 0
    assert "3 findings of roles to certify" in capsys.readouterr().out
    assert sorted(path.name for path in result.path.iterdir()) == before, "a dry run writes nothing"
    assert main([*command, "--no-progress"]) == 0
    said = capsys.readouterr().out
    assert "4 measured, 0 skipped (done before), 0 failed" in said
    own = certificates_of(open_result(result.path))
    assert own is not None
    table = own.table("certificates")
    assert {*table["verdict"].tolist()} == {f"no power{ON_DISCOVERY}"}
    assert own.facts["held_out"] is False
    assert [one.path.name for one in with_certificates([result])] == ["found", "certificates"]
    assert with_verdicts(result, "communities")["verdict"].tolist() == table["verdict"].tolist()
    assert main([*command, "--no-progress"]) == 0
    assert "0 measured, 4 skipped (done before), 0 failed" in capsys.readouterr().out
    assert main(["query", str(result.path), "--where", "name=second", "--json"]) == 0
    assert f"no power{ON_DISCOVERY}" in capsys.readouterr().out
    assert main(["report", str(result.path), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "Certificates" in page
    assert f"no power{ON_DISCOVERY}" in page
    with pytest.raises(ConfigError, match="alpha"):
        certify(CertifyJob(result.path, store.url, "kind", controls=9, alpha=0.1, run=LOCAL))


def test_what_cannot_be_certified_is_refused(tmp_path: Path) -> None:
    store = traced(_folder(tmp_path / "made"), 3, kind="one")
    result = communities(store, tmp_path / "found", {"a": some_sites(store, "p0", 0, 1)})
    for wrong, words in (
        (CertifyJob(result.path, store.url, "unknown"), "metadata"),
        (CertifyJob(result.path, store.url, "kind", controls=0), "controls"),
        (CertifyJob(result.path, store.url, "kind", findings=0), "at least 1"),
    ):
        with pytest.raises(ConfigError, match=words):
            plan_certificates(wrong)
    with pytest.raises(ConfigError, match="alpha"):
        CertifyJob(result.path, store.url, "kind", alpha=1.0)
    with pytest.raises(ConfigError, match="strength"):
        CertificateMetric((), strength=0.0)
    with pytest.raises(ConfigError, match="has no findings to certify: none of its 1 finding is about features"):
        plan_certificates(CertifyJob(communities(store, tmp_path / "empty", {"a": []}).path, store.url, "kind"))


def test_a_store_that_has_grown_since_is_refused(tmp_path: Path) -> None:
    store = traced(_folder(tmp_path / "made"), 3, kind="one")
    result = communities(store, tmp_path / "found", {"a": some_sites(store, "p0", 0, 1)})
    traced(tmp_path / "made", 5, kind="one")
    with pytest.raises(ConfigError, match="not known which clusters are held out"):
        plan_certificates(CertifyJob(result.path, store.url, "kind"))


def test_measurements_of_other_prompts_in_a_group_are_not_taken_for_these() -> None:
    one = Hypothesis(0, "some", ((0, 1),), (Prediction(Quantity("targets")),), group="a")
    groups = ({"a": {"p0"}}, {"a": {"p0", "p1"}}, {"a": {"p0"}, "b": {"p2"}})
    first, grown, beside = (
        CertificateMetric((one,), groups={name: frozenset(ids) for name, ids in own.items()}).settings for own in groups
    )
    assert first != grown
    assert first == beside, "no finding is about the other group"
