"""Commands that exchange graphs with other tools: export, prepare-upload."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..errors import ConfigError
from ..redact import redacted
from ..text import counted, printable
from .app import StorePath, progress_bar
from .community_choice import check_choice, groups_of

if TYPE_CHECKING:
    from ..export.formats import Format
    from ..export.many import Exported
    from ..store.reader import Store

ExportFormat = Annotated[
    str | None, tyro.conf.arg(metavar="npz|graphml|parquet|json|viewer|circuit-tracer|html|svg|png")
]
Ids = Annotated[tuple[str, ...], tyro.conf.arg(metavar="ID")]
Where = Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE")]
For = Annotated[str | None, tyro.conf.arg(name="for", metavar="circuit-tracer|neuronpedia")]

_SHOWN = 10


def export(
    path: StorePath,
    out: str,
    prompt: Ids = (),
    all: bool = False,
    where: Where = (),
    format: ExportFormat = None,
    audience: For = None,
    scan: str | None = None,
    communities: str | None = None,
    level: int | None = None,
    every_community: bool = False,
) -> int:
    """Write graphs to files for other tools: one graph to a file, or several into a folder with an index.

    After an interruption, the same command goes on with a folder.

    Args:
        path: Directory or URL of a store.
        out: File to write, which ends as the format's files do, as in graph.npz. An existing file is replaced. A name
            that ends in .parquet is a new folder with nodes.parquet and edges.parquet. With --all or several prompts, a
            folder for all files, new or from an earlier export.
        prompt: Id of the prompt; several ids are exported into a folder.
        all: Whether to export every prompt, or every one that meets --where, into a folder.
        where: Conditions that the prompts of --all must meet, all of them, in the form that `query` takes.
        format: Format of the files. The ending of a file's name says it already, and both must agree. npz is a NumPy
            archive with a dense matrix; graphml is XML for tools that show and measure graphs; json is the node-link
            form of networkx; viewer is the JSON of graph viewers, which ends in .json as well; circuit-tracer is its
            own .pt file; html is a page to explore or to mail, which needs nothing else; svg and png are the drawing
            that `draw` makes without options.
        audience: Viewer for which the format viewer is written, circuit-tracer by default.
        scan: Name under which that viewer looks up features, if it is not the one that the store suggests.
        communities: Folder of a result of `mine roles` or `mine pathways`, whose communities colour the features of one
            graph as html, svg or png.
        level: Level of the communities (default: the finest one in which a feature has a community).
        every_community: Whether communities count too that are not significant.
    """
    from ..export.formats import COLOURED, check_export, for_viewer, others
    from ..export.viewer import AUDIENCES, Viewer
    from ..store.reader import open_store

    if bool(prompt) == all:
        raise ConfigError("say which graphs: --prompt ID, or --all for every prompt")
    if where and not all:
        raise ConfigError("--where chooses among the prompts of --all")
    chosen = _folder_format(format) if all or len(prompt) > 1 else check_export(out, format)
    if audience is not None or scan is not None:
        chosen = for_viewer(chosen, Viewer(AUDIENCES[0] if audience is None else audience, scan))
    check_choice("--communities", communities is not None, level, every_community)
    if communities is not None and (all or len(prompt) > 1 or chosen.name not in COLOURED):
        raise ConfigError(f"--communities colours one graph as {', '.join(COLOURED)}: name one prompt and such a file")
    store = open_store(path)
    if all or len(prompt) > 1:
        return _many(store, _chosen(store, where) if all else list(prompt), out, chosen)
    graph, context = store.graph(prompt[0]), store.context(prompt[0])
    groups = groups_of(communities, store, graph, level, every_community)
    if groups is not None:
        context = replace(context, communities=tuple(groups))
    notes = chosen.write(graph, Path(out), context)
    print("\n".join(map(printable, [f"wrote {out}", *notes, *(others(chosen) if format is None else [])])))
    return 0


def prepare_upload(path: StorePath, out: str, prompt: Ids = (), where: Where = (), scan: str | None = None) -> int:
    """Write graphs into a folder, ready for upload to Neuronpedia. Nothing is sent.

    A graph that Neuronpedia would refuse is not written, and the reason is said with its remedy.

    Args:
        path: Directory or URL of a store.
        out: Folder for the files, new or from an earlier call.
        prompt: Ids of the prompts.
        where: Conditions that the prompts must meet, all of them, instead of ids.
        scan: Neuronpedia's id of the model, such as gemma-2-2b. By default the last part of the model's name, in lower
            case.
    """
    from ..export.upload import upload_format
    from ..export.viewer import metadata_of
    from ..store.reader import open_store

    if bool(prompt) == bool(where):
        raise ConfigError("say which graphs: --prompt ID, or --where KEY=VALUE")
    store = open_store(path)
    code = _many(store, _chosen(store, where) if where else list(prompt), out, upload_format(scan))
    if found := next(Path(out).glob("[!.]*.json"), None):
        model = metadata_of(found)["scan"]
        print(f"only Neuronpedia knows whether it has a model {printable(model)!r}: if not, create it there, or give")
        print("its id with --scan. A name that another user has taken is refused: the file then needs another one.")
        print("Nothing was sent. Once a graph is uploaded, anybody who has the link can read it.")
    return code


def _folder_format(name: str | None) -> Format:
    from ..export.formats import FORMATS, format_named

    if name is None:
        raise ConfigError(f"several graphs need --format: {', '.join(FORMATS)}")
    return format_named(name)


def _chosen(store: Store, where: tuple[str, ...]) -> list[str]:
    from ..store.maintenance.split import chosen

    found = sorted(chosen(store, where)) if where else list(store)
    if not found:
        raise ConfigError(
            f"no prompt of {store.url} meets {' '.join(where)}" if where else f"{store.url} has no graphs"
        )
    return found


def _many(store: Store, prompt_ids: list[str], out: str, format: Format) -> int:
    """Export several graphs and say what came of it; return the exit code, 3 if some could not be exported."""
    from ..export.many import export_many

    with progress_bar("exporting") as show:
        done = export_many(store, prompt_ids, out, format, show)
    there = f"; {done.num_there:,} were there" if done.num_there else ""
    print(printable(f"wrote {counted(len(done.written), 'graph')} into {out}{there}"))
    _print_some([printable(f"{name}: {note}") for name, notes in done.notes.items() for note in notes])
    return _failures(done)


def _failures(done: Exported) -> int:
    if not done.failed:
        return 0
    sys.stdout.flush()
    print(f"error: {counted(len(done.failed), 'graph')} not exported", file=sys.stderr)
    lines = [printable(redacted(f"  {prompt_id}: {message}")) for prompt_id, message in done.failed.items()]
    more = [f"  and {len(lines) - _SHOWN:,} more"] if len(lines) > _SHOWN else []
    print("\n".join([*lines[:_SHOWN], *more]), file=sys.stderr)
    return 3


def _print_some(lines: list[str]) -> None:
    for line in lines[:_SHOWN]:
        print(line)
    if len(lines) > _SHOWN:
        print(f"and {len(lines) - _SHOWN:,} more lines, which index.jsonl has")
