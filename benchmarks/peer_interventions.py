"""The peer's side of interventions.py, which starts it: circuit-tracer's feature_intervention, one call for each."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from peer_run import checkout, commit, load
from worker_loop import answer_lines


class Peer:
    """circuit-tracer with its weights loaded."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.model = load(checkout(options["peer"]), options)
        self.num_layers = int(options["num_layers"])
        self.about = {"commit": commit(options["peer"]), "transformers": version("transformers")}

    def logits(self, tokens: list[int], site: list[int], mode: str) -> Any:
        """Return the logits at the last position, with one feature turned off."""
        options = {"constrained_layers": range(self.num_layers)} if mode == "direct" else {}
        logits, _ = self.model.feature_intervention(
            torch.tensor(tokens),
            [(*site, 0.0)],
            freeze_attention=mode != "reacting",
            return_activations=False,
            **options,
        )
        return logits.reshape(-1, logits.shape[-1])[-1].float().numpy(force=True)


def answer(peer: Peer, tokens: list[int], sites: list[list[int]], mode: str, batch: int, out: str) -> dict[str, Any]:
    """Return the seconds for all interventions, and write the logits [C, V] to `out`.

    The peer has no batches, so `batch` is 1.
    """
    assert batch == 1
    started = time.perf_counter()
    logits_CV = [peer.logits(tokens, site, mode) for site in sites]
    seconds = time.perf_counter() - started
    np.save(out, np.stack(logits_CV), allow_pickle=False)
    return {"seconds": seconds}


if __name__ == "__main__":
    answer_lines(Peer, answer)
