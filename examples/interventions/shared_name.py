"""Tests features that a contrast found: are they what the states named New have in common?

    python examples/interventions/shared_name.py out/demo/store [--out out/contrast-new]

The contrast compares the cities of New Hampshire, New Jersey, New Mexico and New York with those of the other states,
in the question for the capital, whose text and answer lack the word. The features that are stronger in the four
states are then turned off where the answer is "New", in cities that the contrast did not see, and turned on in the
cities of all other states. Controls are as many features of the same layers that were not found: as active as those
that are turned off, and set to the same activations as those that are turned on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from questions import City, Facts
from supernodes import Supernode, swap
from trials import Rate

from distributed_tracer import ReplacementModel, Table, mine_contrast, open_store

STRENGTHS = (1.0, 1.5, 2.0)
NAMED = ("bridge>= New", "bridge<= New~")
"""Conditions on the state: its name, with the space before it, is between the word and the last name that begins so."""
Active = Mapping[tuple[int, int], float]
"""Activations at the last token, by layer and feature."""


@dataclass(frozen=True)
class Question:
    """What is asked about some cities, what is done, and which first tokens of an answer are counted."""

    name: str
    texts: Sequence[str]
    counted: Callable[[int], set[int]]
    """Tokens that count for the city of each number."""
    is_off: bool


def main(argv: Sequence[str] | None = None) -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("store")
    asked.add_argument("--demo", type=Path, default=Path(__file__).resolve().parents[2] / "demo")
    asked.add_argument("--every", type=int, default=1, metavar="N", help="ask about every N-th city only")
    asked.add_argument("--out", default="out/contrast-new")
    options = asked.parse_args(argv)
    found = found_features(options.store, options.out)
    model = ReplacementModel.load(str(options.demo / "model"), str(options.demo / "transcoders" / "plt"))
    rows = [row for question in questions(model, options.store, options.every) for row in tried(model, question, found)]
    print(Table({name: [row[name] for row in rows] for name in rows[0]}).format(len(rows)))


def found_features(store: str, out: str) -> Supernode:
    """Return the features that a contrast finds to be stronger in states named New, with their mean activations."""
    result = mine_contrast(
        open_store(store),
        out,
        NAMED,
        where="family=two-hop",
        cluster="bridge",
        measure="activation",
        permutations=99_999,
    )
    rows = result.table("features")
    rows = rows.where((rows["q"] <= result.facts["q"]) & (rows["difference"] > 0))
    print(f"{len(rows)} features of {result.facts['tested']} are stronger in states named New")
    return {(row["layer"], -1, row["feature"]): float(row["mean_a"]) for row in rows.rows()}


def questions(model: ReplacementModel, store: str, every: int = 1) -> Iterator[Question]:
    """Yield all questions; the cities in the contrast are left out where features are turned off."""
    facts, prompts = Facts(), open_store(store).prompts
    seen = {*prompts["subject"].tolist()}
    own = [city for city in facts.cities if city.place.startswith("New ") and city.name not in seen][::every]
    others = [city for city in facts.cities if not city.place.startswith("New ")][::every]
    new, capital = first_token(model, " New"), {s: first_token(model, f" {c}") for s, c in facts.capitals.items()}
    of_new = {token for state, token in capital.items() if state.startswith("New ")}

    def asked(cities: Sequence[City], is_capital: bool) -> list[str]:
        return [city.two_hops if is_capital else city.one_hop for city in cities]

    yield Question("off: the state, New", asked(own, False), lambda _: {new}, True)
    yield Question("off: its capital", asked(own, True), lambda row: {capital[own[row].place]}, True)
    yield Question("on: the state, New", asked(others, False), lambda _: {new}, False)
    yield Question("on: a capital of a state named New", asked(others, True), lambda _: of_new, False)


def tried(model: ReplacementModel, question: Question, found: Supernode) -> Iterator[dict[str, object]]:
    """Yield how often an answer that counts is given before and after, by strength, with found and other features."""
    active = last_activations(model, question.texts)
    rng = np.random.default_rng(0)
    for is_control in (False, True):
        sets = [_chosen(found, own, question.is_off, is_control, rng, model) for own in active]
        row: dict[str, object] = {"question": question.name, "features": "others" if is_control else "found"}
        row["prompts"] = len(sets)
        for strength in STRENGTHS:
            cases = [
                (text, swap(own, {}, strength) if question.is_off else swap({}, own, strength))
                for text, own in zip(question.texts, sets, strict=True)
            ]
            effects = list(model.intervene_many(cases))
            counts = [
                [int(seen.logits_V.argmax()) in question.counted(number) for seen in (effect.before, effect.after)]
                for number, effect in enumerate(effects)
            ]
            before, after = np.array(counts).T
            row["before"] = f"{before.mean():.0%}"
            row[f"strength {strength:g}"] = str(Rate.of(after))
        yield row


def last_activations(model: ReplacementModel, texts: Sequence[str]) -> list[Active]:
    """Return the features that are active at the last token of each prompt."""
    found = []
    for effect in model.intervene_many([(text, ()) for text in texts], with_active=True):
        active = effect.before.active
        last = active.position_A == len(effect.tokens) - 1
        columns = (active.layer_A[last].tolist(), active.feature_A[last].tolist(), active.activation_A[last].tolist())
        found.append({(layer, feature): value for layer, feature, value in zip(*columns, strict=True)})
    return found


def _chosen(
    found: Supernode, active: Active, is_off: bool, is_control: bool, rng: np.random.Generator, model: ReplacementModel
) -> Supernode:
    """Return the features that are set in one prompt."""
    own = {site: value for site, value in found.items() if not is_off or (site[0], site[2]) in active}
    if not is_control:
        return own
    return (
        alike(own, found, active) if is_off else inactive(own, found, active, model.transcoders.shape.features_L, rng)
    )


def alike(own: Supernode, found: Supernode, active: Active) -> Supernode:
    """Return for each feature an active one of its layer that was not found, as close in activation as there is."""
    free = {site: value for site, value in active.items() if (site[0], -1, site[1]) not in found}
    chosen = {}
    for layer, position, feature in own:
        of_layer = [site for site in free if site[0] == layer]
        if of_layer:
            best = min(of_layer, key=lambda site: abs(free[site] - active[layer, feature]))
            chosen[layer, position, best[1]] = free.pop(best)
    return chosen


def inactive(
    own: Supernode, found: Supernode, active: Active, features_L: Sequence[int], rng: np.random.Generator
) -> Supernode:
    """Return for each feature another one of its layer that is not active, with the same activation."""
    chosen: Supernode = {}
    for (layer, position, _), value in own.items():
        taken = {site[2] for site in (*found, *chosen) if site[0] == layer} | {
            site[1] for site in active if site[0] == layer
        }
        chosen[layer, position, int(rng.choice([*{*range(features_L[layer])} - taken]))] = value
    return chosen


def first_token(model: ReplacementModel, answer: str) -> int:
    """Return the first token of an answer."""
    return int(model.model.tokenizer(answer, add_special_tokens=False)["input_ids"][0])


if __name__ == "__main__":
    main()
