"""The command mine dark-matter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..config import RunConfig
from ..errors import ConfigError
from ..redact import redacted
from ..text import counted, printable
from .app import DEFAULT_RUN, StorePath, print_answer

if TYPE_CHECKING:
    from ..mine.result import Result

_SHOWN = 8


def dark_matter(
    path: StorePath,
    out: str,
    where: Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE")] = (),
    cluster: str | None = None,
    classes: Annotated[tuple[str, ...], tyro.conf.arg(metavar="FIELD")] = (),
    top: int = 1_000,
    model: str | None = None,
    transcoders: str | None = None,
    device_map: str = "auto",
    memory_gb: float = 4.0,
    seed: int = 0,
    dry_run: bool = False,
    run: RunConfig = DEFAULT_RUN,
    json: bool = False,
) -> int:
    """Say where the influence ends that the transcoders do not explain: by layer, position, token, class and prompt.

    With the model, each layer's errors are also fitted by a linear map of what its transcoder reads, and judged on
    clusters left out. The result is a folder of Parquet files; docs/dark-matter.md has every column. The same command
    goes on after an interruption.

    Args:
        path: Directory or URL of a store.
        out: Folder of the result: new, empty, or begun by this command. Workers on other machines must see it.
        where: Conditions that prompts must meet, all of them, in the form that `query` takes.
        cluster: Metadata whose equal values make prompts a cluster, such as a template; intervals are over clusters.
        classes: Metadata whose values are compared (default: all with 2 to 20 different values).
        top: Number of error nodes to list singly.
        model: Model of the store, to fit the linear part of errors: a directory or a hub id.
        transcoders: Transcoders of the store, for the same.
        device_map: Device map for accelerate: auto, balanced, cpu, cuda, cuda:1, ...
        memory_gb: Memory in 10^9 bytes that each worker uses for sums, beside the weights. With less, layers are fitted
            in more groups, and prompts are read more often.
        seed: Seed by which clusters are divided into folds.
        dry_run: Whether to say only what it will take.
        json: Whether to print the provenance of the result as JSON.
    """
    from ..linear_errors.job import describe_dark_matter, mine_dark_matter
    from ..store.reader import open_store

    if model is None and (run.gpus_per_worker or run.slices > 1):
        raise ConfigError("GPUs and slices are for the linear part of errors: give --model and --transcoders too")
    store = open_store(path)
    of_model = {
        "model": model,
        "transcoders": transcoders,
        "device_map": device_map,
        "memory_gb": memory_gb,
        "run": run,
    }
    chosen: dict[str, Any] = {"where": where, "cluster": cluster, "classes": classes, **of_model}
    if dry_run:
        print(describe_dark_matter(store, **chosen))
        return 0
    result = mine_dark_matter(store, out, **chosen, top=top, seed=seed)
    print_answer(dict(result.info) if json else "\n".join(_answer(result, out)))
    return 0


def _answer(result: Result, out: str) -> Iterator[str]:
    facts = result.facts
    low, high = f"{facts['share_low']:.2%}", f"{facts['share_high']:.2%}"
    yield (
        f"{facts['share']:.2%} of the influence in {counted(facts['prompts'], 'prompt')} ends in errors "
        f"(95% interval {low} to {high}, {counted(facts['clusters'], 'cluster')})"
    )
    yield from _table(result, "layers", "by layer:")
    yield from _table(result, "positions_from_end", "by position from the end:")
    yield from _table(result, "tokens", "by token:")
    yield from _table(result, "classes", "by class:", most=20)
    yield from _table(result, "prompts", "prompts with the most:")
    yield from _table(result, "strongest", "errors with the most:")
    if "linear" in result.tables:
        columns = ["layer", "tokens", "constant", "linear", "r2", "r2_low", "r2_high", "share", "share_nonlinear"]
        yield from _table(result, "linear", "linear part, on clusters left out:", columns)
        yield f"about {facts['nonlinear_of_influence']:.1%} of the influence through errors is not linear (an estimate)"
    yield from (f"warning: {printable(text)}" for text in result.warnings)
    yield f"statistics of {result.info['graphs']}, in {printable(redacted(out))}"


def _table(
    result: Result, name: str, title: str, columns: list[str] | None = None, most: int = _SHOWN
) -> Iterator[str]:
    yield title
    table = result.table(name, columns)
    yield from (f"  {line}" for line in (table.format(most) if len(table) else "none").splitlines())
