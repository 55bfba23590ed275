"""Our side of interventions.py, which starts it: many interventions in one pass."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from worker_loop import answer_lines

from distributed_tracer import Intervention, ReplacementModel

MODES: dict[str, dict[str, Any]] = {"frozen": {}, "reacting": {"freeze_attention": False}}


class Ours:
    """A ReplacementModel, loaded once."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.model = ReplacementModel.load(options["model"], options["transcoders"])
        self.about: dict[str, Any] = {}

    def effects(self, tokens: list[int], sites: list[list[int]], mode: str) -> list[torch.Tensor]:
        """Return the logits with each feature turned off separately."""
        direct = {"constrained_layers": range(self.model.transcoders.shape.num_layers)}
        cases = [(tokens, [Intervention(*site, value=0.0)]) for site in sites]
        return [effect.after.logits_V for effect in self.model.intervene_many(cases, **MODES.get(mode, direct))]


def answer(ours: Ours, tokens: list[int], sites: list[list[int]], mode: str, batch: int, out: str) -> dict[str, Any]:
    """Return the seconds for all interventions, `batch` at a time, and write the logits [C, V] to `out`.

    Without sites, it writes the sites of the active features instead.
    """
    if not sites:
        active = ours.model.intervene(tokens, [], with_active=True).before.active
        assert active is not None
        np.save(out, np.stack([active.layer_A, active.position_A, active.feature_A], axis=1), allow_pickle=False)
        return {"num_layers": ours.model.transcoders.shape.num_layers}
    started = time.perf_counter()
    logits_CV = [
        logits_V
        for first in range(0, len(sites), batch)
        for logits_V in ours.effects(tokens, sites[first : first + batch], mode)
    ]
    found = torch.stack(logits_CV).numpy(force=True)
    seconds = time.perf_counter() - started
    np.save(out, found, allow_pickle=False)
    return {"seconds": seconds}


if __name__ == "__main__":
    answer_lines(Ours, answer)
