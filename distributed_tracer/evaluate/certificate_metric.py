"""CertificateMetric: turns features of findings off in a prompt, and as many matched ones, and says what changes."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.graph import Graph
from ..mine.certificates import CERTIFICATES
from ..table import Table
from .hypotheses import Hypothesis, digest_of

if TYPE_CHECKING:
    from ..model.model import Model
    from ..transcoder.base import Transcoders

COLUMNS = ("finding", "prediction", "features", "effect", "controls", "same")
MOST_CONTROLS, MOST_STRENGTH = 10_000, 100.0


@dataclass(frozen=True)
class CertificateMetric:
    """Tests hypotheses in a prompt. Features are multiplied by 1 - `strength` at every position where they are active.

    Attention patterns are held as they are in the prompt; everything else reacts. A hypothesis has no rows in a prompt
    of another group, in which none of its features is active, or which lacks a quantity that it predicts.
    """

    hypotheses: tuple[Hypothesis, ...]
    controls: int = 99
    strength: float = 1.0
    seed: int = 0
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Ids of the prompts of each group that hypotheses name."""

    def __post_init__(self) -> None:
        if not 1 <= self.controls <= MOST_CONTROLS or self.seed < 0:
            raise ConfigError(
                f"controls must be from 1 to {MOST_CONTROLS:,} and seed at least 0, not {self.controls} and {self.seed}"
            )
        if not (math.isfinite(self.strength) and 0 < self.strength <= MOST_STRENGTH):
            raise ConfigError(f"strength must be above 0 and at most {MOST_STRENGTH:g}, not {self.strength}")

    @property
    def name(self) -> str:
        """Name of the folder for the results."""
        return CERTIFICATES

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything besides graph and model that determines the results, as JSON types."""
        own = {"controls": self.controls, "strength": self.strength, "seed": self.seed}
        return {"findings": digest_of(self.hypotheses, self.groups), **own}

    def evaluate_graph(self, graph: Graph, model: Model, transcoders: Transcoders, cases_at_once: int) -> Table:
        """Return a row for each hypothesis and prediction that the prompt can test.

        `finding` and `prediction` are their numbers; `features` is how many features were turned off; `effect` is the
        change in the predicted direction; `controls` has the changes with each control set (see `control_effects`), and
        `same` is how many control sets are the finding's own set.
        """
        from .turned_off import TurnedOff, features_of

        features = features_of(graph, model, transcoders)
        own = [(number, one) for number, one in enumerate(self.hypotheses) if self._is_about(one, graph.prompt_id)]
        quantities = dict.fromkeys(made.quantity for _, one in own for made in one.predictions)
        measured = TurnedOff(graph, features, list(quantities), self.strength, model, transcoders)
        tested = []
        for number, one in own:
            chosen = features.numbers(one.off)
            if len(chosen) and all(measured.is_known(made.quantity) for made in one.predictions):
                tested.append((number, one, chosen, features.controls(chosen, self.controls, self.seed)))
        measured.measure((sites for *_, chosen, controls in tested for sites in (chosen, *controls)), cases_at_once)
        columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        for number, one, chosen, controls in tested:
            same = sum(np.array_equal(chosen, control) for control in controls)
            for place, made in enumerate(one.predictions):
                effects = [made.sign * measured.fallen(sites, made.quantity) for sites in (chosen, *controls)]
                row = (number, place, len(chosen), effects[0], _encoded(np.array(effects[1:])), same)
                for name, value in zip(COLUMNS, row, strict=True):
                    columns[name].append(value)
        return Table(columns)

    def _is_about(self, hypothesis: Hypothesis, prompt_id: str) -> bool:
        return not hypothesis.group or prompt_id in self.groups[hypothesis.group]


def _encoded(effects: npt.NDArray[np.float64]) -> str:
    return base64.b64encode(effects.astype("<f4").tobytes()).decode("ascii")


def control_effects(encoded: str) -> npt.NDArray[np.float64]:
    """Return the changes with each control set from the column `controls`: base64 of little-endian float32."""
    return np.frombuffer(base64.b64decode(encoded), dtype="<f4").astype(np.float64)
