"""certify: interventions that findings predict, on held-out clusters, and what they say of each finding.

findings ─▶ hypotheses ─▶ held-out prompts ─▶ run_evaluation ─▶ evidence ─▶ verdicts ─▶ a result beside the findings

Measurements are stored beside the graphs, so that a job that is killed goes on. The result is made from them alone.

Axes: I held-out prompt.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..config import RunConfig
from ..errors import ConfigError
from ..mine.certificates import CERTIFICATES
from ..mine.findings import Findings, mine_findings
from ..mine.prompt_sets import FEW_CLUSTERS
from ..mine.prompts import ChosenPrompts
from ..mine.result import Result, open_result
from ..store.reader import Store, open_store
from ..table import Table
from ..text import counted, printable
from .certificate_columns import COLUMNS, EVIDENCE
from .certificate_metric import CertificateMetric, control_effects
from .findings_of import TestableFindings, findings_of
from .held_out import HeldOut, held_out, only
from .hypotheses import digest_of, in_samples
from .job import EvaluationJob, EvaluationSummary, choose, run_evaluation
from .verdicts import CONFIRMED, NO_POWER, NOT_CONFIRMED, Evidence, decisive, evidence_of, verdicts
from .where_testable import sample, where_testable

ON_DISCOVERY = " (on the discovery set)"


@dataclass(frozen=True)
class CertifyJob:
    """Which findings to certify, in which prompts, and with which resources."""

    result: str | Path
    """Folder of a result of mining."""
    store: str
    """Directory or URL of the store that it was made from."""
    cluster: str
    """Metadata whose equal values make prompts a cluster."""
    out: str | Path | None = None
    """Folder of the certificates; by default `certificates` in that of the findings."""
    where: tuple[str, ...] | None = None
    """Conditions that held-out prompts meet; by default those of the result, without its split."""
    findings: int = 100
    """Number of findings to certify, the strongest ones."""
    sample: int | None = None
    """Most held-out prompts to test each finding in: a random sample of those in which it can be tested; None takes
    all."""
    controls: int = 99
    """Number of control sets of each finding."""
    strength: float = 1.0
    """Features are multiplied by 1 - strength."""
    alpha: float = 0.05
    """Rate of false discoveries among the confirmed findings."""
    seed: int = 0
    model: str | None = None
    transcoders: str | None = None
    device_map: str = "auto"
    run: RunConfig = field(default_factory=RunConfig)
    part_prompts: int = 64
    part_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ConfigError(f"alpha must be above 0 and below 1, not {self.alpha}")
        if self.sample is not None and self.sample < 1:
            raise ConfigError(f"sample must be at least 1, not {self.sample}")


@dataclass(frozen=True, eq=False)
class CertifyPlan:
    """The findings and prompts of a job."""

    job: CertifyJob
    result: Result
    store: Store
    findings: TestableFindings
    held_out: HeldOut

    @property
    def folder(self) -> Path:
        """Folder of the certificates."""
        return self.result.path / CERTIFICATES if self.job.out is None else Path(self.job.out).expanduser()

    @cached_property
    def samples(self) -> list[frozenset[str]] | None:
        """Ids of the prompts in which each hypothesis is tested, in the order of the hypotheses; None if each is tested
        in all prompts of its group."""
        job, prompts, hypotheses = self.job, self.held_out.prompts, self.findings.hypotheses
        if job.sample is None:
            return None
        assert prompts.clusters is not None
        place_I = np.random.default_rng(job.seed).permutation(len(prompts))
        about_I = {name: [prompt in own for prompt in prompts.ids] for name, own in self.held_out.groups.items()}
        found = []
        for one, mask_I in zip(hypotheses, where_testable(prompts, hypotheses), strict=True):
            ranks = sample(mask_I & about_I.get(one.group, True), prompts.clusters, place_I, job.sample)
            found.append(frozenset(prompts.ids[rank] for rank in ranks))
        return found

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the prompts to intervene in: those of all samples, or all that the findings are about."""
        every, groups, own = frozenset(self.held_out.prompts.ids), self.held_out.groups, self.samples
        if own is None:
            own = [every & groups.get(name, every) for name in {one.group for one in self.findings.hypotheses}]
        chosen = sorted(frozenset[str]().union(*own))
        return choose(self.store, None, 0, chosen or self.held_out.prompts.ids[:1])  # a result needs a prompt

    @property
    def metric(self) -> CertificateMetric:
        """What is measured in each prompt."""
        job, own, groups = self.job, self.findings.hypotheses, self.held_out.groups
        if self.samples is not None:
            own, groups = in_samples(own, self.samples)
        return CertificateMetric(own, job.controls, job.strength, job.seed, groups)

    def options(self) -> dict[str, Any]:
        """Return what determines the certificates beside the prompts, as JSON."""
        job = self.job
        return {
            "certified": self.result.info["what"],
            "result": self.result.info.get("sha256"),
            "findings": digest_of(self.findings.hypotheses, self.held_out.groups),
            "cluster": job.cluster,
            "where": None if job.where is None else list(job.where),
            **{name: getattr(job, name) for name in ("sample", "controls", "strength", "alpha", "seed")},
        }

    def describe(self) -> str:
        """Return lines for people: what would be done."""
        own, of = self.findings, self.held_out
        num_tests = len(self.ids) * len(own.hypotheses) if self.samples is None else sum(map(len, self.samples))
        lines = [
            f"{counted(len(own.hypotheses), 'finding')} of {self.result.info['what']} to certify; "
            f"{own.num_left_out:,} that none can test are left out, and {own.num_beyond:,} beyond --findings",
            f"{counted(len(self.ids), 'prompt')} of {counted(len(of.prompts), 'prompt')} in "
            f"{counted(of.prompts.num_clusters or 0, 'cluster')} that are held out; the findings were made from "
            f"{counted(of.num_discovery, 'prompt')} in {counted(of.num_discovery_clusters, 'cluster')}",
            f"at most {counted(num_tests * (1 + self.job.controls), 'intervention')}, as rows of batches",
            *(f"warning: {text}" for text in self.warnings()),
        ]
        return "\n".join(map(printable, lines))

    def warnings(self) -> list[str]:
        """Return what makes the verdicts less certain than they look."""
        return list(_warnings(self))


