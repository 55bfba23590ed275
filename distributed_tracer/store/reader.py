"""open_store and Store: how an analyst reads a store.

Opening a store reads its commits only; everything else is read when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from itertools import chain, islice
from types import MappingProxyType
from typing import Any, TypeVar

from ..errors import ConfigError, PromptNotFound, StoreCorrupt, StoreNotFound
from ..graph.context import GraphContext
from ..graph.graph import Graph
from ..graph.labels import Labels
from ..moved import former_names
from ..names import hint
from ..table import Table
from ..table_stream import TableStream
from ..text import and_more, counted, html_facts, html_table, listed, short
from .annotations import read_groups, read_labels
from .backend.base import Backend
from .backend.open import open_backend
from .catalogue import Catalogue
from .commits import read_commit, read_commits
from .evaluations import check_kind, evaluation_results
from .format.annotation import PromptGroups
from .format.digest import store_digest
from .format.graph_columns import metadata_of
from .format.part_manifest import PartManifest, PromptSummary
from .format.run_file import is_imported, parse_run
from .index import Index, newest_index
from .object_names import RUN
from .part import Part
from .read.active_batches import active_batches
from .read.conditions import Conditions, wanted_values
from .read.edge_batches import edge_batches
from .read.feature_bounds import check_active_layers, check_feature, check_layer, check_layers, check_site
from .read.node_batches import node_batches
from .read.node_scan import NodeScan
from .read.occurrences import occurrences
from .read.part_range import PartRange, Size, part_ranges
from .read.prefetch import prefetch
from .read.process_map import call_with_context, map_in_processes, reorder
from .read.prompt_table import prompt_table
from .read.select import predicates, prompts_with, rows_where

_OPEN_PARTS = 64
_KEPT_MANIFESTS = 1024
_NAMED = 5
_SHOWN = 10
_SHOWN_COLUMNS = ("id", "num_tokens", "num_nodes", "num_edges", "replacement", "completeness")
_ANY: Mapping[str, Any] = MappingProxyType({})
T = TypeVar("T")


def open_store(path: str) -> Store:
    """Return the store at a local path or fsspec URL, as it is now.

    Parts that are committed later become visible when the store is opened again. Raises StoreNotFound,
    StoreVersionError for a format that this program does not know, StoreCorrupt.
    """
    root = open_backend(path)
    run = root.read(RUN)
    if run is None:
        raise StoreNotFound(f"there is no store at {root.url}: it has no {RUN}")
    info, index = parse_run(run, root.url), newest_index(root)
    later = list(read_commits(root, index.covered if index else ()))
    catalogue = (index.catalogue if index else Catalogue()).with_commits(later)
    return Store(root, info, catalogue, index, dict(later[:_KEPT_MANIFESTS]))


@former_names(receipt="manifest", receipts="manifests")
class Store:
    """Attribution graphs of many prompts.

    If several commits name a prompt, the graph of the first commit is the prompt's graph.
    """

    def __init__(
        self,
        root: Backend,
        info: dict[str, Any],
        catalogue: Catalogue,
        index: Index | None,
        known: dict[str, PartManifest],
    ) -> None:
        self.url = root.url
        self.info = info
        self.root = root
        self.catalogue = catalogue
        self.index = index
        self.num_indexed = len(index.catalogue.commits) if index else 0
        """The index covers this number of the catalogue's commits, always the first ones."""
        self._manifests = known
        self.part = lru_cache(_OPEN_PARTS)(lambda commit: Part(root, self.manifest(commit)))
        """Return the part of a commit, given the commit's number in the catalogue."""

    def __repr__(self) -> str:
        facts = self._facts()
        return f"<Store {facts['url']}: {facts['graphs']} in {facts['parts']}, of {facts['model']}>"

    def _repr_html_(self) -> str:
        """Return a summary and the first prompts for notebooks, without reading anything. Text that comes from prompts
        and from run.json is escaped."""
        entries = [self.entry(name) for name in islice(self, _SHOWN)]
        rows = ([_shown(getattr(entry, name)) for name in _SHOWN_COLUMNS] for entry in entries)
        foot = f"{len(entries):,} of {counted(len(self), 'graph')}; prompts has texts and metadata too"
        return html_facts("store of attribution graphs", self._facts()) + html_table(_SHOWN_COLUMNS, rows, foot)

    def _facts(self) -> dict[str, str]:
        identity = self.info.get("identity", {})
        num_edges = int(self.catalogue.columns["num_edges"].sum())
        return {
            "url": short(self.url, 200),
            "graphs": counted(len(self), "graph"),
            "parts": counted(len(self.catalogue.commits), "part"),
            "model": "various models (imported)"
            if is_imported(self.info)
            else short(str(identity.get("model", "unknown")), 200),
            "transcoders": short(str(identity.get("transcoders", "unknown")), 200),
            "edges": counted(num_edges, "edge"),
            "prompts": listed(self.catalogue.ids),
        }

    def __len__(self) -> int:
        return len(self.catalogue)

    def __getitem__(self, prompt_id: str) -> Graph:
        """Return the graph of one prompt: the same as `graph`."""
        return self.graph(prompt_id)

    def __contains__(self, prompt_id: object) -> bool:
        return prompt_id in self.catalogue.number_of

    def __iter__(self) -> Iterator[str]:
        """Iterate over all prompt ids in sorted order, whichever run wrote the prompts and whenever it did so."""
        return iter(sorted(self.catalogue.ids))

    def manifest(self, commit: int) -> PartManifest:
        """Return the part manifest of a commit, given the commit's number in the catalogue. Raises StoreCorrupt."""
        name = self.catalogue.commits[commit].name
        manifest = self._manifests[name] if name in self._manifests else read_commit(self.root, name)
        if commit < self.num_indexed and not self.catalogue.agrees(commit, manifest):
            raise StoreCorrupt(f"an index of {self.url} has other prompts than commits/{name}: see `verify`")
        return manifest

    @property
    def manifests(self) -> list[PartManifest]:
        """Part manifests of all parts that hold prompts."""
        return [self.manifest(commit) for commit in range(len(self.catalogue.commits))]

    @cached_property
    def prompts(self) -> Table:
        """Table with one row per prompt, sorted by id.

        Its columns are text, sizes, scores, labels of the targets, part, and one for each metadata key. `prompt_table`
        has the tokens too.
        """
        return prompt_table(list(self._parts()))

    def prompt_table(
        self, prompt_ids: str | Iterable[str] | None = None, columns: str | Sequence[str] | None = None
    ) -> Table:
        """Return the table `prompts` for some prompts, or with chosen columns.

        Two further columns must be named to be read: `tokens` and `token_strings`, lists of the ids and of the strings
        of each prompt's tokens. Memory grows with the number of tokens. Raises PromptNotFound, and ConfigError for an
        unknown column.
        """
        return prompt_table(list(self._parts_of(prompt_ids)), columns)

    @cached_property
    def num_layers(self) -> int:
        """Number of layers of the model, which all graphs share; 0 if the store has no graphs.

        Reads the small arrays of one part.
        """
        return next((int(part.head["prompts/num_layers"].max()) for part, _ in self._parts()), 0)

    def entry(self, prompt_id: str) -> PromptSummary:
        """Return the sizes and scores of one prompt, as its commit records them; reads nothing.

        Raises PromptNotFound.
        """
        return self.catalogue.entry(self._find(prompt_id))

    def graph(self, prompt_id: str) -> Graph:
        """Return the graph of one prompt; reads only this prompt's ranges of the arrays.

        Raises PromptNotFound, StoreCorrupt.
        """
        commit, row = self.catalogue.place(self._find(prompt_id))
        return self.part(commit).graph(row)

    def context(self, prompt_id: str) -> GraphContext:
        """Return what the store knows about a prompt's graph besides the graph itself.

        Raises PromptNotFound, and StoreCorrupt for a damaged annotation.
        """
        commit, row = self.catalogue.place(self._find(prompt_id))
        said = self._groups.get(prompt_id)
        known = {"labels": self.labels, **({"groups": said.groups, "pins": said.pins} if said else {})}
        if is_imported(self.info):
            part = self.part(commit)
            with part.decoding("metadata"):
                return GraphContext.of_imported(metadata_of(part.prompt(row)), **known)
        return GraphContext.of_run(self.info, **known)

    @cached_property
    def labels(self) -> Labels:
        """Labels of features, from all sources, as they are when this is first used. Raises StoreCorrupt."""
        return read_labels(self.root)

    @cached_property
    def _groups(self) -> dict[str, PromptGroups]:
        """Groups and pins by prompt, as they are when this is first used."""
        return read_groups(self.root, self.catalogue)

    def graphs(self, prompt_ids: str | Iterable[str] | None = None) -> Iterator[Graph]:
        """Iterate over all graphs, or over those of one or several ids, in no particular order.

        Some hundred graphs of a part are read at a time (two million edges or active features), and the next ones while
        these are used. A graph is a view of the arrays that were read with it, and keeps them in memory.
        """
        parts = self._parts_of(prompt_ids)
        jobs = (partial(part.graphs, group) for part, rows in parts for group in part.groups_to_read(rows))
        return chain.from_iterable(prefetch(jobs))

    def map(
        self, function: Callable[[Graph], T], prompt_ids: str | Iterable[str] | None = None, processes: int = 1
    ) -> Iterator[T]:
        """Apply `function` to each graph and yield the results in the order of `prompt_ids` (default: sorted ids).

        An error that `function` raises names the prompt. With several processes each process reads its own parts;
        `function` and its results must then be picklable, so `function` must be defined at the top level of a module.
        Raises ConfigError if it is not picklable, WorkerLost if a process dies.
        """
        if processes < 1:
            raise ConfigError(f"processes must be at least 1, not {processes}")
        order = list(self) if prompt_ids is None else prompt_list(prompt_ids)
        if processes == 1:
            return reorder(
                ((graph.prompt_id, call_with_context(function, graph)) for graph in self.graphs(order)), order
            )
        tasks = ((part.manifest, rows) for part, rows in self._parts_of(order))
        return reorder(map_in_processes(self.url, function, tasks, processes), order)

    def nodes(
        self,
        prompt_ids: str | Iterable[str] | None = None,
        columns: str | Sequence[str] | None = None,
        where: Conditions = _ANY,
    ) -> TableStream:
        """Return the node tables of all or of some prompts as columns (see NODE_COLUMNS), in bounded memory.

        A further column, `token`, is the string of the token at the node's position; it is read only if `columns` or
        `where` names it. `where` maps columns to conditions, all of which must hold: `{"kind": "feature",
        "layer": [2, 3]}`. A condition may also be a function that maps the column to a boolean mask. Raises
        PromptNotFound, and ConfigError for a column, kind or layer that does not exist.
        """
        return node_batches(
            self._read(prompt_ids, where), columns, where, lambda: check_layers(where, self.num_layers, self.url)
        )

    def edges(
        self,
        prompt_ids: str | Iterable[str] | None = None,
        columns: str | Sequence[str] | None = None,
        where: Conditions = _ANY,
    ) -> TableStream:
        """Return the edges of all or of some prompts, each with the properties of its two nodes (see EDGE_COLUMNS).

        The arguments and errors are those of `nodes`; the further columns are `source_token` and `target_token`. The
        edges of a part that has no node that meets the conditions are not read.
        """
        return edge_batches(
            self._read(prompt_ids, where), columns, where, lambda: check_layers(where, self.num_layers, self.url)
        )

    def active(
        self,
        prompt_ids: str | Iterable[str] | None = None,
        columns: str | Sequence[str] | None = None,
        where: Conditions = _ANY,
    ) -> TableStream:
        """Return all active features of all or of some prompts, also those that are no nodes (see ACTIVE_COLUMNS).

        The arguments and errors are those of `nodes`, with `token` as a further column. Iterating over the table raises
        ConfigError if prompts were stored without their active features (`--no-store-active`).
        """
        return active_batches(
            self._read(prompt_ids, where),
            columns,
            where,
            self.url,
            lambda: check_active_layers(where, self.num_layers, self.url),
        )

    def select(
        self,
        metadata: Conditions = _ANY,
        *,
        token: str | int | None = None,
        target: str | int | None = None,
        layer: int | None = None,
        feature: tuple[int, int] | None = None,
        **bounds: float,
    ) -> list[str]:
        """Return the ids of all prompts that meet all conditions, in sorted order; reads no edges.

        `metadata` maps metadata keys to conditions, as in `nodes`, and likewise other columns of `prompts`, such as
        sizes and scores. If a metadata key has the name of another column, it means the metadata here, as
        `metadata.<key>` always does; the column then has bounds only. `token` must be among the tokens of the prompt,
        and `target` must be one of its explained targets. Both are given as a token id or as a text, which matches with
        or without a space before it; a text that begins with a space, or that is in double quotes (`'"Texas"'`), must
        match exactly. With `layer`, some feature of that layer must be a node of the graph; with `feature`, a pair
        (layer, index), that very feature must be one. `bounds` are named `min_` or `max_` followed by a score or a
        size: `min_replacement=0.8`, `max_num_tokens=20`. Raises ConfigError for a key, bound, layer or feature that
        does not exist.
        """
        if feature is not None:
            check_site(*(feature if isinstance(feature, tuple | list) and len(feature) == 2 else (feature, None)))
        if layer is not None:
            check_layer(layer, self.num_layers, self.url)
        found = list(self)
        if metadata or bounds:
            found = self.prompts["id"][rows_where(self.prompts, metadata, bounds)].tolist()
        for has in predicates(token, target, layer):
            found = sorted(prompts_with(self._parts_of(found), has))
        return found if feature is None else sorted({*found} & {*self.occurrences(*feature)["prompt"]})

    def ranges(
        self, prompt_ids: str | Iterable[str] | None, *sizes: Size, most_rows: int | None = None
    ) -> Iterator[PartRange]:
        """Yield all prompts, or those of one or several ids, as ranges of a part, part by part.

        Each has at most `most_rows` rows of the tables with these sizes, unless a single prompt has more; the default
        is about a million. Raises PromptNotFound.
        """
        return part_ranges(self._parts_of(prompt_ids), *sizes, most_rows=most_rows)

    def scan_nodes(self, names: Sequence[str], first: int = 0) -> Iterator[NodeScan]:
        """Yield columns of all node tables by short name (`kind`, `layer`, `feature`, `influence`, ...), part by part.

        `first` is the number of the commit to begin with.
        """
        for part, rows in self._parts(first):
            read = PartRange(part, rows)
            columns = part.nodes(names, read.rows("num_nodes"))
            yield NodeScan([entry.id for entry in read.entries], read.prompt_N, columns)

    def occurrences(self, layer: int, feature: int) -> Table:
        """Return every node that is this feature, sorted by prompt, then by position.

        Columns: prompt, position, activation, influence, number of the node in its graph. Reads the feature's own rows
        of the index, and the complete node tables of those parts that no index covers. Raises ConfigError for a layer
        or a feature index that the graphs of this store cannot have.
        """
        check_site(layer, feature)
        commits = range(self.num_indexed, len(self.catalogue.commits))
        later = ((commit, Part(self.root, self.manifest(commit))) for commit in commits if self.catalogue.rows(commit))
        found = occurrences(self.catalogue, self.index, later, layer, feature)
        if not len(found):
            check_feature(layer, feature, self.num_layers, self.info, self.url)
        return found

    def checks(self, kind: str, settings: Mapping[str, Any] | None = None) -> Table:
        """Return the evaluation results of one kind (`edges`, `faithfulness`, ...) for the graphs of this store.

        The results are those made with `settings`, or with the settings that were used last. The table is empty if
        nothing was evaluated yet. Raises ConfigError for an unknown kind, and for settings that no evaluation used.
        """
        check_kind(self.root, kind, settings)
        return evaluation_results(self.root, kind, self.catalogue, settings).table

    def digest(self) -> str:
        """Return a hash of all graphs, which is equal for all stores with the same content; reads the whole store."""
        return store_digest(self.graphs())

    def verify(self) -> int:
        """Read every object that this reader uses, compare it with its commit, and return the number of bytes checked.

        Raises StoreCorrupt, which names what is damaged and which prompts the damage concerns.
        """
        problems = [problem for part, _ in self._parts() for problem in part.objects.damaged().values()]
        problems += self.index.objects.damaged().values() if self.index else []
        if problems:
            more = and_more(len(problems) - _NAMED, "\n  ")
            listed = "\n  ".join(problems[:_NAMED])
            raise StoreCorrupt(f"{len(problems)} objects of {self.url} are damaged:\n  {listed}{more}")
        for part, _ in self._parts():
            part.head  # noqa: B018  reading it compares pointers and sizes
        return sum(manifest.num_bytes for manifest in self.manifests)

    def _parts(self, first: int = 0) -> Iterator[tuple[Part, list[int]]]:
        """Yield the parts that hold prompts, in commit order from commit `first` on, each with its prompts' rows."""
        for commit in range(first, len(self.catalogue.commits)):
            if rows := self.catalogue.rows(commit):
                yield Part(self.root, self.manifest(commit)), rows

    def _read(
        self, prompt_ids: str | Iterable[str] | None, where: Conditions
    ) -> Callable[[], Iterator[tuple[Part, list[int]]]]:
        """Return a function that yields the parts of these prompts each time it is called.

        Raises PromptNotFound at once, also for prompts that the conditions name.
        """
        wanted = None if prompt_ids is None else prompt_list(prompt_ids)
        asked = where.get("prompt", ()) if isinstance(where, Mapping) else ()
        for name in [*(wanted or ()), *(() if callable(asked) else wanted_values(asked))]:
            self._find(name)
        return partial(self._parts_of, wanted)

    def _parts_of(self, prompt_ids: str | Iterable[str] | None) -> Iterator[tuple[Part, list[int]]]:
        """Return the parts that hold these prompts, or all prompts, each with their rows.

        Raises PromptNotFound at once.
        """
        if prompt_ids is None:
            return self._parts()
        wanted: dict[int, list[int]] = {}
        for commit, row in sorted({self.catalogue.place(self._find(name)) for name in prompt_list(prompt_ids)}):
            wanted.setdefault(commit, []).append(row)
        return ((Part(self.root, self.manifest(commit)), rows) for commit, rows in wanted.items())

    def _find(self, prompt_id: str) -> int:
        try:
            return self.catalogue.number_of[prompt_id]
        except (KeyError, TypeError):
            close = hint(prompt_id, self.catalogue.ids)
            raise PromptNotFound(f"no prompt {prompt_id!r} among the {len(self)} in {self.url}{close}") from None


def _shown(value: str | float | None) -> str:
    """Return a value as a cell of a notebook's table."""
    if isinstance(value, str):
        return short(value)
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def prompt_list(prompt_ids: str | Iterable[str]) -> list[str]:
    """Return the ids as a list that can be iterated over again; a single string is one id, not a list of characters."""
    if isinstance(prompt_ids, Table):
        raise ConfigError("prompts are named by their ids: give a column of the table, such as table['id']")
    return [prompt_ids] if isinstance(prompt_ids, str) else list(prompt_ids)
