"""The whole loop over a small store: what is written, skipped, refused and left out."""

from __future__ import annotations

import glob
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from discovered_stores import COUNT, SETTINGS, discoverable, discovered
from jobs_of_cases import LOCAL
from scipy import stats

from distributed_tracer import open_result
from distributed_tracer.cli.main import main
from distributed_tracer.discovery.discover import Discovery
from distributed_tracer.discovery.tested_features import named
from distributed_tracer.errors import ConfigError, ResultError
from distributed_tracer.evaluate.certify import CertifyJob, certify, plan_certificates
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.mine.mine_contrast import mine_contrast
from distributed_tracer.mine.token_names import token_names
from distributed_tracer.serve.served_store import ServedStore
from distributed_tracer.serve.settings import ServeSettings
from distributed_tracer.store.reader import Store
from distributed_tracer.text import short

pytest.importorskip("pyarrow")
pytest.importorskip("graspologic_native")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return discoverable(tmp_path_factory.mktemp("discover"))


@pytest.fixture(scope="module")
def found(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Discovery:
    return discovered(store.url, tmp_path_factory.mktemp("found") / "findings")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_step_has_a_result_and_every_finding_a_certificate(found: Discovery, store: Store) -> None:
    folders = sorted(glob.glob(f"{found.folder}/*"))
    names = [Path(folder).name for folder in folders]
    assert {"atlas", "consensus", "chains", "roles", "pathways", "summary"} < {*names}
    assert sum(name.startswith("contrast-") for name in names) == 2
    served = ServedStore(ServeSettings(store.url, mined=folders))  # as `serve --mined FINDINGS/*`
    results = list(served.results)
    kinds = [result.info["what"] for result in results]
    certified = [one for one in found.outcomes if one.certificates is not None]
    assert kinds.count("certificates") == len(certified) > 0
    for one in found.outcomes:
        assert one.result is not None
        assert (one.certificates is None) == bool(one.why_uncertified) or one.kind == "atlas"
    assert found.page is not None
    page = found.page.read_text("utf-8")
    assert all(one.step in page for one in found.outcomes)
    assert page.index("What was discovered") < page.index("Consensus graph: consensus")


def test_no_cluster_is_in_both_halves(found: Discovery, store: Store) -> None:
    topic = {row["id"]: row["topic"] for row in store.prompts.rows()}
    facts = found.summary.facts
    assert facts["prompts_discovery"] + facts["prompts_held_out"] == COUNT
    for one in found.outcomes:
        assert one.result is not None
        assert one.result.info["num_prompts"] <= facts["prompts_discovery"]
        if one.certificates is not None:
            assert one.certificates.facts["held_out"] is True
            assert one.certificates.info["num_prompts"] <= facts["prompts_held_out"]
    atlas = open_result(found.folder / "atlas")
    used = {topic[prompt] for prompt in atlas.table("prompts", ["id"])["id"].tolist()}
    assert len(used) == facts["clusters_discovery"]
    assert len({*topic.values()} - used) == facts["clusters_held_out"]


def test_the_summary_repeats_the_certificates_and_corrects_for_all_of_them(found: Discovery) -> None:
    rows = list(found.summary.table("findings").rows())
    of_steps = {one.step: one.certificates for one in found.outcomes if one.certificates is not None}
    assert {row["step"] for row in rows} == of_steps.keys()
    own = {
        (step, row["finding"]): row for step, result in of_steps.items() for row in result.table("certificates").rows()
    }
    assert len(own) == len(rows)
    for row in rows:
        certificate = own[row["step"], row["finding"]]
        assert row["verdict"] == certificate["verdict"]
        made = certificate["prediction"]
        assert row["prediction"] == made or made.startswith("target ")
        assert row["name"] == certificate["name"] or certificate["name"].endswith(made.removesuffix(" falls"))
        np.testing.assert_equal([row["p"], row["q"], row["excess"]], [certificate[n] for n in ("p", "q", "difference")])
    p = np.array([row["p"] for row in rows])
    known = ~np.isnan(p)
    assert known.any()
    q_all = np.array([row["q_all"] for row in rows])
    np.testing.assert_array_equal(q_all[known], stats.false_discovery_control(p[known]))
    assert np.isnan(q_all[~known]).all()
    says = ["untested" if q != q else "yes" if q <= SETTINGS.alpha else "no" for q in q_all.tolist()]
    assert [row["confirmed_over_all"] for row in rows] == says
    steps = {row["step"]: row for row in found.summary.table("steps").rows()}
    for step in of_steps:
        verdicts = [row["verdict"] for row in rows if row["step"] == step]
        counts = [steps[step][name] for name in ("confirmed", "not_confirmed", "no_power")]
        assert counts == [verdicts.count(name) for name in ("confirmed", "not confirmed", "no power")]


def test_verdicts_are_those_of_certify_on_each_result_alone(found: Discovery, store: Store, tmp_path: Path) -> None:
    for one in found.outcomes:
        if one.certificates is None:
            continue
        assert one.result is not None
        settings = one.certificates.info["settings"]
        numbers = {name: settings[name] for name in ("controls", "strength", "alpha", "seed", "sample")}
        where, out = tuple(settings["where"]), tmp_path / one.step
        alone = CertifyJob(one.result.path, store.url, "topic", out, where, SETTINGS.findings, **numbers, run=LOCAL)
        _, own = certify(alone)
        assert own is not None
        together, apart = (result.table("certificates") for result in (one.certificates, own))
        assert together["verdict"].tolist() == apart["verdict"].tolist()
        for name in ("p_direction", "p_difference", "p_controls", "clusters", "prompts"):
            np.testing.assert_array_equal(together[name], apart[name])


def test_the_page_draws_the_verdicts_of_each_step(found: Discovery) -> None:
    assert found.page is not None
    section = found.page.read_text("utf-8").partition('id="result-2"')[0]
    for column, css in (("confirmed", "confirmed"), ("not_confirmed", "refuted"), ("no_power", "powerless")):
        counts = found.summary.table("steps", [column])[column]
        assert section.count(f'class="{css}"') == int((counts > 0).sum())
        for count in counts[counts > 0].tolist():
            assert f": {count:.0f} {column.replace('_', ' ')}</title>" in section


def test_what_is_finished_is_not_done_again_and_needs_no_model(
    found: Discovery, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(found.folder)

    def refuse(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("distributed_tracer.evaluate.certify_together.run_evaluation", refuse)
    again = discovered(store.url, found.folder)
    assert contents(found.folder) == before
    assert again.summary.facts == found.summary.facts


def test_other_settings_and_other_files_are_refused(found: Discovery, store: Store, tmp_path: Path) -> None:
    before = contents(found.folder)
    for options, message in (
        ({"where": ["half=true"]}, "where: the discovery has \\[\\]"),
        ({"cluster": "kind"}, "cluster: the discovery has"),
        ({"steps": ["atlas"]}, "steps: the discovery has"),
    ):
        with pytest.raises(ConfigError, match=message):
            discovered(store.url, found.folder, **options)
    assert contents(found.folder) == before
    (tmp_path / "other").write_text("x")
    with pytest.raises(ConfigError, match="has files and is no folder of discoveries"):
        discovered(store.url, tmp_path)
    with pytest.raises(ConfigError, match="there is no directory"):
        discovered(store.url, tmp_path / "none" / "findings")


def test_other_settings_of_certificates_keep_what_was_mined(
    found: Discovery, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(found.folder, tmp_path / "findings")
    copy, before = tmp_path / "findings", contents(found.folder)
    mined = {
        name for name in before if not name.startswith(("summary/", ".discover/")) and "/certificates/" not in name
    }
    more = replace(SETTINGS, findings=2, controls=29)
    again = discovered(store.url, copy, settings=more)
    after = contents(copy)
    assert {name: after[name] for name in mined} == {name: before[name] for name in mined}
    tested = [one for one in again.outcomes if one.certificates is not None]
    assert tested
    for one in tested:
        assert one.certificates is not None
        assert one.certificates.info["settings"]["controls"] == 29
        assert len(one.certificates.table("certificates")) <= 2
    assert again.summary.info["settings"]["controls"] == 29
    assert len(again.summary.table("findings")) == sum(len(one.certificates.table("certificates")) for one in tested)  # type: ignore[union-attr]  # those that are tested
    fresh = discovered(store.url, tmp_path / "fresh", settings=more)
    assert contents(fresh.folder) == after

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("nothing is to be measured again")

    monkeypatch.setattr("distributed_tracer.evaluate.worker.EvaluationWorker._evaluate", refuse)
    discovered(store.url, copy)
    assert contents(copy) == before


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "findings"
    assert (
        main(["discover", store.url, "--out", str(out), "--cluster", "topic", "--dry-run", "--min-clusters", "5"]) == 0
    )
    said = capsys.readouterr().out
    assert f"{COUNT}" not in said.split("\n")[0]
    for line in ("discovery: ", "held out: ", "contrasts:", "roles:", "certificates of ", "report: one page"):
        assert f"\n{line}" in f"\n{said}"
    assert "44 graphs of features, 3 levels" in said
    assert not out.exists()


def test_without_clusters_each_prompt_is_one_and_the_fields_are_named(store: Store, tmp_path: Path) -> None:
    found = discovered(store.url, tmp_path / "f", cluster=None, steps=["atlas", "chains", "certificates"])
    (warning,) = [text for text in found.summary.warnings if text.startswith("no clusters are named")]
    assert warning.endswith("Metadata that could be clusters: 'kind' (2 values), 'half' (2 values).")
    facts = found.summary.facts
    assert facts["clusters_discovery"] == facts["prompts_discovery"]
    assert facts["clusters_held_out"] == COUNT - facts["clusters_discovery"]
    outcome = found.outcomes[1]
    assert outcome.certificates is not None
    assert outcome.certificates.info["num_clusters"] == facts["clusters_held_out"]


def test_steps_that_cannot_be_done_are_left_out_with_the_reason_until_they_can(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ["consensus", "chains", "contrasts", "roles", "certificates", "report"]

    def without_leiden() -> None:
        raise ConfigError("communities need graspologic-native")

    with monkeypatch.context() as context:
        context.setattr("distributed_tracer.mine.communities.import_leiden", without_leiden)
        settings = replace(SETTINGS, threshold=0.05)  # so that edges between features are in the graph
        options = {"steps": steps, "by": ["topic"], "settings": settings, "transcoders": str(tmp_path / "none")}
        found = discovered(store.url, tmp_path / "f", **options)
    why = {one.step: one.why for one in found.outcomes}
    assert why["consensus"] == ""
    assert why["chains"] == "chains are those of an atlas: the step atlas was not asked for"
    assert why["roles"] == "communities need graspologic-native"
    assert why["contrasts"].startswith("no metadata can be compared (topic=topic ")
    (consensus,) = [one for one in found.outcomes if one.step == "consensus"]
    assert "none" in consensus.why_uncertified
    assert found.page is not None
    page = found.page.read_text("utf-8")
    assert "communities need graspologic-native" in page
    again = discovered(store.url, tmp_path / "f", **{**options, "transcoders": None})
    assert {one.step: one.status for one in again.outcomes}["roles"] == "done"
    (consensus,) = [one for one in again.outcomes if one.step == "consensus"]
    assert consensus.certificates is not None
    assert "communities need" not in (tmp_path / "f" / "summary" / "report.html").read_text("utf-8")


def test_a_half_without_prompts_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="half has no prompts: none of 36 prompts meets topic=topic 3 split"):
        discovered(store.url, tmp_path / "f", where=["topic=topic 3"])
    assert not (tmp_path / "f").exists()


def test_a_result_that_is_damaged_is_an_error_that_names_its_file(store: Store, tmp_path: Path) -> None:
    found = discovered(store.url, tmp_path / "f", steps=["consensus", "report"])
    shutil.rmtree(found.folder / "consensus" / "tables")
    with pytest.raises(ResultError, match=r"f/consensus/tables/.* cannot be read"):
        discovered(store.url, tmp_path / "f", steps=["consensus", "report"])


def test_features_of_findings_have_labels_and_the_tokens_where_they_act(found: Discovery, store: Store) -> None:
    findings = list(found.summary.table("findings").rows())
    topic = {row["id"]: row["topic"] for row in store.prompts.rows()}
    used = open_result(found.folder / "atlas").table("prompts", ["id"])["id"].tolist()
    size, texts = Counter(topic[prompt] for prompt in used), token_names(store)
    influence: dict[tuple[int, int], dict[int, float]] = {}
    for graph in store.graphs(used):
        nodes = graph.nodes
        for node in nodes.where(NodeKind.FEATURE).tolist():
            own = influence.setdefault((int(nodes.layer_N[node]), int(nodes.feature_N[node])), {})
            token = int(graph.tokens_P[nodes.position_N[node]])
            value = abs(float(graph.influence_N[node])) / size[topic[graph.prompt_id]]
            own[token] = own.get(token, 0.0) + value
    rows = list(found.summary.table("features").rows())
    assert rows
    for row in rows:
        site = row["layer"], row["feature"]
        shares = {token: value / sum(influence[site].values()) for token, value in influence[site].items()}
        strongest = sorted(shares, key=lambda token: (-round(shares[token], 9), token))[:3]
        pieces = re.split(r"(?<=%), ", row["tokens"])
        assert [piece.rpartition(" ")[0] for piece in pieces] == [short(texts[token], 20) for token in strongest]
        said = [float(piece.rpartition(" ")[2].removesuffix("%")) for piece in pieces]
        np.testing.assert_allclose(said, [100 * shares[token] for token in strongest], rtol=0, atol=0.501)
        name = re.compile(rf"(^|; ){site[0]}:{site[1]} at ")
        assert row["findings"] == sum(name.search(one["features"]) is not None for one in findings) > 0
    for one in findings:
        assert (one["features"] == "") == (one["kind"] in ("roles", "pathways"))
        if one["kind"] == "contrast":
            assert one["features"].startswith(f"{one['name']} at ")


def test_a_sample_is_of_each_set_that_findings_are_about(store: Store, tmp_path: Path) -> None:
    """A sample of all prompts together would have next to none of a small set."""
    half = ["split(topic)<=0.65"]
    result = mine_contrast(store, tmp_path / "found", "kind=long", where=half, cluster="topic", q=0.999)
    plan = plan_certificates(CertifyJob(result.path, store.url, "topic", sample=2))
    of_sets = {name: own & {*plan.held_out.prompts.ids} for name, own in plan.held_out.groups.items()}
    assert min(map(len, of_sets.values())) > 2
    assert {hypothesis.group for hypothesis in plan.findings.hypotheses} == {"a", "b"}
    assert plan.samples is not None
    for hypothesis, own in zip(plan.findings.hypotheses, plan.samples, strict=True):
        assert own <= of_sets[hypothesis.group]
        assert len(own) <= 2
    assert {len(own) for own in plan.samples} >= {2}
    everything = plan_certificates(CertifyJob(result.path, store.url, "topic"))
    assert {*everything.ids} == of_sets["a"] | of_sets["b"]
    of_one = replace(plan.findings, hypotheses=tuple(one for one in plan.findings.hypotheses if one.group == "b"))
    about_b = replace(everything, findings=of_one)
    assert {*about_b.ids} == of_sets["b"], "no finding needs the others"


def test_a_label_takes_the_place_of_tokens() -> None:
    rows = {(0, 1): {"label": "says", "tokens": "'a' 50%"}, (2, 3): {"label": "", "tokens": "'a' 50%"}}
    assert named([(2, 3), (0, 1)], rows) == "2:3 at 'a' 50%; 0:1 says"
    assert named([], rows) == ""
    assert named([(0, 1)], {(0, 1): {"label": "", "tokens": ""}}) == "0:1"
