"""Stores written by somebody who means harm: hashes agree, what they cover does not. Each reading is a StoreError or an
answer, in bounded memory, and whatever a reader refuses `verify` lists.

Objects of a tiny store are changed at random, bytes or values of JSON, and sealed again or not; each change has a
number, by which it can be repeated. HOSTILE_SECONDS (3) is for how long, HOSTILE_FIRST (0) the first number.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledgers import record_failure
from numcodecs import blosc, zstd
from random_graphs import random_graph
from random_stores import make_store, write_part

from distributed_tracer.annotations.selection import EVERYTHING, content_text, prompt_misfit, selected
from distributed_tracer.errors import ConfigError, StoreCorrupt, StoreError
from distributed_tracer.graph.context import Group, NodeKey
from distributed_tracer.graph.labels import Label
from distributed_tracer.query.average_edges import average_edges
from distributed_tracer.query.compare_groups import compare_groups
from distributed_tracer.query.feature_edges import edges_into, edges_out_of
from distributed_tracer.query.prompt_vectors import prompt_vectors
from distributed_tracer.report.status import status_of, status_text
from distributed_tracer.store.annotation_edits import write_label_edit, write_note, write_result, write_view
from distributed_tracer.store.annotation_log import open_log
from distributed_tracer.store.annotations import write_groups, write_labels
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.evaluations import EvaluatedPrompt, new_check, write_check
from distributed_tracer.store.format.annotation import PromptGroups
from distributed_tracer.store.format.annotation_subject import Subject
from distributed_tracer.store.format.checksummed_json import dump_checksummed
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.reader import open_store
from distributed_tracer.table import Table

SECONDS, FIRST = float(os.environ.get("HOSTILE_SECONDS", "3")), int(os.environ.get("HOSTILE_FIRST", "0"))
MOST_MEMORY = 400 << 20
_BY_LOT = re.compile("[0-9a-f]{32}")
VALUES: tuple[Any, ...] = (
    -1, 0, 1, 2, 7, 1 << 27, (1 << 48) - 1, 1 << 48, 10**400, -(10**400), 1e308, float("inf"), float("nan"), 0.5,
    "", "x", "../../run.json", "..\\x", "C:\\x", "/etc/passwd", "\x00", "\ud800", "x" * 100_000, "int8", "object",
    None, True, [], {}, [-1], [1 << 27], [10**400], ["x"], {"x": 1}, [[[[[]]]]],
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three prompts in two parts, one of them in an index; a run and its end, a failure, figures, and annotations."""
    path = tmp_path_factory.mktemp("hostile") / "store"
    url = str(path)
    graphs = [random_graph(f"p{i}", seed=i, num_active=12, num_positions=3, metadata={"a": [i]}) for i in range(3)]
    made = make_store(url, graphs[:2])
    ledger = Ledger(url)
    ledger.start_run(4, 0, 60.0, {})
    record_failure(ledger, "bad", "trace", "no memory", 2)
    ledger.end("finished")
    prompts = tuple(EvaluatedPrompt(name, "", "0" * 64) for name in made)
    tables = [Table({"distance": ["all"], "edges": [3], "cosine": [0.5]}) for _ in prompts]
    write_check(open_backend(url), new_check("edges", {"sample": 1}, {"by": "a test"}, prompts, tables))
    write_labels(open_backend(url), [(0, 1, Label("x", "me")), (1, 2, Label("y", "file"))])
    nodes = (NodeKey("feature", 0, 1, 1), NodeKey("target", 3, 2, 0))
    write_groups(open_backend(url), [PromptGroups("p0", made.entry("p0").asked, (Group("x", nodes),), nodes)])
    label = write_label_edit(open_backend(url), 0, 1, "z", "ann")
    write_label_edit(open_backend(url), 0, 1, None, "ann", parents=[label])
    write_note(open_backend(url), Subject.of_edge("p0", "", *nodes), "a note", "ann")
    write_view(open_backend(url), "a view", "graph?prompt=p0", "ann", ("p0", ""))
    write_result(open_backend(url), "p0", "", "a result", {"effects": [0.5]}, "ann")
    compact(url)
    ledger.commit(write_part(url, graphs[2:]))
    return path


