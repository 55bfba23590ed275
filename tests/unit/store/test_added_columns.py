"""What early versions did not store (norm scales, which rows were computed) is kept, and missed without an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_graphs import AWKWARD, random_graph, with_added_columns
from random_stores import make_store, whole

from distributed_tracer.errors import StoreError
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.copy import copy_store
from distributed_tracer.store.maintenance.merge import merge_stores
from distributed_tracer.store.maintenance.repair import repair
from distributed_tracer.store.maintenance.split import split_store
from distributed_tracer.store.maintenance.verify import verify
from distributed_tracer.store.part import Part
from distributed_tracer.store.read.part_range import PartRange
from distributed_tracer.store.reader import open_store

OLD = [random_graph("a"), AWKWARD["without features"], random_graph("z", num_layers=6)]
NEW = [with_added_columns(random_graph(f"p{i}", seed=i, num_positions=2 + i, pruned=i > 0), i) for i in range(3)]


def test_a_part_may_hold_prompts_with_and_without_them_and_other_numbers_of_layers(tmp_path: Path) -> None:
    graphs = [OLD[0], NEW[0], with_added_columns(random_graph("deep", num_layers=7)), OLD[2]]
    store = make_store(str(tmp_path / "store"), graphs)
    assert whole(store.url, graphs) == 4
    assert store.graph("p0").scales is not None
    assert store.graph("a").scales is store.graph("a").active.computed_A is None


def test_they_are_no_part_of_the_digest(tmp_path: Path) -> None:
    bare = [replace(graph, scales=None, active=replace(graph.active, computed_A=None)) for graph in NEW]
    assert make_store(str(tmp_path / "new"), NEW).digest() == make_store(str(tmp_path / "old"), bare).digest()


def test_compact_copy_merge_and_split_keep_them(tmp_path: Path) -> None:
    old, new = make_store(str(tmp_path / "old"), OLD), make_store(str(tmp_path / "new"), NEW[:2], NEW[2:])
    merged = str(tmp_path / "merged")
    merge_stores(merged, [old.url, new.url])
    assert whole(merged, [*OLD, *NEW]) == 6
    assert compact(merged).parts_after == 1
    copy_store(merged, str(tmp_path / "copy"))
    assert whole(str(tmp_path / "copy"), [*OLD, *NEW]) == 6
    split_store(open_store(merged), str(tmp_path / "split"), ["a", "p2", "z"])
    assert whole(str(tmp_path / "split"), [*OLD, *NEW]) == 3


def test_verify_finds_damage_in_them_and_repair_keeps_them_elsewhere(tmp_path: Path) -> None:
    long = with_added_columns(random_graph("long", num_positions=3_000, num_layers=60))
    store = make_store(str(tmp_path), [*NEW[:2], long, OLD[0], NEW[2]])
    (path,) = (tmp_path / "parts").glob("*/scales/read/c/1/0")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (damage,) = verify(open_backend(store.url)).damages
    assert "scales/read/c/1/0 has other content" in damage.problems[0]
    assert damage.prompts == ("long", "a", "p2")
    assert repair(store.url).num_moved == 2
    assert whole(store.url, NEW) == 2


def test_a_range_of_prompts_reads_their_scales_at_once(tmp_path: Path) -> None:
    store = make_store(str(tmp_path), [*NEW, OLD[0]], [OLD[1]])
    mixed, without = (Part(store.root, store.manifest(commit)) for commit in range(2))
    scales = PartRange(mixed, [1, 2, 3]).scales
    assert scales is not None
    kept = [graph.scales for graph in NEW[1:] if graph.scales]
    assert np.array_equal(scales.write_PL[:7], np.concatenate([one.write_PL for one in kept]))
    assert np.array_equal(scales.final_P[:7], np.concatenate([one.final_P for one in kept]))
    assert np.isnan(scales.read_PL[7:]).all()
    assert len(scales.final_P) == 12
    assert PartRange(without, [0]).scales is None


@pytest.mark.parametrize("field", ["read_PL", "write_PL"])
def test_scales_of_another_number_of_layers_or_positions_are_refused(field: str, tmp_path: Path) -> None:
    scales = NEW[0].scales
    assert scales is not None
    for values in (getattr(scales, field)[:, 1:], getattr(scales, field)[1:]):
        graph = replace(NEW[0], scales=replace(scales, **{field: values}))
        with pytest.raises(StoreError, match="graph of prompt 'p0': scales/"):
            make_store(str(tmp_path), [graph])
