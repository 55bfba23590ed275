"""Summary: what all steps have found, how much of it is confirmed, and a correction over all findings together."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluate.verdicts import CONFIRMED, NO_POWER, NOT_CONFIRMED
from ..mine.certificates import CERTIFICATES
from ..mine.findings import Findings
from ..mine.result import Result
from ..mine.statistics import q_values
from ..mine.token_names import token_names
from ..table import Table
from ..text import counted, short
from .contrast_choice import ContrastChoice
from .job import DiscoverPlan
from .outcome import LEFT_OUT, Outcome
from .settings import DiscoverSettings
from .summary_columns import COLUMNS
from .tested_features import feature_rows, features_of, named

YES, NO, UNTESTED = "yes", "no", "untested"
_UNITS = ("logit", "pre-activation")
_ORDER = {CONFIRMED: 0, NOT_CONFIRMED: 1, NO_POWER: 2}
_FOUND: Mapping[str, tuple[Callable[[Mapping[str, Any]], Any], str]] = {
    "consensus": (lambda facts: facts["edges_in"], "edges of the consensus graph"),
    "chains": (lambda facts: facts["chains"], "chains"),
    "contrast": (lambda facts: facts["found"], "features that differ"),
    "roles": (lambda facts: facts["significant"], "significant communities"),
    "pathways": (lambda facts: facts["significant"], "significant communities"),
    "motifs": (lambda facts: facts["position_found"] + facts["signed_found"], "motifs beyond degrees"),
}
"""What each kind of result calls findings: the number, from its facts, and their name."""


def summary(plan: DiscoverPlan, outcomes: Sequence[Outcome]) -> Findings:
    """Return the summary of all steps."""
    tokens = token_names(plan.store)
    features_by_finding = features_of(outcomes, plan.job.settings.findings)
    features = feature_rows(plan.halves.discovery, features_by_finding, tokens)
    by_site = {(row["layer"], row["feature"]): row for row in features}
    findings = _findings(outcomes, plan.job.settings.alpha, tokens)
    for row in findings:
        row["features"] = named(features_by_finding.get((row["step"], row["finding"]), ()), by_site)
    steps = [_step(one, findings) for one in outcomes]
    tables = {
        "findings": _table("findings", findings),
        "steps": _table("steps", steps),
        "features": _table("features", features),
        "contrasts": _table("contrasts", [_contrast(one) for one in plan.contrasts]),
    }
    return Findings.of(COLUMNS, tables, _facts(plan, outcomes, findings), tuple(_warnings(plan, outcomes, findings)))


def _findings(outcomes: Sequence[Outcome], alpha: float, tokens: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return a row for each certificate of each result: those confirmed over all first, then by p and difference."""
    rows: list[dict[str, Any]] = []
    for one in outcomes:
        if one.certificates is not None:
            table = one.certificates.facts["table"]
            about = {"step": one.step, "kind": one.kind, "table": table}
            rows += [{**_renamed(row, tokens), **about} for row in one.certificates.table(CERTIFICATES).rows()]
    q_all = q_values(np.array([row["p"] for row in rows], dtype=np.float64))
    for row, q in zip(rows, q_all.tolist(), strict=True):
        row["q_all"] = q
        row["confirmed_over_all"] = UNTESTED if q != q else YES if q <= alpha else NO
    return sorted(rows, key=_strength)


_NAMES = {
    "effect": "change",
    "controls": "change_controls",
    "difference": "excess",
    "low": "excess_from",
    "high": "excess_to",
}


def _renamed(row: Mapping[str, Any], tokens: Mapping[int, str]) -> dict[str, Any]:
    """Return a row of certificates with names that say that their units differ, with the unit, and with the texts of
    targets."""
    made = str(row["prediction"])
    found = {_NAMES.get(name, name): value for name, value in row.items()}
    found["unit"] = _UNITS[made.startswith("feature ")]
    if (target := re.match(r"target (\d+)", made)) and (text := tokens.get(int(target[1]))) is not None:
        found["prediction"] = f"target {short(text)}{made[target.end() :]}"
        if found["name"].endswith(f" → {target[0]}"):  # an edge; the path of a chain has the text already
            found["name"] = f"{found['name'].removesuffix(target[0])}target {short(text)}"
    return found


