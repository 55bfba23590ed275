"""Command that does the whole loop over a store: discover."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..config import RunConfig
from ..discovery.settings import DiscoverSettings
from ..redact import redacted
from ..text import counted, printable
from .app import DEFAULT_RUN, StorePath, print_answer
from .mine_answer import Where

if TYPE_CHECKING:
    from ..discovery.discover import Discovery

_SHOWN = 15
_DEFAULT = DiscoverSettings()
_OF_STEPS = ["step", "status", "found", "certified", "confirmed", "confirmed_over_all", "not_confirmed", "no_power"]
_OF_FINDINGS = [
    "step",
    "name",
    "prediction",
    "clusters",
    "unit",
    "change",
    "change_controls",
    "excess_from",
    "excess_to",
    "q_all",
]


def discover(
    path: StorePath,
    out: str,
    cluster: str | None = None,
    where: Where = (),
    only: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    contrast_by: tuple[str, ...] = (),
    settings: DiscoverSettings = _DEFAULT,
    memory_gb: float = 2.0,
    model: str | None = None,
    transcoders: str | None = None,
    device_map: str = "auto",
    run: RunConfig = DEFAULT_RUN,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Mine half of the clusters, test what is found by interventions in the other half, and write it all as a page.

    Every step has a folder of its own in `--out`, and the same command goes on after an interruption. A step that
    cannot be done is left out, with the reason. docs/discover.md says what is found and what is not.

    Args:
        path: Directory or URL of a store.
        out: Folder of the findings: new, empty, or begun by this command.
        cluster: Metadata whose equal values make prompts a cluster, such as a template or a subject: a cluster is in
            one half as a whole. Without it, each prompt is a cluster, with a warning.
        where: Conditions that the prompts of both halves meet, all of them, in the form that `query` takes.
        only: Steps to do: atlas, consensus, chains, contrasts, roles, pathways, motifs, certificates, report (default:
            all but motifs).
        without: Steps to leave out.
        contrast_by: Metadata to contrast (default: all that have a few values, each with enough clusters).
        settings: How much each step does.
        memory_gb: Memory in 10^9 bytes that each worker of a mining step uses, beside that of the program itself.
        model: Directory or hub id of the model, if it is not where the store says.
        transcoders: Directory or hub id of the transcoders, if they are not where the store says.
        device_map: Device map for accelerate: auto, balanced, cpu, cuda, cuda:1, ...
        dry_run: Whether to say only what would be done.
        json: Whether to print the provenance of the summary as JSON.
    """
    from ..discovery.cost import describe_plan
    from ..discovery.discover import check_findings_folder, run_discovery
    from ..discovery.job import DiscoverJob, DiscoverPlan
    from ..discovery.settings import chosen_steps

    chosen = chosen_steps(only, without)
    resources = (memory_gb, model, transcoders, device_map, run)
    plan = DiscoverPlan.of(DiscoverJob(path, out, cluster, where, chosen, contrast_by, settings, *resources))
    check_findings_folder(plan.job.folder, plan.options())
    if dry_run:
        print(describe_plan(plan))
        return 0
    found = run_discovery(plan, lambda text: print(printable(text), file=sys.stderr, flush=True))
    print_answer(dict(found.summary.info) if json else "\n".join(_answer(found)))
    return 3 if found.num_failed else 0


def _answer(found: Discovery) -> Iterator[str]:
    facts = found.summary.facts
    halves = (
        f"{counted(facts[f'prompts_{name}'], 'prompt')} in {counted(facts[f'clusters_{name}'], 'cluster')}"
        for name in ("discovery", "held_out")
    )
    yield "found in {}, tested in {} that are held out".format(*halves)
    steps = found.summary.table("steps", _OF_STEPS)
    yield type(steps)({name: [_cell(value) for value in steps[name].tolist()] for name in _OF_STEPS}).format(99)
    yield (
        f"{counted(facts['findings_certified'], 'finding')} certified: {facts['confirmed']:,} confirmed, "
        f"{facts['not_confirmed']:,} not confirmed, {facts['no_power']:,} without power"
    )
    yield f"{facts['confirmed_over_all']:,} are confirmed with all findings of all steps together, at {facts['q']:g}"
    rows = found.summary.table("findings", [*_OF_FINDINGS, "verdict"])
    rows = rows.where(rows["verdict"] == "confirmed")
    if len(rows):
        yield "the strongest of those that are confirmed in their own result, q_all over all steps:"
        yield type(rows)({name: rows[name] for name in _OF_FINDINGS}).format(_SHOWN)
    yield from (f"warning: {printable(text)}" for text in found.summary.warnings)
    yield printable(f"statistics of {found.summary.info['graphs']}; all results are in {redacted(str(found.folder))}")
    if found.page is not None:
        yield printable(f"the page for any browser is {redacted(str(found.page))}")


def _cell(value: object) -> str:
    """Return a value of the table of steps; a number that is not known as a dash."""
    if isinstance(value, float):
        return "-" if value != value else f"{value:,.0f}"
    return str(value)
