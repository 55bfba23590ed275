"""open_store: the analyst's side of the store. Opening reads commits only; the rest is read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import chain
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, PromptNotFound, StoreCorrupt, StoreNotFound
from ..graph.graph import Graph
from ..names import hint
from ..table import Table
from ..text import counted, html_facts, listed, short
from .backend.base import Backend
from .backend.open import open_backend
from .catalogue import Catalogue
from .commits import read_commit, read_commits
from .evaluations import check_kind, evaluation_results
from .format.digest import store_digest
from .format.part_manifest import PartManifest, PromptSummary
from .format.run_file import parse_run
from .format.schema import Columns
from .index import Index, newest_index
from .object_names import RUN
from .part import Part
from .read.column_batches import TableStream
from .read.conditions import Conditions, wanted_values
from .read.edge_batches import edge_batches
from .read.feature_bounds import check_feature, check_layer, check_layers, check_site
from .read.node_batches import node_batches
from .read.occurrences import occurrences
from .read.prefetch import prefetch
from .read.process_map import call_with_context, map_in_processes, reorder
from .read.prompt_table import prompt_table
from .read.select import predicates, prompts_with, rows_where

_OPEN_PARTS = 64
_KEPT_RECEIPTS = 1024
_NAMED = 5
_ANY: Mapping[str, Any] = MappingProxyType({})
T = TypeVar("T")


def open_store(path: str) -> Store:
    """The store at a local path or fsspec URL, as it is now; what is committed later needs opening again.

    Raises StoreNotFound, StoreVersionError for a format this program does not know, StoreCorrupt.
    """
    root = open_backend(path)
    run = root.read(RUN)
    if run is None:
        raise StoreNotFound(f"there is no store at {root.url}: it has no {RUN}")
    info, index = parse_run(run, root.url), newest_index(root)
    later = list(read_commits(root, index.covered if index else ()))
    catalogue = (index.catalogue if index else Catalogue()).with_commits(later)
    return Store(root, info, catalogue, index, dict(later[:_KEPT_RECEIPTS]))


@dataclass(frozen=True, eq=False)
class NodeScan:
    """Columns of the node tables of one part's prompts, one after another; `prompt_N` is the place in `ids`."""

    ids: list[str]
    prompt_N: npt.NDArray[np.intp]
    columns: Columns