def plan_certificates(job: CertifyJob) -> CertifyPlan:
    """Return what `certify` would do. No graph and no model is read, and of a sample, in which prompts features are
    active.

    Raises ConfigError, ResultError and StoreError as `findings_of` and `held_out` do.
    """
    store, result = open_store(job.store), open_result(job.result)
    own, there = result.info.get("identity") or {}, store.info.get("identity") or {}
    for name in ("model", "transcoders"):
        if own.get(name) != there.get(name):
            raise ConfigError(f"the findings at {result.path} are of other {name} than the graphs of {store.url}")
    plan = CertifyPlan(
        job, result, store, findings_of(result, job.findings), held_out(result, store, job.where, job.cluster)
    )
    _ = plan.metric  # raises ConfigError for settings out of range, also where assertions are off
    return plan


def certify(job: CertifyJob) -> tuple[EvaluationSummary, Result | None]:
    """Intervene as findings predict, and write a result with a verdict on each finding.

    If it is killed at any moment and called again, it does the rest, and the result has the same bytes. Without a
    result, some prompts failed or are left: the next call tries them again. Raises what `plan_certificates` and
    `run_evaluation` raise.
    """
    return run_certificates(plan_certificates(job))


def run_certificates(plan: CertifyPlan) -> tuple[EvaluationSummary, Result | None]:
    """Do what a plan says; see `certify`."""
    job = plan.job
    done = run_evaluation(
        EvaluationJob(
            *(job.store, plan.metric, None, 0, job.model, job.transcoders, job.device_map, job.run),
            *(job.part_prompts, job.part_seconds, tuple(plan.ids)),
        )
    )
    if done.failed or done.num_left:
        return done, None
    return done, write_certificates(plan, done.table)


def write_certificates(plan: CertifyPlan, measured: Table) -> Result:
    """Write the verdicts that the measurements of a plan give; finished ones are returned as they are.

    `measured` has the rows of the plan's metric in the plan's prompts.
    """
    prompts = only(plan.held_out.prompts, plan.ids)
    return mine_findings(
        plan.folder, CERTIFICATES, prompts, plan.options(), lambda: _certificates(plan, prompts, measured)
    )


