"""Regenerate the embedded demo: tokenizer, model, three transcoder sets, corpus and report.

The demo exists so that every command of the project can be tried offline, in seconds, on a model whose
internal computation has a known shape: cities belong to states, states have capitals, so the capital of the
state containing a city needs two hops.  Some cities never appear in a two-hop sentence during training; a
correct answer about them must therefore compose the two one-hop facts.

Run ``python demo/train.py`` to make everything, which takes about twelve minutes on one core, or
``python demo/train.py --only plt`` for one stage.  Seeds and thread count are fixed: on one machine with one torch
version, two runs wrote the same bytes.
"""

from __future__ import annotations

import argparse

import torch
from training.facts import read_facts
from training.stages import SEEDS, STAGES

THREADS = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=STAGES, help="run one stage")
    only = parser.parse_args().only
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    facts = read_facts()
    for name, stage in STAGES.items():
        if only in (None, name):
            torch.manual_seed(SEEDS.get(name, 0))
            stage(facts)


if __name__ == "__main__":
    main()
