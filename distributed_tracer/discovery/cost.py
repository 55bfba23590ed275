"""Cost: what a discovery would do and take, for people. Reads no graphs, but three where motifs are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import TracerError
from ..text import counted, printable
from .job import DiscoverPlan
from .mining_steps import CERTIFIABLE, MiningStep, mining_steps
from .outcome import reason
from .settings import CERTIFICATES, REPORT


def describe_plan(plan: DiscoverPlan) -> str:
    """Return lines for people: both halves, contrasts, and what each step will take."""
    return "\n".join(map(printable, _lines(plan)))


def _lines(plan: DiscoverPlan) -> Iterator[str]:
    yield from (f"warning: {text}" for text in plan.warnings())
    for name, half in (("discovery", plan.halves.discovery), ("held out", plan.halves.held_out)):
        clusters = counted(half.num_clusters or 0, "cluster")
        yield f"{name}: {counted(len(half), 'prompt')} in {clusters}, {counted(half.num_edges, 'edge')}"
    if "contrasts" in plan.job.steps:
        yield "contrasts:"
        for one in plan.contrasts:
            yield f"  {one.name}: left out, as {one.why_not}" if one.why_not else f"  {one.describe()}"
    steps = list(mining_steps(plan))
    for step in steps:
        yield f"{step.name}:"
        yield from (f"  {line}" for line in _described(step).split("\n"))
    if CERTIFICATES in plan.job.steps:
        yield from _certificates(plan, sum(step.kind in CERTIFIABLE for step in steps))
    if REPORT in plan.job.steps:
        yield "report: one page of all results"


def _described(step: MiningStep) -> str:
    try:
        return step.describe()
    except TracerError as error:
        return f"left out, because {reason(error)}"


def _certificates(plan: DiscoverPlan, num_results: int) -> Iterator[str]:
    of, held_out = plan.job.settings, plan.halves.held_out
    prompts = min(len(held_out), of.sample or len(held_out))
    most = num_results * of.findings * prompts * (1 + of.controls)
    yield f"certificates of {counted(num_results, 'result')}:"
    yield (
        f"  at most {counted(of.findings, 'finding')} of each, in at most {counted(prompts, 'prompt')}: at most "
        f"{counted(most, 'intervention')}, as rows of batches"
    )
    yield "  far fewer in fact: findings are active in some prompts only, and share control sets"
