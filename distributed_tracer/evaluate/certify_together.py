"""certify_together: certifies several results in one pass over the prompts, with the verdicts of `certify` on each.

Results of one store share much of what is to be measured: the unchanged prompt, and most control sets of single
features. Control sets depend on a finding's own features and a seed alone, so that no verdict depends on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..config import RunConfig
from ..errors import ConfigError
from ..mine.certificates import certificates_of
from ..mine.result import Result
from ..table import Table
from .certificate_metric import CertificateMetric
from .certify import CertifyPlan, write_certificates
from .held_out import only
from .hypotheses import Hypothesis, in_samples
from .job import EvaluationJob, EvaluationSummary, run_evaluation


def certify_together(
    plans: Sequence[CertifyPlan], run: RunConfig | None = None
) -> tuple[EvaluationSummary | None, list[Result] | None]:
    """Do what some plans say; see `certify`. `run` is by default that of the first plan's job.

    The plans are of one store, with the same control sets, strength and seed. Certificates that are finished are
    returned as they are, without an evaluation if all are. Without results, some prompts failed or are left. Raises
    what `run_evaluation` raises, and ConfigError for plans that differ.
    """
    if not plans:
        return None, []
    of = [_shared(plan) for plan in plans]
    if any(one != of[0] for one in of):
        raise ConfigError("results are certified together only with the same store, model, controls, strength and seed")
    there = [one for plan in plans if (one := finished(plan)) is not None]
    if len(there) == len(plans):
        return None, there
    job = plans[0].job
    ids = sorted({prompt for plan in plans for prompt in plan.ids})
    done = run_evaluation(
        EvaluationJob(
            *(job.store, _metric(plans), None, 0, job.model, job.transcoders, job.device_map, run or job.run),
            *(job.part_prompts, job.part_seconds, tuple(ids)),
        )
    )
    if done.failed or done.num_left:
        return done, None
    return done, [write_certificates(plan, _own(done.table, plans, number)) for number, plan in enumerate(plans)]


def _shared(plan: CertifyPlan) -> tuple[object, ...]:
    job = plan.job
    return job.store, job.model, job.transcoders, job.device_map, job.controls, job.strength, job.seed


def finished(plan: CertifyPlan) -> Result | None:
    """Return the certificates of a plan that are finished; None if there are none, or of other settings."""
    found = certificates_of(plan.result) if plan.job.out is None else None
    if found is None:
        return None
    settings = {"what": found.info["what"], "prompts": only(plan.held_out.prompts, plan.ids).digest(), **plan.options()}
    return found if found.info["settings"] == settings else None


def _metric(plans: Sequence[CertifyPlan]) -> CertificateMetric:
    """Return the metric of all hypotheses, each of which is about the prompts of its own plan alone."""
    hypotheses: list[Hypothesis] = []
    groups: dict[str, frozenset[str]] = {}
    for number, plan in enumerate(plans):
        if plan.samples is not None:
            some, of_samples = in_samples(plan.findings.hypotheses, plan.samples, f"{number} sample ")
            hypotheses += some
            groups |= of_samples
            continue
        own = frozenset(plan.ids)
        for one in plan.findings.hypotheses:
            name = f"{number} {one.group}"
            groups[name] = own & plan.held_out.groups[one.group] if one.group else own
            hypotheses.append(replace(one, group=name))
    job = plans[0].job
    return CertificateMetric(tuple(hypotheses), job.controls, job.strength, job.seed, groups)


def _own(measured: Table, plans: Sequence[CertifyPlan], number: int) -> Table:
    """Return the measurements of one plan, with the numbers that its hypotheses have there."""
    begin = sum(len(plan.findings.hypotheses) for plan in plans[:number])
    end = begin + len(plans[number].findings.hypotheses)
    finding = measured["finding"].astype(np.int64)
    rows = measured.where((finding >= begin) & (finding < end))
    return Table({**{name: rows[name] for name in rows.columns}, "finding": rows["finding"].astype(np.int64) - begin})