class Attack:
    """One change of a store, and its undoing."""

    def __init__(self, store: Path, number: int) -> None:
        self.store, self.number, self.rng = store, number, random.Random(number)
        self._before: dict[Path, bytes] = {}
        self.did = ""

    def write(self, path: Path, data: bytes) -> None:
        self._before.setdefault(path, path.read_bytes())
        path.write_bytes(data)

    def undo(self) -> None:
        for path, data in self._before.items():
            path.write_bytes(data)

    def make(self) -> None:
        paths = [path for path in self.store.rglob("*") if path.is_file() and not path.name.startswith(".")]
        paths.sort(key=self.unchanging)
        named = [path for path in paths if path.suffix == ".json" and path.parent.name != "c"]
        few = [path for path in named if "parts" not in path.parts or path.parent.parent.name == "parts"]
        path = self.rng.choice(self.rng.choice([paths, named, few, few]))
        is_json = path.suffix == ".json"
        changes = [flipped, cut, *([replaced] * 6 if is_json else [bomb, nonsense, nonsense])]
        change = self.rng.choice(changes)
        is_sealed = self.rng.random() < 0.8
        self.did = f"attack {self.number}: {change.__name__} in {path.relative_to(self.store)}, sealed: {is_sealed}"
        self.write(path, change(path.read_bytes(), self.rng))
        if is_sealed:
            self.seal(path)

    def unchanging(self, path: Path) -> str:
        """A path without names that are drawn by lot: parts are in the order of their commits."""
        parts = {name.name[11:43]: f"{n:03}" for n, name in enumerate(sorted((self.store / "commits").iterdir()))}
        return _BY_LOT.sub(lambda name: parts.get(name[0], ""), str(path.relative_to(self.store)))

    def seal(self, path: Path) -> None:
        """Make hashes agree, from the object up."""
        folder, name, *below = (*path.relative_to(self.store).parts, "")
        if below == [""] or not below or folder in ("checks", "annotations"):
            if resealed := reseal(path.read_bytes()):
                self.write(path, resealed)
            return
        data, key = path.read_bytes(), "/".join(below[:-1])
        for document in (self.store / {"parts": "commits", "index": "index"}[folder]).glob("*.json"):
            said = json.loads(document.read_bytes())
            if name in (said.get("part"), said.get("group")) and key in said["objects"]:
                said["objects"][key] = [len(data), hashlib.sha256(data).hexdigest()]
                del said["sha256"]
                self.write(document, dump_checksummed(said))


def reseal(data: bytes) -> bytes | None:
    """A record whose hash is right again; None if it has none, or is no longer JSON."""
    try:
        said = json.loads(data)
        del said["sha256"]
        body = json.dumps(said, separators=(",", ":")).encode()[:-1]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return body + f',"sha256":"{hashlib.sha256(body).hexdigest()}"}}'.encode()


def flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 3])):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def replaced(data: bytes, rng: random.Random) -> bytes:
    """Another value somewhere in JSON, or deep nesting."""
    said = json.loads(data)
    places = list(_places(said))
    holder, key = rng.choice(places)
    if rng.random() < 0.1:
        deep = rng.choice([60, 70, 300, 900, 5000])
        holder[key] = "DEEP"
        return json.dumps(said).encode().replace(b'"DEEP"', b"[" * deep + b"]" * deep, 1)
    holder[key] = rng.choice(VALUES)
    return json.dumps(said, separators=(",", ":")).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, below in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(below)


def bomb(data: bytes, rng: random.Random) -> bytes:
    """Many zeros in few bytes, or a header that says so."""
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return bytes(zstd.compress(bytes(1 << rng.choice([10, 20, 27]))))
    size = rng.choice([0, 1, 1 << 20, (1 << 31) - 1, (1 << 32) - 1])
    return data[:4] + size.to_bytes(4, "little") + data[8:]


def nonsense(data: bytes, rng: random.Random) -> bytes:
    """A chunk of the right size with other values."""
    is_zstd = data[:4] == b"\x28\xb5\x2f\xfd"
    raw = bytearray((zstd if is_zstd else blosc).decompress(data))
    for _ in range(rng.choice([1, 1, 20])):
        at = rng.randrange(len(raw))
        raw[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"[[[[", bytes(4)])[: len(raw) - at]
    if is_zstd and rng.random() < 0.2:
        raw = bytearray(b"[" * len(raw))
    return bytes(zstd.compress(bytes(raw)) if is_zstd else blosc.compress(bytes(raw), b"zstd", 1))


def _figures(url: str) -> None:
    open_store(url).checks("edges")


def _annotations(url: str) -> None:
    found = open_store(url)
    for context in (found.context(name) for name in found):
        repr(context), context.labels.text(0, 1)
    cache = open_log(found.root)
    for record in selected(cache, EVERYTHING, history=True):
        record.to_json(), content_text(record), prompt_misfit(found, record.subject)
    cache.check()


def _tables(url: str) -> None:
    found = open_store(url)
    for batches in (found.nodes(), found.edges(), found.edges(where={"source_kind": "feature"})):
        list(batches)


