"""mine stability: what pruning keeps of a graph at other thresholds."""

from __future__ import annotations

from ..config import RunConfig
from ..errors import ConfigError
from ..table import Table
from ..text import counted
from .app import StorePath, print_answer
from .mine_answer import Where, print_result

NODE_THRESHOLDS = "0.4,0.5,0.6,0.7,0.8,0.9,1"
EDGE_THRESHOLDS = "0.8,0.9,0.95,0.98,0.99,1"


def stability(
    path: StorePath,
    out: str,
    prompt: str | None = None,
    where: Where = (),
    node_thresholds: str = NODE_THRESHOLDS,
    edge_thresholds: str = EDGE_THRESHOLDS,
    memory_gb: float = 2.0,
    workers: int = 1,
    ray_address: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Prune one graph, or several, at many thresholds, and say which nodes and edges stay.

    The result is a folder of Parquet files: sizes and scores at each pair of thresholds, what neighbouring pairs share,
    and at which pairs each node and edge is kept. Graphs that were pruned before they were stored can only become
    smaller. docs/similar.md has the definitions.

    Args:
        path: Directory or URL of a store.
        out: Folder of the result: new, empty, or begun by this command.
        prompt: Id of the one prompt whose graph to prune; without it, those of all prompts.
        where: Conditions that prompts must meet, all of them, in the form that `query` takes.
        node_thresholds: Shares of influence for nodes to cover, from 0 to 1, separated by commas.
        edge_thresholds: Shares of edge scores for edges to cover, from 0 to 1, separated by commas.
        memory_gb: Memory in 10^9 bytes to use, beside that of the program itself.
        workers: Number of processes on this machine or, on a cluster, of tasks at a time. The result does not depend
            on it.
        ray_address: Address of a running Ray cluster that does the work; `auto` is the one that this machine belongs
            to. All of its machines must see the store and `--out` under the same paths.
        dry_run: Whether to say only what it will take.
        json: Whether to print the provenance of the result as JSON.
    """
    from ..mine.prompts import choose_prompts
    from ..mine.pruning_grid import Grid
    from ..mine.stability import mine_stability, num_rows, rows_gb
    from ..runtime.task_runner import task_runner
    from ..store.reader import open_store

    config = RunConfig(workers=workers, ray_address=ray_address)
    grid = Grid.of(_numbers("--node-thresholds", node_thresholds), _numbers("--edge-thresholds", edge_thresholds))
    prompts = choose_prompts(open_store(path), where, None)
    if dry_run:
        rows = num_rows(prompts, prompt)
        print(
            f"{counted(len(grid), 'setting')} of {counted(1 if prompt else len(prompts), 'graph')}\n"
            f"at most {rows:,} nodes and edges, about {rows_gb(rows):.3f} GB of memory"
        )
        return 0
    with task_runner(config) as run:
        result = mine_stability(prompts, out, prompt, grid, {"where": list(where)}, memory_gb, run)
    if json:
        print_answer(dict(result.info))
        return 0
    facts = result.facts
    lines = [f"{counted(facts['settings'], 'setting')} of {counted(facts['prompts'], 'graph')}"]
    lines += [
        f"{facts[f'{what}_stable']:,} of {facts[f'{what}_any']:,} {what} are kept at all settings, "
        f"{facts[f'{what}_at_one_setting']:,} at one setting only, {facts[f'{what}_returning']:,} come and go"
        for what in ("features", "edges")
    ]
    settings, steps = result.table("settings"), result.table("steps")
    for name, other in (("node_threshold", "edge_threshold"), ("edge_threshold", "node_threshold")):
        lines += [f"at the largest {other.replace('_', ' ')}, means over graphs:", _along(settings, steps, name, other)]
    print_result(result, out, lines)
    return 0


def _along(settings: Table, steps: Table, name: str, other: str) -> str:
    """Return sizes along one threshold, at the largest value of the other one, as text."""
    largest = settings[other].max()
    at_largest = settings.where(settings[other] == largest)
    grows = steps.where((steps["grows"] == name) & (steps[other] == largest))
    rows: dict[str, list[float]] = {name: sorted(set(at_largest[name].tolist()))}
    for column in ("features", "errors", "edges", "influence", "passed"):
        rows[column] = [float(at_largest[column][at_largest[name] == value].mean()) for value in rows[name]]
    rows["edges_shared_with_next"] = [
        float(own.mean()) if len(own := grows["edges_jaccard"][grows[name] == value]) else float("nan")
        for value in rows[name]
    ]
    return Table(rows).format(50)


def _numbers(flag: str, text: str) -> list[float]:
    """Return the numbers of a list that is separated by commas. Raises ConfigError."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise ConfigError(f"{flag} is a list of numbers, as in 0.6,0.8,1, not {text!r}") from None