class Store:
    """Graphs of many prompts. Where several commits name a prompt, the first one's graph is the prompt's."""

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
        """So many of the catalogue's commits, the first, are in the index."""
        self._receipts = known
        self.part = lru_cache(_OPEN_PARTS)(lambda commit: Part(root, self.receipt(commit)))
        """The part of a commit, by its number in the catalogue."""

    def __repr__(self) -> str:
        facts = self._facts()
        return f"<Store {facts['url']}: {facts['graphs']} in {facts['parts']}, of {facts['model']}>"

    def _repr_html_(self) -> str:
        """For notebooks; what comes from prompts and run.json is escaped."""
        return html_facts("store of attribution graphs", self._facts())

    def _facts(self) -> dict[str, str]:
        identity = self.info.get("identity", {})
        num_edges = int(self.catalogue.columns["num_edges"].sum())
        return {
            "url": short(self.url, 200),
            "graphs": counted(len(self), "graph"),
            "parts": counted(len(self.catalogue.commits), "part"),
            "model": short(str(identity.get("model", "unknown")), 200),
            "transcoders": short(str(identity.get("transcoders", "unknown")), 200),
            "edges": counted(num_edges, "edge"),
            "prompts": listed(self.catalogue.ids),
        }

    def __len__(self) -> int:
        return len(self.catalogue)

    def __contains__(self, prompt_id: object) -> bool:
        return prompt_id in self.catalogue.number_of

    def __iter__(self) -> Iterator[str]:
        """Prompt ids in sorted order, whoever wrote them when."""
        return iter(sorted(self.catalogue.ids))

    def receipt(self, commit: int) -> PartManifest:
        """What a commit says, by its number in the catalogue. Raises StoreCorrupt."""
        name = self.catalogue.commits[commit].name
        receipt = self._receipts[name] if name in self._receipts else read_commit(self.root, name)
        if commit < self.num_indexed and not self.catalogue.agrees(commit, receipt):
            raise StoreCorrupt(f"an index of {self.url} has other prompts than commits/{name}: see `verify`")
        return receipt

    @property
    def receipts(self) -> list[PartManifest]:
        """Of all parts that hold prompts."""
        return [self.receipt(commit) for commit in range(len(self.catalogue.commits))]

    @cached_property
    def prompts(self) -> Table:
        """One row per prompt, by id: text, sizes, scores, targets' labels, part, a column per metadata key."""
        return prompt_table(list(self._parts()))

    @cached_property
    def num_layers(self) -> int:
        """Of all graphs, which are of one model; 0 if there are none. Reads the small arrays of one part."""
        return next((int(part.head["prompts/num_layers"].max()) for part, _ in self._parts()), 0)

    def entry(self, prompt_id: str) -> PromptSummary:
        """Sizes and scores of one prompt from its commit; reads nothing. Raises PromptNotFound."""
        return self.catalogue.entry(self._find(prompt_id))

    def graph(self, prompt_id: str) -> Graph:
        """One prompt's graph; reads only its ranges. Raises PromptNotFound, StoreCorrupt."""
        commit, row = self.catalogue.place(self._find(prompt_id))
        return self.part(commit).graph(row)

    def graphs(self, prompt_ids: str | Iterable[str] | None = None) -> Iterator[Graph]:
        """All graphs, or those of one or several ids, in no particular order: each part is read once, then forgotten.

        The next part is read while this one is used; memory holds two.
        """
        jobs = (partial(part.graphs, rows) for part, rows in self._parts_of(prompt_ids))
        return chain.from_iterable(prefetch(jobs))

    def map(
        self, function: Callable[[Graph], T], prompt_ids: str | Iterable[str] | None = None, processes: int = 1
    ) -> Iterator[T]:
        """What `function` gives for each graph, in the order of `prompt_ids`, or of ids. Errors name the prompt.

        Several processes read parts of their own; `function` and what it gives must be picklable then: a function
        at the top of a module. Raises ConfigError if it is not, WorkerLost if a process ends.
        """
        if processes < 1:
            raise ConfigError(f"processes must be at least 1, not {processes}")
        order = list(self) if prompt_ids is None else prompt_list(prompt_ids)
        if processes == 1:
            return reorder(
                ((graph.prompt_id, call_with_context(function, graph)) for graph in self.graphs(order)), order
            )
        tasks = ((part.receipt, rows) for part, rows in self._parts_of(order))
        return reorder(map_in_processes(self.url, function, tasks, processes), order)

    def nodes(
        self,
        prompt_ids: str | Iterable[str] | None = None,
        columns: str | Sequence[str] | None = None,
        where: Conditions = _ANY,
    ) -> TableStream:
        """The node tables of all or some prompts as columns (see NODE_COLUMNS), in bounded memory.

        `where` has conditions by column, which all must be met: `{"kind": "feature", "layer": [2, 3]}`, or functions
        from a column to a mask. Raises PromptNotFound, ConfigError for a column, kind or layer that there is not.
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
        """Edges with what their nodes are (see EDGE_COLUMNS), as `nodes`. Parts without such nodes are not read."""
        return edge_batches(
            self._read(prompt_ids, where), columns, where, lambda: check_layers(where, self.num_layers, self.url)
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
        """Ids of the prompts that meet all conditions, in order of ids; reads no edges.

        `metadata` has conditions by key, as `nodes`. `token` is among the prompt's, `target` is explained: an id, or a
        text with or without a space before it; one that begins with a space, or is in double quotes (`'"Texas"'`), is
        taken to the letter. A feature of `layer`, or this `feature` (layer, index), is a node of the
        graph. `bounds` are `min_` or `max_` and a score or size: `min_replacement=0.8`, `max_num_tokens=20`. Raises
        ConfigError for what there is not.
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

    def scan_nodes(self, names: Sequence[str], first: int = 0) -> Iterator[NodeScan]:
        """Columns of all node tables by short name (`kind`, `layer`, `feature`, `influence`, ...), part by part.

        `first` is the number of the commit to begin with.
        """
        for part, rows in self._parts(first):
            columns = part.nodes(names)
            prompt_N = _prompt_of_node(part.receipt)
            shown_N = np.isin(prompt_N, rows)
            yield NodeScan(
                ids=[entry.id for entry in part.receipt.prompts],
                prompt_N=prompt_N[shown_N],
                columns={name: values[shown_N] for name, values in columns.items()},
            )

    def occurrences(self, layer: int, feature: int) -> Table:
        """Every node that is this feature: prompt, position, activation, influence, number of the node in its graph.

        By prompt, then position. Reads its own rows of the index; all node tables of parts that no index covers. Raises
        ConfigError for a layer or an index that graphs here cannot have.
        """
        check_site(layer, feature)
        commits = range(self.num_indexed, len(self.catalogue.commits))
        later = ((commit, Part(self.root, self.receipt(commit))) for commit in commits if self.catalogue.rows(commit))
        found = occurrences(self.catalogue, self.index, later, layer, feature)
        if not len(found):
            check_feature(layer, feature, self.num_layers, self.info, self.url)
        return found

    def checks(self, kind: str, settings: Mapping[str, Any] | None = None) -> Table:
        """Figures of one kind (`edges`, `faithfulness`) of the graphs, found with these settings, or the last used.

        Empty if none were found yet. Raises ConfigError for a kind or settings that there are not.
        """
        check_kind(self.root, kind, settings)
        return evaluation_results(self.root, kind, self.catalogue, settings).table

    def digest(self) -> str:
        """Hash of all graphs, the same for every store with the same content; reads the whole store."""
        return store_digest(self.graphs())

    def verify(self) -> int:
        """Read every object that this reads from and compare it with its commit; how many bytes agreed.

        Raises StoreCorrupt telling what is damaged and which prompts it concerns.
        """
        problems = [problem for part, _ in self._parts() for problem in part.objects.damaged().values()]
        problems += self.index.objects.damaged().values() if self.index else []
        if problems:
            more = f"\n  and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
            listed = "\n  ".join(problems[:_NAMED])
            raise StoreCorrupt(f"{len(problems)} objects of {self.url} are damaged:\n  {listed}{more}")
        for part, _ in self._parts():
            part.head  # noqa: B018  compares pointers and sizes
        return sum(receipt.num_bytes for receipt in self.receipts)

    def _parts(self, first: int = 0) -> Iterator[tuple[Part, list[int]]]:
        """Yield the parts that hold prompts, in commit order from commit `first` on, each with its prompts' rows."""
        for commit in range(first, len(self.catalogue.commits)):
            if rows := self.catalogue.rows(commit):
                yield Part(self.root, self.receipt(commit)), rows

    def _read(
        self, prompt_ids: str | Iterable[str] | None, where: Conditions
    ) -> Callable[[], Iterator[tuple[Part, list[int]]]]:
        """What gives the parts of these prompts each time it is called. Raises PromptNotFound, also for conditions."""
        wanted = None if prompt_ids is None else prompt_list(prompt_ids)
        asked = where.get("prompt", ()) if isinstance(where, Mapping) else ()
        for name in [*(wanted or ()), *(() if callable(asked) else wanted_values(asked))]:
            self._find(name)
        return partial(self._parts_of, wanted)

    def _parts_of(self, prompt_ids: str | Iterable[str] | None) -> Iterator[tuple[Part, list[int]]]:
        """The parts that hold these prompts, or any, with their rows there. Raises PromptNotFound, at once."""
        if prompt_ids is None:
            return self._parts()
        wanted: dict[int, list[int]] = {}
        for commit, row in sorted({self.catalogue.place(self._find(name)) for name in prompt_list(prompt_ids)}):
            wanted.setdefault(commit, []).append(row)
        return ((Part(self.root, self.receipt(commit)), rows) for commit, rows in wanted.items())

    def _find(self, prompt_id: str) -> int:
        try:
            return self.catalogue.number_of[prompt_id]
        except (KeyError, TypeError):
            close = hint(prompt_id, self.catalogue.ids)
            raise PromptNotFound(f"no prompt {prompt_id!r} among the {len(self)} in {self.url}{close}") from None


def prompt_list(prompt_ids: str | Iterable[str]) -> list[str]:
    """Ids that may be asked for again; a text is one id, not a list of letters."""
    if isinstance(prompt_ids, Table):
        raise ConfigError("prompts are named by their ids: give a column of the table, such as table['id']")
    return [prompt_ids] if isinstance(prompt_ids, str) else list(prompt_ids)


def _prompt_of_node(receipt: PartManifest) -> npt.NDArray[np.intp]:
    return np.repeat(np.arange(len(receipt.prompts)), [entry.num_nodes for entry in receipt.prompts])