def _on_request(url: str) -> None:
    """What is read only where it is named: strings of tokens, and active features."""
    found = open_store(url)
    found.prompt_table(columns=["tokens", "token_strings"])
    for batches in (found.nodes(columns="token"), found.edges(columns=["source_token", "target_token"])):
        list(batches)
    with suppress(ConfigError):  # a commit that lists no active features says that none were stored
        list(found.active(columns=["prompt", "layer", "activation", "is_node", "token"]))


def _questions(url: str) -> None:
    found = open_store(url)
    prompt_vectors(found).cosine()
    average_edges(found, top=5, num_buckets=64)
    with suppress(ConfigError):  # there may be a single prompt left
        compare_groups(found, list(found)[:1], list(found)[1:])


def _prompts(url: str) -> None:
    table = open_store(url).prompts
    repr(table)
    json.dumps(list(table.rows()), default=str)


def _features(url: str) -> None:
    found = open_store(url)
    index = found.index
    sites = set(zip(index.features["features/layer"].tolist(), index.features["features/feature"].tolist(),
                    strict=True)) if index else set()  # fmt: skip
    for layer, feature in [*sorted(sites)[:3], (0, 1)]:
        if 0 <= layer < found.num_layers and feature >= 0:
            found.occurrences(layer, feature)
            edges_into(found, layer, feature)
            edges_out_of(found, layer, feature)
    if index:
        index.features_of(np.arange(len(index.catalogue)))
    found.select(token="x", target="y", layer=0 if found.num_layers else None)


def _graphs(url: str) -> None:
    found = open_store(url)
    for graph in found.graphs():
        repr(graph), graph.target_E(), graph.target_weights_N(), graph.dense_index_N()


READERS: tuple[Callable[[str], object], ...] = (
    lambda url: list(Ledger(url).content_hashes()),
    lambda url: Ledger(url).failures(),
    lambda url: open_store(url).digest(),
    lambda url: status_text(status_of(url)),
    lambda url: json.dumps(status_of(url), indent=2),
    lambda url: open_store(url).verify(),
    _figures,
    _annotations,
    _tables,
    _on_request,
    _questions,
    _prompts,
    _features,
    _graphs,
)


def refusals(url: str) -> list[str]:
    """What readers refuse. Any other exception than the package's own comes through."""
    found = []
    for reader in READERS:
        try:
            reader(url)
        except StoreCorrupt as error:
            found.append(str(error))
        except StoreError:
            pass
    return found


def test_a_hostile_store_is_refused_or_read_and_what_is_refused_is_listed(store: Path) -> None:
    url, started, number = str(store), time.monotonic(), FIRST
    assert refusals(url) == []
    assert not verify(open_backend(url)).damages
    num_refused = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    while number < FIRST + 20 or time.monotonic() - started < SECONDS:
        attack = Attack(store, number)
        attack.make()
        try:
            found = refusals(url)
            try:
                is_listed = bool(verify(open_backend(url)).damages)
            except StoreError:
                is_listed = True
            num_refused += bool(found)
            assert is_listed or not found, f"verify does not list: {found}"
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before
            assert grown < MOST_MEMORY, f"{grown >> 20} MB"
        except BaseException as error:
            error.add_note(attack.did)
            raise
        finally:
            attack.undo()
        number += 1
    assert num_refused >= (number - FIRST) // 20, "a third is to be expected"
    assert refusals(url) == []


@pytest.mark.parametrize("array", ["active/position", "active/layer", "nodes/position", "tokens/string_size"])
@pytest.mark.parametrize("value", [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x03\x00\x00\x00"])
def test_a_position_a_layer_or_a_length_that_cannot_be_is_refused_and_listed(
    store: Path, array: str, value: bytes
) -> None:
    attack, url = Attack(store, 0), str(store)
    path = sorted(store.glob(f"parts/*/{array}/c/0"))[0]
    raw = bytearray(blosc.decompress(path.read_bytes()))
    raw[: len(value)] = value
    attack.write(path, blosc.compress(bytes(raw), b"zstd", 1))
    attack.seal(path)
    try:
        found = refusals(url)
        assert found, "a layer or a position that is not there, or a text of another length"
        assert verify(open_backend(url)).damages, found
    finally:
        attack.undo()


@pytest.mark.parametrize("rows", [[1 << 21, 1], [1, 0]])
def test_an_index_that_has_prompts_where_they_are_not_is_refused_and_listed(store: Path, rows: list[int]) -> None:
    attack, url = Attack(store, 0), str(store)
    (path,) = store.glob("index/*/prompts/row/c/0")
    attack.write(path, blosc.compress(np.array(rows, "<i4").tobytes(), b"zstd", 1))
    attack.seal(path)
    try:
        with pytest.raises(StoreCorrupt, match="has other prompts than commits/"):
            open_store(url).graph("p1")
        (damage,) = verify(open_backend(url)).damages
        assert damage.key.startswith("index/")
    finally:
        attack.undo()
