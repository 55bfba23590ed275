"""Tests on the demo whether suggested supernodes are what the model uses.

    python benchmarks/suggested_supernodes.py [plt|clt] [min_similarity]

Two features of one group should fire in the same prompts and have the same effect on the answer, more so than two
features of different groups. And the group that carries the state, swapped in for another prompt's, should bring its
capital.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from distributed_tracer import Intervention, ReplacementModel, TraceConfig
from distributed_tracer.intervene.cluster_supernodes import cluster_supernodes
from distributed_tracer.intervene.intervention_graph import InterventionGraph
from distributed_tracer.intervene.supernode import Supernode

DEMO = Path(__file__).parents[1] / "demo"
NUM_GRAPHS, NUM_PAIRS, NUM_SHUFFLES, AT_ONCE = 100, 150, 10, 64
FEWEST = 10
"""Smallest number of features of a graph that is used."""


class Demo:
    def __init__(self, kind: str, min_similarity: float) -> None:
        self.min_similarity = min_similarity
        self.model = ReplacementModel.load(str(DEMO / "model"), str(DEMO / "transcoders" / kind))
        self.rows = [json.loads(line) for line in (DEMO / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
        self._suggested: dict[str, list[Supernode]] = {}

    def suggested(self, text: str) -> list[Supernode]:
        if text not in self._suggested:
            self._suggested[text] = cluster_supernodes(
                self.model.trace(text, TraceConfig(max_feature_nodes=512)), self.min_similarity
            )
        return self._suggested[text]

    def firing(self) -> dict[tuple[int, int], npt.NDArray[np.float32]]:
        """Return each feature's largest activation in each prompt."""
        found: dict[tuple[int, int], npt.NDArray[np.float32]] = {}
        for first in range(0, len(self.rows), AT_ONCE):
            cases = [(row["text"], ()) for row in self.rows[first : first + AT_ONCE]]
            for number, effect in enumerate(self.model.intervene_many(cases, with_active=True), first):
                assert effect.before.active is not None
                columns = (getattr(effect.before.active, name) for name in ("layer_A", "feature_A", "activation_A"))
                for layer, feature, activation in zip(*map(np.ndarray.tolist, columns), strict=True):
                    largest = found.setdefault((layer, feature), np.zeros(len(self.rows), np.float32))
                    largest[number] = max(largest[number], activation)
        return found

    def effects(self, text: str, features: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Return how turning each feature off changes the logits."""
        cases = [(text, [Intervention(*feature, times=0.0)]) for feature in features]
        changes = [effect.after.logits_V - effect.before.logits_V for effect in self.model.intervene_many(cases)]
        return np.array([(change - change.mean()).double().numpy(force=True) for change in changes])


def contrast(alike: npt.NDArray[Any], group: npt.NDArray[Any]) -> float:
    """Return the mean similarity of two features of one group minus that of two features of different groups."""
    pairs = np.triu_indices(len(group), 1)
    same = (group[:, None] == group)[pairs]
    return float(np.nanmean(alike[pairs][same]) - np.nanmean(alike[pairs][~same]))


def groupings(demo: Demo, rng: np.random.Generator) -> Iterator[list[float]]:
    """Yield contrasts of firing and effect per graph: of suggested groups, random groups of their sizes, and layers."""
    firing = demo.firing()
    for row in rng.choice(len(demo.rows), NUM_GRAPHS, replace=False):
        text = demo.rows[row]["text"]
        supernodes = demo.suggested(text)
        features = [feature for supernode in supernodes for feature in supernode.features]
        if len(features) < FEWEST or len(supernodes) < 2:
            continue
        group = np.repeat(np.arange(len(supernodes)), [len(supernode.features) for supernode in supernodes])
        layer = np.array([feature.layer for feature in features])
        together = np.corrcoef([firing[feature.layer, feature.feature] for feature in features])
        effects = demo.effects(text, features)
        effects /= np.linalg.norm(effects, axis=1, keepdims=True)
        both = together, effects @ effects.T
        shuffled = [[contrast(alike, rng.permutation(group)) for alike in both] for _ in range(NUM_SHUFFLES)]
        suggested = [contrast(alike, group) for alike in both]
        yield [
            *suggested,
            *np.mean(shuffled, axis=0),
            *(contrast(alike, layer) for alike in both),
            len(features),
            len(supernodes),
        ]


def state(demo: Demo, text: str) -> Supernode:
    """Return the most influential suggested group with a mean layer below the last one: this rule sees no outcome."""
    last = demo.model.transcoders.shape.num_layers - 1.5
    supernodes = demo.suggested(text)
    low = (group for group in supernodes if np.mean([feature.layer for feature in group.features]) < last)
    return next(low, supernodes[0])


def swapped(demo: Demo, one: dict[str, Any], other: dict[str, Any], times: float) -> str:
    """Return the next token after the first prompt with its state set to `times` and the other prompt's turned on."""
    ours, theirs = (len(demo.model.tokens(row["text"])) for row in (one, other))
    moved = {place: max(1, place + ours - theirs) for place in range(theirs)}  # positions counted from the end
    graph = InterventionGraph(demo.model, one["text"], demo.suggested(one["text"]))
    off, on = state(demo, one["text"]), replace(state(demo, other["text"]).at(moved), name="theirs")
    return graph.apply({off.name: times}, swaps={off.name: on}, num_tokens=1).next_tokens[0][0]


def main(kind: str = "plt", min_similarity: str = "0.3") -> None:
    demo, rng = Demo(kind, float(min_similarity)), np.random.default_rng(0)
    results = np.array(list(groupings(demo, rng)))
    names = ("suggested", "at random", "by layer")
    print(
        f"{kind}: {len(results)} graphs, on average {results[:, 6].mean():.1f} features in "
        f"{results[:, 7].mean():.1f} groups"
    )
    for number, name in enumerate(names):
        firing, effect = np.nanmean(results[:, 2 * number : 2 * number + 2], axis=0)
        print(f"  {name:<10} firing {firing:+.3f}  effect {effect:+.3f}")
    rows = [row for row in demo.rows if row["family"] == "two-hop"]
    pairs = [rng.choice(len(rows), 2, replace=False) for _ in range(2 * NUM_PAIRS)]
    chosen = [(rows[a], rows[b]) for a, b in pairs if rows[a]["answer"] != rows[b]["answer"]][:NUM_PAIRS]
    for times in (0.0, -1.0):
        said = [(swapped(demo, one, other, times), one, other) for one, other in chosen]
        theirs = sum(token == other["answer_token"] for token, _, other in said)
        own = sum(token == one["answer_token"] for token, one, _ in said)
        interval = binomtest(theirs, len(said)).proportion_ci(method="wilson")
        print(
            f"  state swapped, the own one ×{times:g}: the other's capital in {theirs} of {len(said)} "
            f"[{interval.low:.2f}, {interval.high:.2f}], the own in {own}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
