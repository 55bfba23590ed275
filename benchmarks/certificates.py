"""Certificates per hour: interventions in batches, shared among findings, beside one intervention at a time.

    python benchmarks/certificates.py --store STORE [--prompts 4] [--findings 20] [--size 1 8] [--controls 39]
        [--batch 1 8 32] [--threads 1]

Findings are random sets of features that are active in most of the chosen prompts. A test is one finding in one prompt
with all of its control sets. *Alone* runs two forward passes for each set that is turned off, as a loop over
interventions does, and shares nothing among findings; with batches, a set that several findings need is measured once.
The last column has the largest difference between the effects of both, as a share of the largest effect.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np
import torch

from distributed_tracer import load_model, load_transcoders, open_store
from distributed_tracer.evaluate.certificate_metric import CertificateMetric, control_effects
from distributed_tracer.evaluate.hypotheses import Hypothesis, Prediction, Quantity
from distributed_tracer.graph.graph import Graph
from distributed_tracer.model.model import Model
from distributed_tracer.table import Table
from distributed_tracer.transcoder.base import Transcoders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True, help="a store whose model and transcoders are where it says")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--findings", type=int, default=20)
    parser.add_argument("--size", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--controls", type=int, default=39)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    store = open_store(args.store)
    identity = store.info["identity"]
    model, transcoders = load_model(identity["model"]), load_transcoders(identity["transcoders"])
    ids = np.random.default_rng(0).choice(list(store), args.prompts, replace=False).tolist()
    graphs = [store.graph(prompt) for prompt in ids]
    print(f"{len(graphs)} prompts, {args.findings} findings, {args.controls} controls, {args.threads} threads\n")
    print("| features | way | seconds | tests per hour | times alone | difference |")
    print("|---|---|---|---|---|---|")
    for size in args.size:
        hypotheses = random_findings(graphs, args.findings, size)
        alone = None
        for name, batch in (("alone", 0), *((f"batches of {batch}", batch) for batch in args.batch)):
            seconds, effects = timed(hypotheses, args.controls, graphs, model, transcoders, batch)
            alone = alone or (seconds, effects)
            off = np.abs(effects - alone[1]).max() / np.abs(alone[1]).max()
            tests = len(effects) / (1 + args.controls)
            row = f"{seconds:.1f} | {tests / seconds * 3600:,.0f} | {alone[0] / seconds:.1f} | {off:.1e}"
            print(f"| {size} | {name} | {row} |", flush=True)


def random_findings(graphs: list[Graph], count: int, size: int) -> tuple[Hypothesis, ...]:
    """Return random sets of features that are active in at least half of the graphs."""
    counts: Counter[tuple[int, int]] = Counter()
    for graph in graphs:
        assert graph.active is not None, "the store must have active features"
        counts.update({*zip(graph.active.layer_A.tolist(), graph.active.feature_A.tolist(), strict=True)})
    sites = sorted(site for site, number in counts.items() if 2 * number >= len(graphs))
    rng = np.random.default_rng(1)
    drawn = [tuple(sites[place] for place in rng.choice(len(sites), size, replace=False)) for _ in range(count)]
    prediction = Prediction(Quantity("targets"))
    return tuple(Hypothesis(number, f"random {number}", off, (prediction,)) for number, off in enumerate(drawn))


def timed(
    hypotheses: tuple[Hypothesis, ...],
    controls: int,
    graphs: list[Graph],
    model: Model,
    transcoders: Transcoders,
    batch: int,
) -> tuple[float, np.ndarray]:
    """Return the seconds and all effects, in batches, or alone if `batch` is 0."""
    metrics = [CertificateMetric(hypotheses, controls)]
    if not batch:
        metrics = [CertificateMetric((hypothesis,), controls) for hypothesis in hypotheses]
    metrics[0].evaluate_graph(graphs[0], model, transcoders, max(batch, 1))
    started = time.perf_counter()
    rows = [
        row
        for graph in graphs
        for number, metric in enumerate(metrics)
        for row in _rows(metric.evaluate_graph(graph, model, transcoders, max(batch, 1)), graph.prompt_id, number)
    ]
    seconds = time.perf_counter() - started
    found = [value for _, values in sorted(rows, key=lambda row: row[0]) for value in values]
    return seconds, np.array(found)


def _rows(table: Table, prompt: str, number: int) -> list[tuple[tuple[str, int], list[float]]]:
    return [
        ((prompt, number + row["finding"]), [row["effect"], *control_effects(row["controls"])]) for row in table.rows()
    ]


if __name__ == "__main__":
    main()
