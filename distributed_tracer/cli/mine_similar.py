"""mine similar: prompts with similar graphs, beside how similar their texts are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..config import RunConfig
from ..text import counted
from .app import StorePath, print_answer
from .mine_answer import Where, print_result

if TYPE_CHECKING:
    from ..mine.result import Result

_SHOWN = ("ruzicka", "cosine", "text")


def similar(
    path: StorePath,
    out: str,
    prompt: str | None = None,
    where: Where = (),
    cluster: str | None = None,
    edges: Literal["features", "all"] = "features",
    top: int = 10,
    samples: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    max_text: float = 0.5,
    q: float = 0.05,
    memory_gb: float = 2.0,
    seed: int = 0,
    workers: int = 1,
    ray_address: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Find prompts with similar graphs, above all those whose texts are not similar.

    The result is a folder of Parquet files: the most similar graphs of each prompt, and the pairs of unlike texts whose
    graphs have more in common than those of equally alike texts. docs/similar.md has the definitions.

    Args:
        path: Directory or URL of a store.
        out: Folder of the result: new, empty, or begun by this command.
        prompt: Id of the one prompt whose most similar graphs to find; without it, those of all prompts.
        where: Conditions that prompts must meet, all of them, in the form that `query` takes.
        cluster: Metadata whose equal values make prompts a cluster; the answer then says how well graphs and texts tell
            pairs of one cluster from other pairs.
        edges: Edges that are compared: those between features, or all of them, with tokens, errors and targets.
        top: Number of most similar graphs of each prompt.
        samples: Number of samples by which similarities are estimated, for stores whose edges do not fit into memory.
            Without it, they are exact.
        max_text: Largest overlap of the tokens of two texts that are unlike, from 0 to 1.
        q: Largest estimated share of pairs that are there by chance, among the pairs of unlike texts.
        memory_gb: Memory in 10^9 bytes to use, beside that of the program itself.
        seed: Seed of the samples and of the halves of the edges.
        workers: Number of processes on this machine or, on a cluster, of tasks at a time. The result does not depend
            on it.
        ray_address: Address of a running Ray cluster that does the work; `auto` is the one that this machine belongs
            to. All of its machines must see the store and `--out` under the same paths.
        dry_run: Whether to say only what it will take.
        json: Whether to print the provenance of the result as JSON.
    """
    from ..mine.inverted_index import BYTES_PER_VALUE
    from ..mine.prompts import choose_prompts
    from ..mine.similar import SimilarSettings, mine_similar
    from ..runtime.task_runner import task_runner
    from ..store.reader import open_store

    config = RunConfig(workers=workers, ray_address=ray_address)
    settings = SimilarSettings(prompt, edges, top, samples, max_text, q, seed)
    prompts = choose_prompts(open_store(path), where, cluster)
    if dry_run:
        values = prompts.num_edges if samples is None else samples * len(prompts)
        print(
            f"{counted(len(prompts), 'prompt')}, {counted(prompts.num_edges, 'edge')}\n"
            f"at most {values * BYTES_PER_VALUE / 1e9:.3f} GB of memory, of {memory_gb:g} that are allowed"
        )
        return 0
    with task_runner(config) as run:
        result = mine_similar(prompts, out, settings, {"where": list(where), "cluster": cluster}, memory_gb, run)
    if json:
        print_answer(dict(result.info))
        return 0
    if prompt is not None:
        shown = result.table("neighbours", ["neighbour", *_SHOWN, *(["same_cluster"] if cluster else [])])
        print_result(result, out, [f"graphs similar to that of {prompt}:", shown.format(top)])
        return 0
    print_result(result, out, [*_facts(result.facts, cluster), *_unlike(result)])
    return 0


def _facts(facts: Mapping[str, Any], cluster: str | None) -> Iterator[str]:
    """Yield lines about all pairs that were compared."""
    if "pairs_compared" in facts:
        yield f"{counted(facts['pairs_compared'], 'pair')}, of which {facts['pairs_unlike']:,} have unlike texts"
    if facts.get("separation_graphs") is not None:
        names = {"graphs": "graphs", "texts": "texts", "beyond_texts": "graphs of equally alike texts"}
        values = ", ".join(f"{name} {facts[f'separation_{key}']:.3f}" for key, name in names.items())
        yield f"area under the ROC curve for pairs of one {cluster} among all pairs: {values}"


def _unlike(result: Result) -> Iterator[str]:
    """Yield lines about pairs of unlike texts with like graphs."""
    pairs = result.table("unlike_texts", ["a", "b", "ruzicka", "expected", "text", "shared_tokens"])
    if len(pairs):
        chance = result.facts["by_chance"]
        yield f"{counted(result.facts['listed'], 'pair')} with like graphs and unlike texts, {chance:.1%} by chance:"
        yield pairs.format(20)
