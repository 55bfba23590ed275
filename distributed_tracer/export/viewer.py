"""Export of one graph as the JSON that graph viewers open: circuit-tracer's, Anthropic's and Neuronpedia's."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..documents.json_text import to_json_types
from ..errors import ConfigError
from ..graph.context import GraphContext
from ..graph.graph import Graph
from ..graph.nodes import NodeKind
from ..graph.viewer_groups import cantor_pair
from ..names import unknown
from ..text import counted, short
from .atomic import new_file
from .safe_names import is_safe, safe_name
from .viewer_nodes import label_text, node_entries, node_ids, without_markup
from .viewer_state import ViewerState

AUDIENCES = ("circuit-tracer", "neuronpedia")
"""Whose keys the file has. Anthropic's viewer reads both."""
FOLDER_FILE = "graph-metadata.json"
"""The file that lists the graphs of a folder for circuit-tracer's server."""
_EDGES_AT_ONCE = 2**16
_LARGE = 100 * 2**20
_HUB_ID = re.compile(r"(\w[\w.-]*/\w[\w.-]*)((?:/[\w.=,+ -]+)*)/?(@[\w./-]+)?")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
"""Characters that are legal in JSON, but that databases and browsers do not store."""


@dataclass(frozen=True)
class Viewer:
    """How a file is written for one viewer."""

    audience: str = "circuit-tracer"
    scan: str | None = None
    """Name under which the viewer looks up features: None takes it from the context. For circuit-tracer it names the
    transcoders, a repository of the hub or `./NAME` for a local directory; for Neuronpedia it is the model's id."""

    def __post_init__(self) -> None:
        if self.audience not in AUDIENCES:
            raise ConfigError(unknown("viewer", self.audience, AUDIENCES))

    @property
    def for_neuronpedia(self) -> bool:
        """Whether the file has Neuronpedia's keys."""
        return self.audience == "neuronpedia"

    def scan_of(self, context: GraphContext) -> str:
        """Return the name under which the viewer looks up features; empty if nothing is known."""
        if self.scan is not None:
            return self.scan
        if self.for_neuronpedia:
            name = context.model.partition("@")[0].rstrip("/").rpartition("/")[2].lower()
            return safe_name(name) if name else ""
        return scan_of(context.transcoders)

    def write(self, graph: Graph, destination: Path, context: GraphContext) -> list[str]:
        """Write a graph, and return lines that say what the file lacks and at which address its groups are shown.

        The slug, by which a viewer asks its server for the file, is the file's name without its ending. Raises
        ConfigError for a graph with weights that are not finite, which JSON cannot hold.
        """
        infinite = int(np.count_nonzero(~np.isfinite(graph.weight_E)))
        if infinite:
            raise ConfigError(
                f"{counted(infinite, 'edge')} of {short(graph.prompt_id)} with a weight that is not finite, which JSON "
                "cannot hold: the formats parquet, graphml and npz keep them"
            )
        slug, notes = destination.stem, list[str]()
        if not is_safe(slug):
            slug = safe_name(slug)
            notes.append(f"the slug is {slug}: servers find the file only as {slug}.json")
        ids = node_ids(graph)
        saved = ViewerState.of(graph, ids, context)
        with new_file(destination) as file:
            file.writelines(line.encode("ascii") for line in self._lines(graph, ids, saved, slug, context))
        size = os.stat(destination).st_size
        if size > _LARGE:
            notes.append(
                f"{size:,} bytes: browsers fail on graphs of this size; smaller thresholds of `trace` keep less"
            )
        if saved.pins:
            query = saved.neuronpedia_query(slug) if self.for_neuronpedia else saved.circuit_tracer_query(slug)
            notes.append(f"the viewer shows pins and groups at {query}")
        return [*notes, *self._notes(graph, context), *saved.notes()]

    def _lines(
        self, graph: Graph, ids: list[str], saved: ViewerState, slug: str, context: GraphContext
    ) -> Iterator[str]:
        """Yield the document: a line for the metadata, for the saved state, and for each node and edge."""
        yield f'{{"metadata": {_json(self._metadata(graph, slug, context))},\n'
        yield f'"qParams": {_json(self._saved_state(saved, graph, context))},\n"nodes": ['
        escape = not self.for_neuronpedia
        yield from _items(map(_json, node_entries(graph, ids, context.labels, context.node_threshold, escape)))
        yield '],\n"links": ['
        yield from _items(_links(graph, ids))
        yield "]}\n"

    def _metadata(self, graph: Graph, slug: str, context: GraphContext) -> dict[str, Any]:
        from .. import __version__

        thresholds = {"node_threshold": context.node_threshold, "edge_threshold": context.edge_threshold}
        known = {name: value for name, value in thresholds.items() if value is not None}
        text = "".join(graph.token_strings) if graph.text is None else graph.text
        return {
            "slug": slug,
            "scan": self.scan_of(context),
            "transcoder_list": [],
            "prompt_tokens": [self._token(token) for token in graph.token_strings],
            "prompt": _NOT_TEXT.sub("\ufffd", text),
            **({"node_threshold": context.node_threshold} if "node_threshold" in known else {}),
            "schema_version": 1,
            "info": {"generator": {"name": "distributed-tracer", "version": __version__}},
            **({"pruning_settings": known} if known else {}),
            "distributed_tracer": {
                "prompt": graph.prompt_id,
                "tokens": graph.tokens_P.tolist(),
                "num_layers": graph.num_layers,
                "targets": graph.attributes()["targets"],
            },
        }

    def _token(self, token: str) -> str:
        text = _NOT_TEXT.sub("\ufffd", token)
        return text if self.for_neuronpedia else without_markup(text)

    def _saved_state(self, saved: ViewerState, graph: Graph, context: GraphContext) -> dict[str, Any]:
        # circuit-tracer's viewer reads `clerps` as JSON in a text, by numbers that targets and features share, so the
        # labels are with the nodes alone there.
        clerps = {"clerps": [*_labels(graph, context).items()]} if self.for_neuronpedia else {}
        return saved.as_json() | clerps

    def _notes(self, graph: Graph, context: GraphContext) -> Iterator[str]:
        if num_changed := sum(_NOT_TEXT.search(token) is not None for token in graph.token_strings):
            yield f"{counted(num_changed, 'token')} with NUL or half a surrogate pair, which U+FFFD replaces"
        texts = [*graph.token_strings, *(target.label for target in graph.targets), *_labels(graph, context).values()]
        if not self.for_neuronpedia and (num_changed := sum(without_markup(text) != text for text in texts)):
            yield f"{counted(num_changed, 'label')} with HTML, which the viewer would obey: < is ‹ there"
        if self.for_neuronpedia and not (graph.nodes.layer_N[graph.nodes.kind_N < NodeKind.TOKEN] > 0).any():
            yield "Neuronpedia shows no graph whose features and errors are all in layer 0"
        if not self.for_neuronpedia and len(graph.tokens_P) == 1:
            yield "circuit-tracer's viewer shows no nodes of a prompt of one token"
        if not self.for_neuronpedia and (found := elsewhere(self.scan_of(context))):
            yield f"{found}: give another scan, which is ./ and the name of a folder of feature files"


