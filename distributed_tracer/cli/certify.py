"""Command that tests findings by interventions: certify."""

from __future__ import annotations

from typing import Annotated

import tyro
from tyro.conf import Positional

from ..config import RunConfig
from ..text import counted
from .app import DEFAULT_RUN, print_answer
from .mine_answer import Where, print_result


def certify(
    result: Annotated[Positional[str], tyro.conf.arg(metavar="RESULT")],
    path: Annotated[Positional[str], tyro.conf.arg(metavar="STORE")],
    cluster: str,
    where: Where = (),
    findings: int = 100,
    sample: int | None = None,
    controls: int = 99,
    strength: float = 1.0,
    alpha: float = 0.05,
    seed: int = 0,
    out: str | None = None,
    model: str | None = None,
    transcoders: str | None = None,
    device_map: str = "auto",
    run: RunConfig = DEFAULT_RUN,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Test findings by interventions on clusters that they were not made from, against matched control sets.

    Each finding of a contrast, a consensus graph, chains, roles or pathways gets a verdict: confirmed, not confirmed or
    no power. Measurements are stored beside the graphs, so that the same command goes on after an interruption; the
    verdicts are a result beside the findings. docs/certificates.md has the definitions.

    Args:
        result: Folder of a result of mining.
        path: Directory or URL of the store that the result was made from.
        cluster: Metadata whose equal values make prompts a cluster: clusters with a prompt of the result are not used.
        where: Conditions that the prompts meet in which findings are tested (default: those of the result, without its
            split).
        findings: Number of findings to certify, the strongest ones.
        sample: Most held-out prompts to test each finding in: a random sample of those in which its features are active
            (default: all).
        controls: Number of control sets of each finding.
        strength: How far features are turned off: they are multiplied by 1 - strength.
        alpha: Rate of false discoveries among the confirmed findings.
        seed: Seed of the control sets and of the sample.
        out: Folder of the certificates (default: the folder certificates in that of the findings).
        model: Directory or hub id of the model, if it is not where the store says.
        transcoders: Directory or hub id of the transcoders, if they are not where the store says.
        device_map: Device map for accelerate: auto, balanced, cpu, cuda, cuda:1, ...
        dry_run: Whether to say only what would be done.
        json: Whether to print the answer as JSON.
    """
    from ..evaluate.certify import CertifyJob, plan_certificates, run_certificates

    job = CertifyJob(
        *(result, path, cluster, out, where or None, findings, sample, controls, strength, alpha, seed),
        *(model, transcoders, device_map, run),
    )
    plan = plan_certificates(job)
    if dry_run:
        print(plan.describe())
        return 0
    done, found = run_certificates(plan)
    if found is None:
        print_answer(done.as_dict() if json else f"{done.describe()}\nthe same command goes on")
        return done.exit_code
    if json:
        print_answer({**done.as_dict(), **dict(found.info)})
        return 0
    facts = found.facts
    lines = [
        done.describe(),
        f"{counted(facts['confirmed'], 'finding')} confirmed, {facts['not_confirmed']:,} not confirmed, "
        f"{facts['no_power']:,} without power, of {facts['of']}",
        found.table("certificates", ["name", "verdict", "clusters", "effect", "controls", "low", "high", "q"]).format(
            20
        ),
    ]
    print_result(found, str(found.path), lines)
    return 0