def _certificates(plan: CertifyPlan, prompts: ChosenPrompts, measured: Table) -> Findings:
    """Return the verdicts that measurements give."""
    hypotheses = plan.findings.hypotheses
    evidence = _evidence(plan, prompts, measured)
    found = verdicts(evidence, plan.job.alpha)
    label = "" if plan.held_out.is_held_out else ON_DISCOVERY
    rows: list[Mapping[str, Any]] = []
    for hypothesis, own, verdict in zip(hypotheses, evidence, found, strict=True):
        weakest = decisive(own)
        about = {"verdict": f"{verdict.verdict}{label}", "q": verdict.q, "why": verdict.why}
        made = hypothesis.predictions[own.index(weakest)].describe()
        rows.append(
            {"finding": hypothesis.finding, "name": hypothesis.name, **about, "prediction": made, **_row(weakest)}
        )
    parts = [
        {"finding": hypothesis.finding, "name": hypothesis.name, "prediction": made.describe(), **_row(one)}
        for hypothesis, own in zip(hypotheses, evidence, strict=True)
        for made, one in zip(hypothesis.predictions, own, strict=True)
    ]
    counts = {name: sum(one.verdict == name for one in found) for name in (CONFIRMED, NOT_CONFIRMED, NO_POWER)}
    facts = {
        "of": plan.result.info["what"],
        "table": plan.findings.table,
        "tested": sum(max(one.clusters for one in own) > 0 for own in evidence),
        **{name.replace(" ", "_"): number for name, number in counts.items()},
        "held_out": plan.held_out.is_held_out,
        "alpha": plan.job.alpha,
        "left_out": plan.findings.num_left_out,
        "beyond": plan.findings.num_beyond,
        "discovery_prompts": plan.held_out.num_discovery,
        "discovery_clusters": plan.held_out.num_discovery_clusters,
    }
    tables = {"certificates": _table("certificates", rows), "predictions": _table("predictions", parts)}
    return Findings.of(COLUMNS, tables, facts, tuple(plan.warnings()))


def _evidence(plan: CertifyPlan, prompts: ChosenPrompts, measured: Table) -> list[list[Evidence]]:
    """Return the evidence of each prediction of each hypothesis."""
    assert prompts.clusters is not None
    rows: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for row in measured.rows():
        rows.setdefault((row["finding"], row["prediction"]), []).append(row)
    found = []
    for number, hypothesis in enumerate(plan.findings.hypotheses):
        own = []
        for place in range(len(hypothesis.predictions)):
            of = sorted(rows.get((number, place), ()), key=lambda row: row["prompt"])
            if not of:
                own.append(Evidence())
                continue
            own.append(
                evidence_of(
                    prompts.clusters[[prompts.rank_of[row["prompt"]] for row in of]].astype(np.int64),
                    np.array([row["features"] for row in of], dtype=np.int64),
                    np.array([row["effect"] for row in of], dtype=np.float64),
                    np.stack([control_effects(row["controls"]) for row in of]),
                    np.array([row["same"] for row in of], dtype=np.int64),
                )
            )
        found.append(own)
    return found


def _row(one: Evidence) -> dict[str, Any]:
    return {name: getattr(one, name) for name in EVIDENCE}


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        {
            column: np.array([row[column] for row in rows], dtype=about.kind or object)
            for column, about in COLUMNS[name].items()
        }
    )


def _warnings(plan: CertifyPlan) -> Iterable[str]:
    """Yield warnings about what is tested."""
    of, own = plan.held_out, plan.findings
    if not of.is_held_out:
        yield (
            "no cluster is held out: the findings were made from all of them, so the verdicts are on the discovery set "
            "and say nothing about other prompts; mine again with --where 'split(FIELD)<=0.5'"
        )
    num_clusters = of.prompts.num_clusters or 0
    if num_clusters < FEW_CLUSTERS:
        yield f"there are only {counted(num_clusters, 'cluster')} to test in: most findings will have no power"
    least = math.ceil(-math.log2(plan.job.alpha))  # with fewer, 0.5^clusters is above alpha: see `verdicts`
    if (few := _with_fewer_clusters(plan, least)) > 0:
        yield f"{counted(few, 'finding')} can be tested in fewer than {least} held-out clusters, which leaves no power"
    if own.num_left_out:
        yield f"{counted(own.num_left_out, 'finding')} are left out: no intervention turns off tokens or errors"
    if own.num_beyond:
        yield f"{counted(own.num_beyond, 'finding')} were not tested: --findings says how many are"


def _with_fewer_clusters(plan: CertifyPlan, least: int) -> int:
    """Return how many findings have samples of fewer clusters than `least`."""
    prompts = plan.held_out.prompts
    assert prompts.clusters is not None
    numbers = [{int(prompts.clusters[prompts.rank_of[prompt]]) for prompt in own} for own in plan.samples or ()]
    return sum(len(own) < least for own in numbers)