def elsewhere(scan: str) -> str:
    """Return why circuit-tracer's viewer does not find features beside its page at a local scan; empty if it does."""
    if scan == "./features":
        return f"circuit-tracer's viewer asks another host for the features at {scan}"
    if scan in ("./data", "./graph_data"):
        return f"circuit-tracer's server has graphs at {scan}, and no features"
    return ""


def scan_of(transcoders: str) -> str:
    """Return the name by which circuit-tracer's viewer finds the features of transcoders; empty if they are unknown.

    That is `user/repo@revision` or `user/repo//folder@revision` for a repository of the hub, and `./NAME` for a local
    directory, whose features the viewer's server has. The rest of the directory's path is not published.
    """
    found = None if Path(transcoders).is_dir() else _HUB_ID.fullmatch(transcoders)
    if found is not None:
        repository, folder, revision = found.groups(default="")
        return f"{repository}{folder and '/'}{folder}{revision}"
    return transcoders and f"./{safe_name(Path(transcoders).name)}"


def write_folder_file(folder: Path, files: Iterable[Path]) -> None:
    """Write the list of graphs that circuit-tracer's server needs to serve a folder, from the files' own metadata."""
    graphs = [metadata_of(path) for path in files]
    with new_file(folder / FOLDER_FILE) as file:
        file.write(json.dumps({"graphs": graphs}, indent=2).encode("ascii"))


def metadata_of(path: Path) -> dict[str, Any]:
    """Return the metadata of a file that `Viewer.write` wrote, which is its first line; the rest is not read."""
    with path.open("rb") as file:
        line = file.readline().decode("ascii")
    metadata: dict[str, Any] = json.loads(line.removeprefix('{"metadata": ').rstrip().removesuffix(","))
    return metadata


def _labels(graph: Graph, context: GraphContext) -> dict[str, str]:
    """Return the label of each feature node that has one, by Neuronpedia's name of the node: layer_number_position."""
    features = graph.nodes.take(graph.nodes.where(NodeKind.FEATURE))
    sites = zip(features.layer_N.tolist(), features.position_N.tolist(), features.feature_N.tolist(), strict=True)
    texts = {
        f"{layer}_{cantor_pair(layer, feature)}_{position}": label_text(context.labels, layer, feature)
        for layer, position, feature in sites
    }
    return {name: text for name, text in texts.items() if text}


def _links(graph: Graph, ids: Sequence[str]) -> Iterator[str]:
    """Yield each edge as JSON, in the order of `source_E`; only a few at a time are Python objects.

    A weight has as many digits as its float32 needs as a float64.
    """
    for first in range(0, graph.num_edges, _EDGES_AT_ONCE):
        edges = np.arange(first, min(first + _EDGES_AT_ONCE, graph.num_edges))
        targets = np.searchsorted(graph.indptr, edges, side="right") - 1
        part = (graph.source_E[edges].tolist(), targets.tolist(), graph.weight_E[edges].tolist())
        for source, target, weight in zip(*part, strict=True):
            yield f'{{"source":"{ids[source]}","target":"{ids[target]}","weight":{weight!r}}}'


def _items(values: Iterable[str]) -> Iterator[str]:
    for number, value in enumerate(values):
        yield f"{',' if number else ''}\n{value}"


def _json(value: Any) -> str:
    return json.dumps(to_json_types(value), allow_nan=False)
