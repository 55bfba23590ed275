"""The same graphs in other forms: a dense file for each graph, Parquet with DuckDB, a Zarr group for each prompt.

Each keeps what it needs to answer the queries, with all active features, and syncs what it wrote.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from store_questions import ByPrompt, Site, sites_of

from distributed_tracer.graph.graph import Graph
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.store.format.graph_columns import columns_of

_NODES = ("kind", "layer", "position", "feature", "activation", "influence")
_ACTIVE = ("layer", "position", "feature", "activation")


def dense_content(graph: Graph) -> dict[str, Any]:
    """Return the content of circuit-tracer's graph files under its names: rows for features, errors, tokens and
    targets.
    """
    active = graph.active
    sites = np.stack([active.layer_A, active.position_A, active.feature_A], axis=1).astype(np.int64)
    return {
        "input_string": graph.text or "",
        "adjacency_matrix": torch.from_numpy(graph.adjacency()),
        "cfg": {"n_layers": graph.num_layers},
        "active_features": torch.from_numpy(sites),
        "logit_targets": [(target.label, target.token_id) for target in graph.targets],
        "logit_probabilities": torch.tensor([target.weight for target in graph.targets]),
        "vocab_size": 50_000,
        "input_tokens": torch.from_numpy(graph.tokens_P.astype(np.int64)),
        "selected_features": torch.from_numpy(graph.selected_features().astype(np.int64)),
        "activation_values": torch.from_numpy(active.activation_A),
        "scan": None,
    }


class DenseFiles:
    """One file for each graph, as circuit-tracer writes them, read as sparingly as the format allows."""

    name = "dense .pt"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)

    def write(self, graphs: Sequence[Graph]) -> None:
        for graph in graphs:
            with (self._folder / f"{graph.prompt_id}.pt").open("wb") as file:
                torch.save(dense_content(graph), file)
                file.flush()
                os.fsync(file.fileno())

    def open(self) -> DenseFiles:
        return self

    def graph(self, prompt: str) -> int:
        content = torch.load(self._folder / f"{prompt}.pt", weights_only=True)
        return int(torch.count_nonzero(content["adjacency_matrix"]))

    def occurrences(self, site: Site) -> ByPrompt:
        return Counter({prompt: len(nodes) for prompt, _, nodes in self._having(site)})

    def edges_into(self, site: Site) -> ByPrompt:
        found = ((prompt, content["adjacency_matrix"][nodes]) for prompt, content, nodes in self._having(site))
        return +Counter({prompt: int(torch.count_nonzero(rows)) for prompt, rows in found})

    def edges_out_of(self, site: Site) -> ByPrompt:
        found = ((prompt, content["adjacency_matrix"][:, nodes]) for prompt, content, nodes in self._having(site))
        return +Counter({prompt: int(torch.count_nonzero(columns)) for prompt, columns in found})

    def cooccurring(self, site: Site, top: int) -> list[int]:
        counts: Counter[Site] = Counter()
        for _, content, _ in self._having(site):
            selected = content["active_features"][content["selected_features"]]
            counts.update({(layer, feature) for layer, _, feature in selected.tolist()})
        del counts[site]
        return sorted(counts.values(), reverse=True)[:top]

    def num_prompts(self) -> int:
        return sum(len(content["input_string"]) > 0 for _, content in self._all())

    def scan(self) -> int:
        return sum(int(torch.count_nonzero(content["adjacency_matrix"])) for _, content in self._all())

    def _all(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for path in self._folder.iterdir():
            yield path.stem, torch.load(path, weights_only=True, mmap=True)

    def _having(self, site: Site) -> Iterator[tuple[str, dict[str, Any], torch.Tensor]]:
        for prompt, content in self._all():
            selected = content["active_features"][content["selected_features"]]
            nodes = torch.nonzero((selected[:, 0] == site[0]) & (selected[:, 2] == site[1]))[:, 0]
            if len(nodes):
                yield prompt, content, nodes


class ZarrGroups:
    """One Zarr group for each prompt and an array for each column, with zarr's own defaults."""

    name = "zarr groups"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)

    def write(self, graphs: Sequence[Graph]) -> None:
        for graph in graphs:
            group = zarr.create_group(self._folder / graph.prompt_id, attributes={"text": graph.text})
            for name, values in columns_of(graph).items():
                if name.partition("/")[0] in ("nodes", "edges", "active"):
                    group.create_array(name, data=values)
            for path in (self._folder / graph.prompt_id).rglob("*"):
                descriptor = os.open(path, os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)

    def open(self) -> ZarrGroups:
        return self

    def graph(self, prompt: str) -> int:
        group = zarr.open_group(self._folder / prompt, mode="r")
        for name in (*(f"nodes/{name}" for name in _NODES), *(f"active/{name}" for name in _ACTIVE)):
            group[name][:]
        return len(group["edges/weight"][:]) if len(group["edges/source"][:]) else 0

    def occurrences(self, site: Site) -> ByPrompt:
        return Counter({prompt: len(nodes) for prompt, _, nodes in self._having(site)})

    def edges_into(self, site: Site) -> ByPrompt:
        counts: ByPrompt = Counter()
        for prompt, group, nodes in self._having(site):
            end = np.cumsum(group["nodes/in_degree"][:])
            degree = group["nodes/in_degree"][:]
            counts[prompt] = sum(len(group["edges/weight"][end[n] - degree[n] : end[n]]) for n in nodes)
        return +counts

    def edges_out_of(self, site: Site) -> ByPrompt:
        found = ((prompt, np.isin(group["edges/source"][:], nodes)) for prompt, group, nodes in self._having(site))
        return +Counter({prompt: int(out_of.sum()) for prompt, out_of in found})

    def num_prompts(self) -> int:
        return sum("text" in zarr.open_group(path, mode="r").attrs for path in self._folder.iterdir())

    def scan(self) -> int:
        return sum(self.graph(path.name) for path in self._folder.iterdir())

    def cooccurring(self, site: Site, top: int) -> list[int]:
        counts: Counter[Site] = Counter()
        for _, group, _ in self._having(site):
            is_feature = group["nodes/kind"][:] == NodeKind.FEATURE
            layer, feature = group["nodes/layer"][:][is_feature], group["nodes/feature"][:][is_feature]
            counts.update(set(zip(layer.tolist(), feature.tolist(), strict=True)))
        del counts[site]
        return sorted(counts.values(), reverse=True)[:top]

    def _having(self, site: Site) -> Iterator[tuple[str, Any, Any]]:
        for path in self._folder.iterdir():
            group = zarr.open_group(path, mode="r")
            is_site = (group["nodes/layer"][:] == site[0]) & (group["nodes/feature"][:] == site[1])
            nodes = np.flatnonzero(is_site & (group["nodes/kind"][:] == NodeKind.FEATURE))
            if len(nodes):
                yield path.name, group, nodes


def expected(graphs: Sequence[Graph], site: Site) -> tuple[ByPrompt, ByPrompt, ByPrompt, list[int]]:
    """Return occurrences, edges into, edges out of and co-occurring features, counted in the graphs themselves."""
    nodes_of, into, out_of = Counter[str](), Counter[str](), Counter[str]()
    others: Counter[Site] = Counter()
    for graph in graphs:
        is_site = (graph.nodes.layer_N == site[0]) & (graph.nodes.feature_N == site[1])
        nodes = np.flatnonzero(is_site & (graph.nodes.kind_N == NodeKind.FEATURE))
        if len(nodes):
            nodes_of[graph.prompt_id] = len(nodes)
            into[graph.prompt_id] = int(np.diff(graph.indptr)[nodes].sum())
            out_of[graph.prompt_id] = int(np.isin(graph.source_E, nodes).sum())
            others.update(sites_of(graph))
    del others[site]
    return nodes_of, +into, +out_of, sorted(others.values(), reverse=True)[:20]
