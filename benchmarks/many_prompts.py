"""Stores of very many prompts with small graphs, quickly made, for measuring what depends on the number of prompts.

A few graphs of `synthetic_graphs.py` are repeated under other ids, texts, scores and metadata, in parts of the size
that `compact` makes, with an index.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from synthetic_graphs import Corpus

from distributed_tracer.config import StoreConfig
from distributed_tracer.graph.graph import Graph
from distributed_tracer.store.format.graph_columns import columns_of
from distributed_tracer.store.format.part_manifest import PromptSummary
from distributed_tracer.store.index_builder import write_index
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import PART_PROMPTS
from distributed_tracer.store.part import Part
from distributed_tracer.store.reader import open_store
from distributed_tracer.store.writer import PartWriter

_PATTERNS = 48
_WORDS = ("the", "capital", "of", "state", "river", "seven", "mountain", "opposite", "north", "small", "city", "holds")


def make_store(url: str, count: int, part_prompts: int = PART_PROMPTS, with_index: bool = True) -> None:
    """Write a store of `count` prompts. A hundred thousand take about a minute and 400 MB."""
    ledger = Ledger(url)
    ledger.create_or_check({"identity": {"model": "made by benchmarks/many_prompts.py"}})
    writer = PartWriter(url, StoreConfig(url))
    for entry, columns in _prompts(count):
        writer.keep(entry, columns)
        if len(writer) >= part_prompts:
            _flush(ledger, writer)
    _flush(ledger, writer)
    if with_index:
        store = open_store(url)
        parts = [Part(store.root, store.manifest(commit)) for commit in range(len(store.catalogue.commits))]
        write_index(store.root, 1, store.catalogue, parts)


def _flush(ledger: Ledger, writer: PartWriter) -> None:
    manifest = writer.flush()
    if manifest is not None:
        ledger.commit(manifest)


def _prompts(count: int) -> Iterator[tuple[PromptSummary, dict[str, Any]]]:
    """Yield each prompt's entry and columns: those of a pattern, with an id, a text, scores and metadata of its own."""
    corpus = Corpus(num_layers=4, num_features=256, active_per_site=1, nodes=40.0, edges=60.0)
    patterns = [replace(corpus.graph(number), metadata={}) for number in range(_PATTERNS)]
    columns = [columns_of(graph) for graph in patterns]
    rng = np.random.default_rng(0)
    for number in range(count):
        pattern = int(rng.integers(0, _PATTERNS))
        yield _prompt(number, patterns[pattern], columns[pattern], rng)


def _prompt(
    number: int, graph: Graph, columns: dict[str, Any], rng: np.random.Generator
) -> tuple[PromptSummary, dict[str, Any]]:
    name = f"prompt-{uuid.UUID(int=int(rng.integers(1 << 62))).hex[16:]}-{number:07d}"
    scores = rng.random(4)
    metadata = (
        f'{{"family":"family-{number % 20}","number":{number},"held_out":{"true" if number % 7 == 0 else "false"},'
        f'"subject":"{_WORDS[number % len(_WORDS)]} {number % 5000}","difficulty":{rng.normal():.6f}}}'
    )
    text = f"Fact {number}: {' '.join(rng.choice(_WORDS, 12))} is"
    entry = PromptSummary(
        id=name,
        num_tokens=len(graph.tokens_P),
        num_targets=len(graph.targets),
        num_nodes=len(graph.nodes),
        num_edges=graph.num_edges,
        num_active=len(graph.active),
        replacement=float(scores[0]),
        completeness=float(scores[1]),
        asked=f"{number:064x}",
    )
    return entry, {
        **columns,
        "prompts/id": _bytes(name),
        "prompts/text": _bytes(text),
        "prompts/metadata": _bytes(metadata),
        "prompts/scores": scores.reshape(columns["prompts/scores"].shape),
    }


def _bytes(text: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(text.encode(), dtype=np.uint8)
