"""Where hypotheses can be tested: as the measurement finds it, and samples that have as many clusters as there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from certificate_results import communities
from checks_of_cases import check_job
from jobs_of_cases import LOCAL, job, plain_rows

from distributed_tracer.errors import ConfigError
from distributed_tracer.evaluate.certificate_metric import CertificateMetric
from distributed_tracer.evaluate.certify import CertifyJob, certify, plan_certificates
from distributed_tracer.evaluate.hypotheses import Hypothesis, Prediction, Quantity
from distributed_tracer.evaluate.job import run_evaluation
from distributed_tracer.evaluate.where_testable import sample, where_testable
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.pipeline import run_job
from distributed_tracer.store.reader import Store, open_store

pytest.importorskip("pyarrow")


def made(folder: Path, *, active: bool = True) -> Store:
    """A store of 12 prompts in 4 topics, in several parts."""
    rows = [{**row, "topic": f"t{number % 4}"} for number, row in enumerate(plain_rows(12))]
    config = job(folder, rows, store="with" if active else "without", store_active=active, part_prompts=5)
    run_job(config)
    return open_store(config.store.store)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return made(tmp_path_factory.mktemp("testable"))


def active_in(store: Store) -> dict[tuple[int, int], set[str]]:
    """The prompts in which each feature is active."""
    found: dict[tuple[int, int], set[str]] = {}
    for prompt in store:
        active = store.graph(prompt).active
        assert active is not None
        for site in zip(active.layer_A.tolist(), active.feature_A.tolist(), strict=True):
            found.setdefault(site, set()).add(prompt)
    return found


def some_hypotheses(store: Store) -> list[Hypothesis]:
    """Hypotheses of one feature and of two, about each kind of quantity: all but the last can be tested somewhere."""
    rare_first = sorted(active_in(store).items(), key=lambda item: (len(item[1]), item[0]))
    rare, some, common = (rare_first[place][0] for place in (0, len(rare_first) // 2, -1))
    tokens = {target.token_id for prompt in store for target in store.graph(prompt).targets}
    read = [Quantity("targets"), Quantity("feature", *some), *(Quantity("token", number=one) for one in sorted(tokens))]
    made_of: list[tuple[tuple[tuple[int, int], ...], tuple[Prediction, ...]]] = [
        (off, (Prediction(one),)) for off in ((rare,), (common,), (rare, some)) for one in read
    ]
    made_of += [((common,), (Prediction(read[1]), Prediction(read[2]))), (((0, 99_999),), (Prediction(read[0]),))]
    return [Hypothesis(number, f"{number}", *one) for number, one in enumerate(made_of)]


def test_it_is_where_the_measurement_tests_them(store: Store) -> None:
    hypotheses = some_hypotheses(store)
    prompts = choose_prompts(store, (), "topic")
    masks = where_testable(prompts, hypotheses)
    rows = run_evaluation(check_job(store, metric=CertificateMetric(tuple(hypotheses), controls=1))).table
    for number, mask_I in enumerate(masks):
        measured = {row["prompt"] for row in rows.rows() if row["finding"] == number}
        assert {prompts.ids[rank] for rank in np.flatnonzero(mask_I).tolist()} == measured
    sizes = {int(mask_I.sum()) for mask_I in masks}
    assert 0 in sizes
    assert len(store) in sizes
    assert len(sizes) > 3


def test_of_a_store_without_active_features_it_is_where_they_are_nodes(store: Store, tmp_path: Path) -> None:
    without = made(tmp_path, active=False)
    site = next(one for one, where in active_in(store).items() if len(where) > 1)
    one = Hypothesis(0, "one", (site,), (Prediction(Quantity("targets")),))
    prompts = choose_prompts(without, (), "topic")
    (mask_I,) = where_testable(prompts, [one])
    expected = []
    for prompt in prompts.ids:
        nodes = without.graph(prompt).nodes
        own = (nodes.kind_N == NodeKind.FEATURE) & (nodes.layer_N == site[0]) & (nodes.feature_N == site[1])
        expected.append(bool(own.any()))
    assert mask_I.tolist() == expected


def test_a_sample_takes_a_prompt_of_each_cluster_before_a_second_of_any() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        cluster_I = np.sort(rng.integers(0, 6, 40)).astype(np.int32)
        mask_I, place_I = rng.random(40) < 0.6, rng.permutation(40)
        there = {cluster: np.flatnonzero(mask_I & (cluster_I == cluster)) for cluster in range(6)}
        for number in (1, 3, 6, 15, 40):
            chosen = sample(mask_I, cluster_I, place_I, number)
            assert len(chosen) == min(number, mask_I.sum())
            assert chosen == sorted({*chosen})
            assert mask_I[chosen].all()
            counts = {cluster: int((cluster_I[chosen] == cluster).sum()) for cluster in there}
            most = max(counts.values())
            assert all(counts[cluster] >= min(most - 1, len(own)) for cluster, own in there.items())
            for cluster, own in there.items():
                first = own[np.argsort(place_I[own])][: counts[cluster]]
                assert {*first.tolist()} == {rank for rank in chosen if cluster_I[rank] == cluster}


def test_each_prompt_of_a_cluster_is_as_likely_as_any_other() -> None:
    cluster_I, mask_I = np.array([0] * 5 + [1] * 2, dtype=np.int32), np.ones(7, dtype=bool)
    mask_I[0] = False
    rng, counts, draws = np.random.default_rng(1), np.zeros(7), 2000
    for _ in range(draws):
        counts[sample(mask_I, cluster_I, rng.permutation(7), 2)] += 1
    np.testing.assert_allclose(counts / draws, [0, *[1 / 4] * 4, *[1 / 2] * 2], atol=5 * np.sqrt(0.25 / draws))


def test_each_finding_is_measured_in_its_own_sample_and_the_dry_run_counts_them(store: Store, tmp_path: Path) -> None:
    active = active_in(store)
    ordered = sorted(active, key=lambda site: (len(active[site]), site))
    rare, common = ordered[0], ordered[-1]
    result = communities(store, tmp_path / "found", {"rare": [rare], "common": [common], "none": [(0, 99_999)]})
    plan = plan_certificates(CertifyJob(result.path, store.url, "topic", sample=3, controls=9, run=LOCAL))
    assert plan.samples is not None
    rare_in, common_in, none_in = plan.samples
    assert rare_in <= active[rare]
    assert len(rare_in) == min(3, len(active[rare]))
    assert common_in <= active[common]
    assert len(common_in) == 3
    topics = dict(zip(store.prompts["id"].tolist(), store.prompts["topic"].tolist(), strict=True))
    assert len({topics[prompt] for prompt in common_in}) == 3
    assert none_in == frozenset()
    assert {*plan.ids} == rare_in | common_in
    described = plan.describe()
    assert f"at most {(len(rare_in) + 3) * 10} interventions" in described
    assert "3 findings can be tested in fewer than 5 held-out clusters, which leaves no power" in described
    done, own = certify(CertifyJob(result.path, store.url, "topic", sample=3, controls=9, run=LOCAL))
    assert own is not None
    assert own.table("certificates")["prompts"].tolist() == [len(rare_in), 3, 0]
    again = certify(CertifyJob(result.path, store.url, "topic", sample=3, controls=9, run=LOCAL))[0]
    assert (again.num_done, again.num_skipped) == (0, len(plan.ids))
    assert done.num_done == len(plan.ids)


def test_findings_that_no_prompt_can_test_have_no_power(store: Store, tmp_path: Path) -> None:
    result = communities(store, tmp_path / "found", {"none": [(0, 99_999)]})
    _, own = certify(CertifyJob(result.path, store.url, "topic", sample=2, controls=9, run=LOCAL))
    assert own is not None
    assert own.table("certificates")["verdict"].tolist() == ["no power (on the discovery set)"]


def test_a_sample_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="sample must be at least 1, not 0"):
        CertifyJob("found", "store", "topic", sample=0)
