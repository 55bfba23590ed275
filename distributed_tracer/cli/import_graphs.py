"""The command `import`: graphs of other tools into a store."""

from __future__ import annotations

from typing import Annotated

import tyro
from tyro.conf import Positional

from .app import progress_bar


def import_(
    files: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="FILE...")],
    store: str,
    prefix: str = "",
    drop_unknown: bool = False,
    num_layers: int | None = None,
    tokenizer: str | None = None,
    processes: int = 1,
) -> int:
    """Import graphs that other tools, or this one, wrote to files, into a store that all questions can be asked of.

    After an interruption, the same command goes on. A file that cannot be imported does not stop the others.

    Args:
        files: Files, patterns, or directories of files: .pt of circuit-tracer, .json of graph viewers
            (circuit-tracer's, Neuronpedia's, Anthropic's), and .npz, .json and .parquet of `export`.
        store: Store of imported graphs: a directory or an fsspec URL. It is created if it does not exist.
        prefix: Text to put before the ids of the prompts, which are otherwise those of the files, or their names.
        drop_unknown: Whether to leave out nodes of kinds that graphs here cannot have, such as attention features, and
            to say how many; without it, files with such nodes are refused.
        num_layers: Number of layers of the model, for files of viewers that do not say it.
        tokenizer: Tokenizer that names the tokens of files that have only their ids (.pt, .npz): a directory or a hub
            id.
        processes: Number of processes that read files.
    """
    from ..importers.import_graphs import import_graphs

    with progress_bar("importing") as show:
        done = import_graphs(
            files,
            store,
            prefix=prefix,
            drop_unknown=drop_unknown,
            num_layers=num_layers,
            tokenizer=tokenizer,
            processes=processes,
            show=show,
        )
    print(done.describe())
    return done.exit_code
