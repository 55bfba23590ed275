"""The commands of mining that work in phases, on a small store that a tiny model was traced into.

python -m mined_commands COMMAND PHASE PLACE OUT     does a command and is killed at a task of a phase
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from random_stores import RUN_INFO, write_part

from distributed_tracer.config import TraceConfig
from distributed_tracer.mine import (
    community_tasks,
    consensus_rule,
    consensus_tasks,
    contrast_tasks,
    error_reading,
    set_tests,
    similar_tasks,
    spill,
    stability_tasks,
    universality_tasks,
    vector_tasks,
)
from distributed_tracer.mine.atlas import mine_atlas
from distributed_tracer.mine.communities import Kind, mine_communities, plan_communities
from distributed_tracer.mine.community_settings import CommunitySettings
from distributed_tracer.mine.consensus import mine_consensus
from distributed_tracer.mine.consensus_rule import ConsensusRule
from distributed_tracer.mine.dark_matter import dark_matter_in_phases
from distributed_tracer.mine.findings import Findings, mine_in_phases
from distributed_tracer.mine.mine_chains import mine_chains, plan_chains
from distributed_tracer.mine.mine_contrast import mine_contrast
from distributed_tracer.mine.paired_prompts import pair_prompts
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.mine.pruning_grid import Grid
from distributed_tracer.mine.result import Result, open_result
from distributed_tracer.mine.similar import SimilarSettings, mine_similar
from distributed_tracer.mine.stability import mine_stability
from distributed_tracer.mine.universality import mine_universality
from distributed_tracer.mine.universality_settings import UniversalitySettings
from distributed_tracer.mine.vectors import mine_vectors
from distributed_tracer.mine.virtual_weights import mine_weights
from distributed_tracer.prompt import Prompt
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.tasks.phases import Execute, Phases, perform_here
from distributed_tracer.tasks.task import Done, Task, TaskCall

_TOKENS = (1, 40, 296, 86, 28, 263, 270, 297, 269)
NUM_PROMPTS = 12
SMALL = (
    (contrast_tasks, "_PROMPTS", 5),
    (contrast_tasks, "_PARTITIONS", 1),
    (spill, "PARTITION_RECORDS", 300),
    (set_tests, "ELEMENTS", 30 * NUM_PROMPTS),
    (similar_tasks, "_RANKS", 5),
    (consensus_rule, "_ELEMENTS", 1),
    (consensus_tasks, "_PIECE_ROWS", 1),
    (stability_tasks, "_ROWS", 1),
    (vector_tasks, "_ROWS", 1),
    (error_reading, "_ROWS", 1),
    (community_tasks, "_TASK_EDGES", 1),
    (universality_tasks, "_TASK_PRODUCTS", 5_000),
)
"""Sizes of tasks so that every phase that can have several tasks has them."""


@dataclass(frozen=True)
class Command:
    """A command, and its phases in their order."""

    mine: Callable[[Path, Path, Execute], Result]
    """Called with the folder that `make_inputs` made, the folder of the result, and what does the tasks."""
    phases: tuple[str, ...]


def make_inputs(place: Path) -> None:
    """Make a model, transcoders, a store in three parts, and its atlas, in a folder."""
    from tiny import TOKENIZER, hf_model, save_model, save_transcoders  # torch takes seconds, and few commands need it
    from transformers import AutoTokenizer

    from distributed_tracer.artifacts.files_in_use import FilesInUse
    from distributed_tracer.model.load import wrap
    from distributed_tracer.trace.attribute import attribute
    from distributed_tracer.transcoder.load import load_transcoders

    model, transcoders = save_model(place / "model"), save_transcoders(place / "transcoders", size=16)
    identity = {**RUN_INFO["identity"], "model": str(model), "transcoders": str(transcoders)}
    content = FilesInUse(str(model), str(transcoders)).identity["content"]
    ledger = Ledger(str(place / "store"))
    ledger.create_or_check({**RUN_INFO, "identity": {**identity, "forward_dtype": "float32"}, "content": content})
    tiny, loaded = wrap(hf_model("llama"), AutoTokenizer.from_pretrained(TOKENIZER)), load_transcoders(str(transcoders))
    config = TraceConfig(None, max_targets=2, keep_all=True)
    graphs = []
    for number in range(NUM_PROMPTS):
        turned = _TOKENS[1 + number % 8 :] + _TOKENS[1 : 1 + number % 8]
        metadata = {"set": "ab"[number % 2], "topic": number // 2, "place": number % 3}
        prompt = Prompt(f"p{number:02d}", tokens=(_TOKENS[0], *turned[: 4 + number % 3]), metadata=metadata)
        graphs.append(attribute(prompt, tiny, loaded, config))
    for first in range(0, NUM_PROMPTS, 4):
        ledger.commit(write_part(str(place / "store"), graphs[first : first + 4]))
    mine_atlas(store_in(place), place / "atlas", cluster="topic")


def store_in(place: Path) -> Store:
    """Return the store that `make_inputs` made."""
    return open_store(str(place / "store"))


def _contrast(of: Any) -> Callable[[Path, Path, Execute], Result]:
    def mine(place: Path, out: Path, run: Execute) -> Result:
        options: dict[str, Any] = {"min_clusters": 1, "permutations": 99}
        return mine_contrast(store_in(place), out, "set=a", of=of, cluster="topic", run=run, **options)

    return mine


def _weights(place: Path, out: Path, run: Execute) -> Result:
    return mine_weights(store_in(place), out, cluster="topic", min_positions=2, run=run)


def _similar(place: Path, out: Path, run: Execute) -> Result:
    asked = {"where": [], "cluster": "topic"}
    return mine_similar(choose_prompts(store_in(place), (), "topic"), out, SimilarSettings(), asked, run=run)


def _consensus(place: Path, out: Path, run: Execute) -> Result:
    asked, rule = {"where": [], "cluster": "topic"}, ConsensusRule("share", samples=100, resamples=100)
    return mine_consensus(choose_prompts(store_in(place), (), "topic"), out, rule, asked, 1 / 5_000, run)


def _chains(place: Path, out: Path, run: Execute) -> Result:
    return mine_chains(plan_chains(store_in(place), open_result(place / "atlas"), 10, min_prompts=1), out, run)


def _stability(place: Path, out: Path, run: Execute) -> Result:
    grid = Grid.of((0.5, 1), (0.9, 1))
    return mine_stability(choose_prompts(store_in(place), (), None), out, None, grid, {"where": []}, run=run)


def _vectors(place: Path, out: Path, run: Execute) -> Result:
    return mine_vectors(store_in(place), out, cluster="topic", predict=["place", "set"], shuffles=19, run=run)


def _dark_matter(place: Path, out: Path, run: Execute) -> Result:
    """Read the errors alone; tests/unit/linear_errors interrupts the fits of layers."""
    prompts = choose_prompts(store_in(place), (), "topic")

    def find(phases: Phases) -> Findings:
        return dark_matter_in_phases(phases, prompts, "topic", ["set"])

    return mine_in_phases(out, "dark-matter", prompts, {}, find, run, 0)


def _communities(kind: Kind) -> Callable[[Path, Path, Execute], Result]:
    def mine(place: Path, out: Path, run: Execute) -> Result:
        settings = CommunitySettings((1.0, 4.0), neighbours=4, min_clusters=2, bootstraps=2, shuffles=2)
        return mine_communities(plan_communities(store_in(place), kind, (), "topic", settings=settings), out, run)

    return mine


def _universality(place: Path, out: Path, run: Execute) -> Result:
    pairs = pair_prompts(store_in(place), store_in(place), (), None)
    return mine_universality(pairs, out, UniversalitySettings(shuffles=19, q=0.2, min_clusters=2), run=run)


COMMANDS = {
    "contrast-features": Command(_contrast("features"), ("sets", "seen", "features", "sites", "values", "tests")),
    "contrast-edges": Command(_contrast("edges"), ("sets", "edges", "tests")),
    "weights": Command(_weights, ("prompts", "activity", "candidates", "values")),
    "similar": Command(_similar, ("prompts", "vectors", "sample", "compare")),
    "consensus": Command(_consensus, ("prompts", "sites", "shares", "edges", "samples")),
    "chains": Command(_chains, ("chains",)),
    "stability": Command(_stability, ("prompts", "graphs")),
    "vectors": Command(_vectors, ("prompts", "graphs", "predictions")),
    "dark-matter": Command(_dark_matter, ("prompts", "errors")),
    "roles": Command(_communities("roles"), ("prompts", "edges", "observed", "runs")),
    "universality": Command(_universality, ("activity", "itself", "itself-shuffles", "both", "both-shuffles")),
    "pathways": Command(_communities("pathways"), ("prompts", "edges", "observed", "runs")),
}


def dying(phase: str) -> Execute:
    """Return what does tasks in this process, which is killed after the work of a phase's last task but one, or only
    one, and before that task counts."""

    def run(calls: Sequence[TaskCall]) -> Iterator[tuple[TaskCall, Done]]:
        deadly = max(0, len(calls) - 2)
        for number, call in enumerate(calls):
            is_last = call.folder.startswith(f"{phase}/") and number == deadly
            yield from perform_here(
                [replace(call, task=_Deadly(call.task.function, call.task.arguments))] if is_last else [call]
            )

    return run


class _Deadly(Task):
    """A task whose process is killed at its end."""

    @property
    def name(self) -> str:
        """Kill this process: the name is asked for once the work is done."""
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


if __name__ == "__main__":
    for _module, _name, _size in SMALL:
        setattr(_module, _name, _size)
    _command, _phase, _place, _out = sys.argv[1:]
    COMMANDS[_command].mine(Path(_place), Path(_out), dying(_phase))
