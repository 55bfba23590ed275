"""Success rates of the classic interventions, tried on every fact that the demo's model knows.

    python examples/interventions/success_rates.py [--transcoders plt clt] [--every N] [--out out/interventions]

They test whether features do what they seem to represent. The program prints examples and success rates, and writes
rates.csv and rates.png into the folder. It takes about a minute for each kind of transcoders.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from classics import Classic, about_cities, about_languages, about_words
from graphs import by_influence
from picture import draw
from questions import Facts
from trials import Rate, case, successes

from distributed_tracer import ReplacementModel, Table, save_figure

STRENGTHS = (0.5, 1.0, 1.5, 2.0)
SHOWN = (1.0, 1.5, 2.0)
EXAMPLES = ("containing Dallas ", '"small"', '"petit"')


@dataclass(frozen=True)
class Measured:
    """How often a classic intervention worked, by strength, with one kind of transcoders and on one kind of facts."""

    transcoders: str
    classic: str
    expected: str
    facts: str
    rates: dict[float, Rate]
    elsewhere: Rate | None
    """The rate for the same features, set as strongly as in the last column shown, but one position earlier."""


def main(argv: Sequence[str] | None = None) -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--transcoders", nargs="+", default=["plt"], choices=["plt", "clt"])
    asked.add_argument("--demo", type=Path, default=Path(__file__).resolve().parents[2] / "demo")
    asked.add_argument("--every", type=int, default=1, metavar="N", help="try every N-th of all trials only")
    asked.add_argument("--out", type=Path, default=Path("out/interventions"))
    options = asked.parse_args(argv)
    measured = list[Measured]()
    for kind in options.transcoders:
        model = ReplacementModel.load(str(options.demo / "model"), str(options.demo / "transcoders" / kind))
        for classic in every_classic(model, options.every):
            print(f"{kind}  {example(model, classic)}", flush=True)
            measured += measure(model, kind, classic)
    print(f"\n{for_people(measured).format(max_rows=len(measured))}")
    options.out.mkdir(parents=True, exist_ok=True)
    for_machines(measured).write_csv(options.out / "rates.csv")
    save_figure(draw(_panels(measured)), str(options.out / "rates.png"))
    print(f"\nwrote {options.out / 'rates.csv'} and {options.out / 'rates.png'}")


def every_classic(model: ReplacementModel, every: int = 1) -> Iterator[Classic]:
    """Yield all classic interventions in the order of the table, with every `every`-th trial."""
    facts = Facts()
    for classic in chain(
        *(about(model, facts) for about in (about_cities, about_words, about_languages, by_influence))
    ):
        yield replace(classic, trials=classic.trials[::every])


def measure(model: ReplacementModel, kind: str, classic: Classic) -> Iterator[Measured]:
    """Measure every trial at every strength. Held-out facts are also counted separately."""
    is_held = np.array([trial.held_out for trial in classic.trials])
    worked = {strength: successes(model, classic.trials, strength) for strength in STRENGTHS}
    elsewhere = None if classic.is_everywhere else successes(model, classic.trials, SHOWN[-1], earlier=1)
    for facts, mask in (("all", np.ones_like(is_held)), ("held out", is_held)):
        if mask.any() and (facts == "all" or not mask.all()):
            rates = {strength: Rate.of(succeeded[mask]) for strength, succeeded in worked.items()}
            moved = None if elsewhere is None else Rate.of(elsewhere[mask])
            yield Measured(kind, classic.name, classic.expected, facts, rates, moved)


def example(model: ReplacementModel, classic: Classic) -> str:
    """Describe one of the trials: the likeliest tokens before and after."""
    trial = next((t for t in classic.trials if any(name in t.text for name in EXAMPLES)), classic.trials[0])
    effect = model.intervene(*case(trial, SHOWN[0]))
    stronger = model.intervene(*case(trial, SHOWN[1]))
    said = [model.top_tokens(seen, 1)[0] for seen in (effect.before, effect.after, stronger.after)]
    return f"{classic.name}: {trial.text} {' -> '.join(f'{token.strip()} ({share:.0%})' for token, share in said)}"


def for_people(measured: Sequence[Measured]) -> Table:
    """Return a table with a row per measurement, with rates and their intervals as text."""
    return Table(
        {
            "": [row.transcoders for row in measured],
            "classic": [row.classic for row in measured],
            "expected": [row.expected for row in measured],
            "facts": [row.facts for row in measured],
            "tried": [row.rates[SHOWN[0]].trials for row in measured],
            **{f"strength {strength:g}": [str(row.rates[strength]) for row in measured] for strength in SHOWN},
            "elsewhere": ["" if row.elsewhere is None else f"{row.elsewhere.share:.0%}" for row in measured],
        }
    )


def for_machines(measured: Sequence[Measured]) -> Table:
    """Return a table with a row per measurement and strength, with numeric columns."""
    rows = [
        (row.transcoders, row.classic, row.expected, row.facts, strength, rate.successes, rate.trials, *rate.interval)
        for row in measured
        for strength, rate in row.rates.items()
    ]
    names = ("transcoders", "classic", "expected", "facts", "strength", "successes", "trials", "low", "high")
    return Table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def _panels(measured: Sequence[Measured]) -> dict[str, dict[str, dict[float, Rate]]]:
    panels: dict[str, dict[str, dict[float, Rate]]] = {}
    for row in measured:
        if row.facts == "all":
            panels.setdefault(f"{row.classic}:\n{row.expected}", {})[row.transcoders] = row.rates
    return panels


if __name__ == "__main__":
    main()
