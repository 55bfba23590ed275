"""discover: mines one half of the clusters, tests every finding on the other half, and writes a page.

divide ─▶ mine the discovery half ─▶ intervene in the held-out half ─▶ summary ─▶ page

FINDINGS/STEP/                 the result of a step, and its certificates in STEP/certificates
FINDINGS/summary/              what all steps have found, as a result; and the page, report.html
FINDINGS/.discover/            the settings, and a lock
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..config import RunConfig
from ..errors import ConfigError, ResultError
from ..evaluate.certify import CertifyJob, CertifyPlan, plan_certificates
from ..evaluate.certify_together import certify_together, finished
from ..mine.certificates import certificates_of
from ..mine.findings import mine_findings
from ..mine.prompts import choose_prompts
from ..mine.result import Result, document_at
from ..result_page.page import write_report
from ..runtime.task_runner import task_runner
from ..table_folder import TableFolder, import_parquet
from ..text import and_more
from .job import DiscoverJob, DiscoverPlan
from .mining_steps import CERTIFIABLE, mining_steps
from .outcome import Outcome, reason
from .settings import CERTIFICATES, DEFAULT_STEPS, MINING, OF_CERTIFICATES, REPORT, DiscoverSettings
from .summary import summary

SUMMARY, PAGE = "summary", "report.html"
"""Folder of the summary in that of the findings, and the page in it."""
DISCOVERY = "discovery"
"""Kind of the summary as a result."""
_LISTED = 3
_OWN, _LOCK, _REPLACED = ".discover", "lock", "replaced"
_FOLDER = TableFolder(
    "discovery", "folder of discoveries", "settings.json", "distributed_tracer discovery", 1, ResultError, "store"
)
FAILED = "some prompts failed: the same command tries them again"
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Discovery:
    """What `discover` has found."""

    folder: Path
    summary: Result
    """Tables `findings`, `steps`, `features` and `contrasts`; docs/discover.md describes them."""
    outcomes: tuple[Outcome, ...]
    page: Path | None
    """The page, which any browser shows; None if it was not asked for."""
    num_failed: int
    """Results of which some prompt failed, so that they have no certificates; the next call tries them again."""

    def __repr__(self) -> str:
        facts = self.summary.facts
        return (
            f"<Discovery {self.folder}: {facts['confirmed']} of {facts['findings_certified']} certified findings of "
            f"{facts['results']} results are confirmed>"
        )


def discover(
    store: str,
    out: str | Path,
    *,
    cluster: str | None = None,
    where: Sequence[str] = (),
    steps: Sequence[str] = DEFAULT_STEPS,
    by: Sequence[str] = (),
    settings: DiscoverSettings | None = None,
    memory_gb: float = 2.0,
    model: str | None = None,
    transcoders: str | None = None,
    device_map: str = "auto",
    run: RunConfig | None = None,
) -> Discovery:
    """Mine one half of a store's clusters, test what is found on the other half, and write all into the folder `out`.

    `store` is a directory or URL, and `cluster` names metadata whose equal values make prompts a cluster; without it
    each prompt is one. `steps` are names of STEPS, and `by` is metadata to contrast, which is chosen without it. What
    is finished in `out` is not done again; another number of findings, prompts or control sets, or another strength,
    makes only the certificates anew. A step that cannot be done is left out, with the reason. Raises ConfigError for a
    folder with findings of other settings, for a field or a condition that names nothing, and for a half without
    prompts; StoreError; ResultError if the disk is full; and WorkerLost.
    """
    conditions = (where,) if isinstance(where, str) else tuple(where)
    of = settings or DiscoverSettings()
    resources = (memory_gb, model, transcoders, device_map, run or RunConfig())
    return run_discovery(
        DiscoverPlan.of(DiscoverJob(store, out, cluster, conditions, tuple(steps), tuple(by), of, *resources))
    )


def run_discovery(plan: DiscoverPlan, say: Say = lambda text: None) -> Discovery:
    """Do what a plan says; see `discover`. `say` is called with a line before each step."""
    import_parquet("a result of mining")
    job = plan.job
    with _folder(job.folder, plan.options()):
        outcomes = _mined(plan, say)
        if CERTIFICATES in job.steps:
            outcomes = _certified(plan, outcomes, say)
        found = _summary(plan, outcomes)
        page = None
        if REPORT in job.steps:
            say("writing the page")
            page = write_report(_shown(found, outcomes), job.folder / SUMMARY / PAGE, plan.store)
    num_failed = sum(one.why_uncertified == FAILED for one in outcomes)
    return Discovery(job.folder, found, tuple(outcomes), page, num_failed)


def check_findings_folder(folder: Path, options: Mapping[str, Any]) -> None:
    """Raise ConfigError if a folder has findings of other settings than those of certificates, or other files.

    Nothing is written.
    """
    _FOLDER.check_place(folder)
    document = _FOLDER.read(folder / _OWN, _check)
    if document is not None:
        _FOLDER.check_same(folder, _of_mining(document["settings"]), _of_mining(options))
    elif folder.is_dir() and any(path.name != _OWN for path in folder.iterdir()):
        raise _FOLDER.has_other_files(folder)


@contextmanager
def _folder(folder: Path, options: Mapping[str, Any]) -> Iterator[None]:
    """Hold the folder of the findings, which has these settings from now on."""
    check_findings_folder(folder, options)
    own = folder / _OWN
    with _FOLDER.locked(folder, own / _LOCK):
        check_findings_folder(folder, options)  # another run may have begun meanwhile
        document = _FOLDER.read(own, _check)
        if document is None or document["settings"] != options:
            _FOLDER.write(own, {"settings": options}, ())
        shutil.rmtree(own / _REPLACED, ignore_errors=True)  # of a run that was killed
        yield


def _of_mining(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in OF_CERTIFICATES}


def _check(document: dict[str, Any]) -> None:
    if not isinstance(document["settings"], dict):
        raise ValueError("its settings are not an object")


def _mined(plan: DiscoverPlan, say: Say) -> list[Outcome]:
    """Do the mining steps, and return what became of each."""
    found = []
    with task_runner(plan.job.run) as execute:
        for step in mining_steps(plan):
            say(f"mining: {step.name}")
            folder = plan.job.folder / step.name
            try:
                result = step.mine(folder, execute)
            except Exception as error:  # `reason` raises it again if it is not about the step alone
                found.append(Outcome(step.name, step.kind, step.about, why=reason(error, folder)))
            else:
                found.append(Outcome(step.name, step.kind, step.about, result))
    if "contrasts" in plan.job.steps and all(one.why_not for one in plan.contrasts):
        place = sum(MINING.index(one.step) < MINING.index("contrasts") for one in found)
        found.insert(place, Outcome("contrasts", "contrast", why=_no_contrasts(plan)))
    return found


def _no_contrasts(plan: DiscoverPlan) -> str:
    reasons = [f"{one.name}: {one.why_not}" for one in plan.contrasts]
    listed = "; ".join(reasons[:_LISTED]) or "there are none"
    return f"no metadata can be compared ({listed}{and_more(len(reasons) - _LISTED)})"


def _certified(plan: DiscoverPlan, outcomes: Sequence[Outcome], say: Say) -> list[Outcome]:
    """Return what became of the steps, with the certificates of those that have findings.

    All are measured in one pass over the held-out prompts.
    """
    plans: dict[int, CertifyPlan] = {}
    found = list(outcomes)
    for number, one in enumerate(outcomes):
        if one.result is not None and one.kind in CERTIFIABLE:
            try:
                plans[number] = plan_certificates(_certify_job(plan, one.result))
            except Exception as error:  # `reason` raises it again if it is not about the step alone
                found[number] = replace(one, why_uncertified=reason(error, one.result.path))
            else:
                _remove_others(plans[number], plan.job.folder / _OWN / _REPLACED)
    say(f"intervening: {', '.join(outcomes[number].step for number in plans) or 'nothing to test'}")
    results: Sequence[Result | None] = [None] * len(plans)
    why = FAILED
    try:
        done, certified = certify_together(list(plans.values()))
    except Exception as error:  # as above; a model that cannot be loaded concerns all results
        why = reason(error)
    else:
        if done is not None and done.num_left:
            raise KeyboardInterrupt
        results = certified or results
    for number, result in zip(plans, results, strict=True):
        why_uncertified = why if result is None else ""
        found[number] = replace(outcomes[number], certificates=result, why_uncertified=why_uncertified)
    return found


def _remove_others(plan: CertifyPlan, replaced: Path) -> None:
    """Remove finished certificates of other settings; what was measured for them stays in the store."""
    if certificates_of(plan.result) is not None and finished(plan) is None:
        plan.folder.rename(replaced)  # at once: a run that is killed leaves no half of them
        shutil.rmtree(replaced)


def _certify_job(plan: DiscoverPlan, result: Result) -> CertifyJob:
    """Return the job that tests the findings of a result in the held-out half."""
    job, of = plan.job, plan.job.settings
    where = result.info["settings"].get("where", plan.halves.where)  # chains have that of their atlas
    general = [condition for condition in where if condition not in plan.halves.of_discovery]
    return CertifyJob(
        result.path,
        job.store,
        plan.halves.key,
        where=(*plan.halves.of_held_out, *general),
        findings=of.findings,
        sample=of.sample,
        controls=of.controls,
        strength=of.strength,
        alpha=of.alpha,
        seed=of.seed,
        model=job.model,
        transcoders=job.transcoders,
        device_map=job.device_map,
        run=job.run_of_certificates,
    )


def _summary(plan: DiscoverPlan, outcomes: Sequence[Outcome]) -> Result:
    """Write the summary, and return it; one of other outcomes, such as fewer steps that could be done, is replaced."""
    folder = plan.job.folder / SUMMARY
    state = [
        [one.step, one.why, one.why_uncertified, *(None if r is None else r.info.get("sha256") for r in _results(one))]
        for one in outcomes
    ]
    prompts = choose_prompts(plan.store, plan.halves.where, plan.halves.key)
    options = {**plan.options(), "outcomes": state}
    # an option `prompts` would hide the digest of all prompts, which every result has under this name
    options["halves"] = options.pop("prompts")
    try:
        document = document_at(folder)
        is_same = document is not None and document["settings"].get("outcomes") == state
    except (ConfigError, ResultError):  # damaged, or a page without a summary
        is_same = False
    if not is_same and folder.exists():
        shutil.rmtree(folder)
    return mine_findings(folder, DISCOVERY, prompts, options, lambda: summary(plan, outcomes))


def _results(one: Outcome) -> tuple[Result | None, Result | None]:
    return one.result, one.certificates


def _shown(found: Result, outcomes: Sequence[Outcome]) -> list[Result]:
    """Return the results of the page: the summary, those with findings, then those that only describe."""
    made = [(one.kind in CERTIFIABLE, one.result) for one in outcomes if one.result is not None]
    return [found, *(result for is_first in (True, False) for kind, result in made if kind is is_first)]
