"""Hypotheses: what findings predict of interventions, as plain data that workers receive."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

FeatureSite = tuple[int, int]
"""A feature wherever it is active: (layer, index)."""


@dataclass(frozen=True)
class Quantity:
    """What is measured in a prompt before and after an intervention.

    - `targets`: the logits of the explained target tokens above the mean over the vocabulary, weighted as in the graph.
    - `token`: the same of one token, in prompts that have it as a target.
    - `feature`: the pre-activation of a feature without its bias, summed over the positions where the feature is active
      in the unchanged prompt.
    """

    kind: Literal["targets", "token", "feature"]
    layer: int = -1
    number: int = -1
    """Token id, or index of the feature."""

    @property
    def unit(self) -> str:
        """Unit of the quantity."""
        return "pre-activation" if self.kind == "feature" else "logit"

    def describe(self) -> str:
        """Return what the quantity is of, as text."""
        if self.kind == "feature":
            return f"feature {self.layer}:{self.number}"
        return "the targets" if self.kind == "targets" else f"target {self.number}"


@dataclass(frozen=True)
class Prediction:
    """A quantity falls (`sign` 1) or rises (-1) if features are turned off."""

    quantity: Quantity
    sign: int = 1

    def describe(self) -> str:
        """Return the prediction as text."""
        plural = "" if self.quantity.kind == "targets" else "s"
        return f"{self.quantity.describe()} {'fall' if self.sign > 0 else 'rise'}{plural}"


@dataclass(frozen=True)
class Hypothesis:
    """What one finding predicts: if all features of `off` that are active in a prompt are turned off together, all
    predictions come true, and more so than with other features."""

    finding: int
    """Row of the finding in its table, from 0."""
    name: str
    off: tuple[FeatureSite, ...]
    predictions: tuple[Prediction, ...]
    group: str = ""
    """Name of the set of prompts that the finding is about; empty for all prompts."""


def in_samples(
    hypotheses: Sequence[Hypothesis], samples: Sequence[frozenset[str]], prefix: str = ""
) -> tuple[tuple[Hypothesis, ...], dict[str, frozenset[str]]]:
    """Return hypotheses each of which is about the prompts of its own sample alone, and the prompts of their groups."""
    groups = {f"{prefix}{number}": own for number, own in enumerate(samples)}
    return tuple(replace(one, group=name) for one, name in zip(hypotheses, groups, strict=True)), groups


def digest_of(hypotheses: Sequence[Hypothesis], groups: Mapping[str, Collection[str]]) -> str:
    """Return a hash of all that determines the measurements; `groups` has the prompts of each group by its name."""
    named = sorted({hypothesis.group for hypothesis in hypotheses if hypothesis.group})
    about: dict[str, Any] = {name: sorted(groups[name]) for name in named}
    text = json.dumps([[asdict(hypothesis) for hypothesis in hypotheses], about], sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