def _strength(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what findings are sorted by: the verdict, q over all, then the unit and the lower end of the excess."""
    q, low = row["q_all"], row["excess_from"]
    verdict = _ORDER.get(row["verdict"], len(_ORDER))
    known = (q if q == q else 2.0, row["unit"], -low if low == low else 0.0)
    return row["confirmed_over_all"] != YES, verdict, *known, row["step"], row["finding"]


def _step(one: Outcome, findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    number, of = _found(one.kind, one.result)
    row = {"step": one.step, "kind": one.kind, "about": one.about, "status": one.status, "found": number, "of": of}
    row["why"] = one.why or one.why_uncertified
    own = [finding for finding in findings if finding["step"] == one.step]
    verdicts = [finding["verdict"] for finding in own]
    is_known = one.certificates is not None
    counts = {
        "certified": len(own),
        "confirmed": verdicts.count(CONFIRMED),
        "not_confirmed": verdicts.count(NOT_CONFIRMED),
        "no_power": verdicts.count(NO_POWER),
        "confirmed_over_all": sum(finding["confirmed_over_all"] == YES for finding in own),
    }
    return {**row, **{name: float(count) if is_known else np.nan for name, count in counts.items()}}


def _found(kind: str, result: Result | None) -> tuple[float, str]:
    """Return how many rows a result calls findings, and what they are."""
    if result is None or kind not in _FOUND:
        return np.nan, ""
    number, of = _FOUND[kind]
    return float(number(result.facts)), of


def _contrast(one: ContrastChoice) -> dict[str, Any]:
    names = ("clusters_a", "clusters_b", "held_out_a", "held_out_b")
    sizes = dict(zip(names, (*one.clusters, *one.held_out), strict=True))
    return {"contrast": one.name, "status": LEFT_OUT if one.why_not else "chosen", "why": one.why_not, **sizes}


def _facts(plan: DiscoverPlan, outcomes: Sequence[Outcome], findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    halves, verdicts = plan.halves, [row["verdict"] for row in findings]
    return {
        "prompts_discovery": len(halves.discovery),
        "prompts_held_out": len(halves.held_out),
        "clusters_discovery": halves.discovery.num_clusters,
        "clusters_held_out": halves.held_out.num_clusters,
        "cluster_field": halves.field,
        "results": sum(one.result is not None for one in outcomes),
        "left_out": sum(one.result is None for one in outcomes),
        "findings_certified": len(findings),
        "findings_with_p": sum(row["confirmed_over_all"] != UNTESTED for row in findings),
        "confirmed": verdicts.count(CONFIRMED),
        "not_confirmed": verdicts.count(NOT_CONFIRMED),
        "no_power": verdicts.count(NO_POWER),
        "confirmed_over_all": sum(row["confirmed_over_all"] == YES for row in findings),
        "q": plan.job.settings.alpha,
    }


def _warnings(plan: DiscoverPlan, outcomes: Sequence[Outcome], findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what the data cannot say: of all steps, and why steps are left out."""
    yield from plan.warnings()
    for one in outcomes:
        if one.result is None:
            yield f"{one.step} is left out, because {one.why}"
        elif one.why_uncertified:
            yield f"no finding of {one.step} is tested, because {one.why_uncertified}"
    if "certificates" not in plan.job.steps:
        yield "the step certificates was not asked for: no finding is tested by an intervention"
    yield from too_few_controls(plan.job.settings, findings)
    yield (
        "the column confirmed_over_all corrects for the certificates of all steps together, which share prompts and "
        "control sets; it does not count the tests that chose the findings in the discovery half"
    )


def too_few_controls(of: DiscoverSettings, findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a warning if the smallest p-value that control sets allow is too large for this number of findings."""
    least = 1 / (1 + of.controls)
    tested = [row["p"] for row in findings if row["confirmed_over_all"] != UNTESTED]
    needed = math.ceil(len(tested) * least / of.alpha - 1e-9)
    have = sum(p <= least * (1 + 1e-9) for p in tested)
    if 0 < have < needed:
        yield (
            f"with {counted(of.controls, 'control set')} no p is below {least:.2g}: {needed:,} of "
            f"{counted(len(tested), 'finding')} would have to have it for any to be confirmed over all steps, and "
            f"{have:,} have it; more --controls would tell"
        )


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        {
            column: np.array([row[column] for row in rows], dtype=about.kind or object)
            for column, about in COLUMNS[name].items()
        }
    )
