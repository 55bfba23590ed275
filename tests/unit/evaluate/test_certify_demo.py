"""The demo, whose truth is known: its states are confirmed, and random features are not more often than chance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from certificate_results import communities, states_and_say_a_capital
from killing import ROOT
from scipy import stats

from distributed_tracer.config import (
    CorpusConfig,
    JobConfig,
    ModelConfig,
    RunConfig,
    StoreConfig,
    TraceConfig,
    TranscoderConfig,
)
from distributed_tracer.evaluate.certify import CertifyJob, certify
from distributed_tracer.mine.result import Result
from distributed_tracer.pipeline import run_job
from distributed_tracer.store.reader import Store, open_store

pytest.importorskip("pyarrow")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
HERE = RunConfig(local=True, threads=1, progress=False)
DISCOVERY = ["split(subject)<=0.5"]
ALPHA = 0.05
TWO_HOP = ("family=two-hop",)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The demo's questions for states and their capitals, traced with few nodes: certificates need no edges."""
    folder = tmp_path_factory.mktemp("demo")
    corpus = (ROOT / "demo" / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    wanted = [line for line in corpus if json.loads(line)["family"] in ("two-hop", "city-state")]
    (folder / "prompts.jsonl").write_text("".join(wanted), encoding="utf-8")
    run_job(
        JobConfig(
            model=ModelConfig(str(ROOT / "demo" / "model")),
            transcoders=TranscoderConfig(str(ROOT / "demo" / "transcoders" / "plt")),
            corpus=CorpusConfig(str(folder / "prompts.jsonl")),
            store=StoreConfig(str(folder / "store")),
            trace=TraceConfig(max_feature_nodes=16, round_size=16),
            run=HERE,
        )
    )
    return open_store(str(folder / "store"))


def certified(result: Result, store: Store, **options: object) -> Result:
    done, found = certify(CertifyJob(result.path, store.url, "subject", where=TWO_HOP, run=HERE, **options))  # type: ignore[arg-type]  # the options of a job
    assert done.exit_code == 0
    assert found is not None
    assert found.facts["held_out"]
    return found


def test_what_stands_for_states_and_for_asking_a_capital_is_confirmed_on_cities_that_did_not_choose_it(
    store: Store, tmp_path: Path
) -> None:
    found = states_and_say_a_capital(store, DISCOVERY)
    assert all(len(own) >= 3 for own in found.values()), found
    result = communities(store, tmp_path / "known", found, DISCOVERY)
    own = certified(result, store, sample=24, controls=59)
    rows = {row["name"]: row for row in own.table("certificates").rows()}
    assert {name: row["verdict"] for name, row in rows.items()} == dict.fromkeys(found, "confirmed")
    for row in rows.values():
        assert row["effect"] > row["controls_high"] > row["controls"]
        assert row["low"] > 0
        assert 0 < row["p"] <= row["q"] <= ALPHA


@pytest.mark.thorough
def test_random_features_and_random_sets_of_features_are_confirmed_no_more_often_than_alpha(
    store: Store, tmp_path: Path
) -> None:
    """Every feature that is active in a fifth of the questions, one by one, and random sets of six of them."""
    number_of: dict[tuple[int, int], int] = {}
    asked = [row["id"] for row in store.prompts.rows() if row["family"] == "two-hop"]
    for prompt in asked:
        active = store.graph(prompt).active
        assert active is not None
        for site in {*zip(active.layer_A.tolist(), active.feature_A.tolist(), strict=True)}:
            number_of[site] = number_of.get(site, 0) + 1
    sites = sorted(site for site, number in number_of.items() if number >= len(asked) / 5)
    rng = np.random.default_rng(0)
    sets = [[sites[place] for place in rng.choice(len(sites), 6, replace=False)] for _ in range(80)]
    for name, drawn, sample, controls in (("one", [[site] for site in sites], 24, 99), ("six", sets, 8, 39)):
        found = {f"{number}": features for number, features in enumerate(drawn)}
        result = communities(store, tmp_path / name, found, DISCOVERY)
        own = certified(result, store, sample=sample, controls=controls, findings=len(found)).table("certificates")
        p = own["p"][~np.isnan(own["p"])]
        assert len(p) >= 75
        assert (p <= ALPHA).mean() <= stats.binom.ppf(0.99, len(p), ALPHA) / len(p)
        assert (own["verdict"] == "confirmed").mean() <= ALPHA
