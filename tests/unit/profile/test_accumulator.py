"""States of activations against brute force over all of them, and for any order and division of the texts."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import Table

from distributed_tracer.errors import ProfileError, PromptError
from distributed_tracer.profile import accumulator
from distributed_tracer.profile.accumulator import Accumulator, Sampling
from distributed_tracer.profile.activation_bins import RELATIVE_ERROR
from distributed_tracer.profile.chunk import Window, check_activations
from distributed_tracer.profile.finish import QUANTILES, context_columns, feature_columns, finish_layer
from distributed_tracer.profile.layer_state import LayerState, Sizes, merge
from distributed_tracer.profile.layout import CONTEXTS, FEATURES, layer_file
from distributed_tracer.profile.parts import commit_part, open_parts, remove_written, write_part
from distributed_tracer.profile.sampling_hash import hashes, position_keys
from distributed_tracer.table_folder import import_parquet

LAYERS, FEATURES_OF_LAYER, PROMPTS = 2, 9, 40
SIZES = Sizes(per_quantile=2, intervals=3)
SAMPLING = Sampling(SIZES, radius=3, seed=5)


def windows_of(number: int, rng: np.random.Generator) -> list[Window]:
    """One prompt of one or two windows; feature 0 is always active, 8 hardly ever, and some are negative."""
    windows, first = [], 0
    for _ in range(rng.integers(1, 3)):
        num_tokens = int(rng.integers(2, 30))
        layers = []
        for layer in range(LAYERS):
            is_active = rng.random((num_tokens, FEATURES_OF_LAYER)) < 1 / (1 + np.arange(FEATURES_OF_LAYER)) ** 2
            place, feature = np.nonzero(is_active)
            activation = rng.lognormal(size=len(place)) * 10.0 ** (layer * rng.integers(-3, 3, len(place)))
            activation[rng.random(len(place)) < 0.1] *= -1
            rounded = np.where(rng.random(len(place)) < 0.3, np.rint(activation) + 0.5, activation)  # many are equal
            layers.append((place, feature, rounded.astype(np.float32)))
        windows.append(Window(number, 0, f"prompt {number}", first, 1 if first else 0, num_tokens, tuple(layers)))
        first += num_tokens
    return windows


@pytest.fixture(scope="module")
def prompts() -> list[list[Window]]:
    rng = np.random.default_rng(0)
    return [windows_of(number, rng) for number in range(PROMPTS)]


def states_of(prompts: Sequence[Sequence[Window]]) -> list[LayerState]:
    found = Accumulator(LAYERS, SAMPLING)
    for windows in prompts:
        found.add(windows)
    return found.states()


def columns_of(states: Sequence[LayerState]) -> list[Any]:
    """All columns of features and contexts, as plain values."""
    plain = []
    for layer, state in enumerate(states):
        for columns in (feature_columns(layer, state), context_columns(state, SIZES)):
            for name, values in columns.items():
                rows = values if not hasattr(values, "indptr") else (values.values_X, values.indptr)  # type: ignore[union-attr]
                plain.append(
                    (layer, name, np.concatenate(rows).tobytes() if isinstance(rows, tuple) else rows.tobytes())
                )  # type: ignore[union-attr]
    return plain


def active_tokens(prompts: Sequence[Sequence[Window]], layer: int) -> dict[int, list[tuple[float, int, int, Window]]]:
    """Activation, hash, place in the window and window of every active token, by feature."""
    found = defaultdict(list)
    for window in (window for windows in prompts for window in windows):
        place_A, feature_A, activation_A = window.active_L[layer]
        key_A = position_keys(SAMPLING.seed, window.prompt_id, window.first + place_A)
        hash_A = hashes(layer, feature_A, key_A)
        for place, feature, activation, hash_ in zip(place_A, feature_A, activation_A, hash_A, strict=True):
            found[int(feature)].append((float(activation), int(hash_), int(place), window))
    return found


@pytest.mark.parametrize("layer", range(LAYERS))
def test_counts_and_quantiles_are_those_of_all_activations(prompts: list[list[Window]], layer: int) -> None:
    columns = Table.from_pydict({n: _plain(v) for n, v in feature_columns(layer, states_of(prompts)[layer]).items()})
    expected = active_tokens(prompts, layer)
    assert columns["feature"].to_pylist() == sorted(expected)
    for row in columns.to_pylist():
        tokens = expected[row["feature"]]
        values = np.sort(np.array([token[0] for token in tokens]))
        assert row["num_active_tokens"] == len(values)
        assert row["num_active_prompts"] == len({token[3].number for token in tokens})
        assert row["mean_activation"] == pytest.approx(values.mean(), abs=len(values) * 2.0**-41)
        assert (row["min_activation"], row["max_activation"]) == (values[0], values[-1])
        for share, found in zip(QUANTILES, row["quantiles"], strict=True):
            exact = values[max(0, -(-share * len(values) // 1000) - 1)]
            assert abs(found - exact) <= RELATIVE_ERROR * abs(exact)
        counts, edges = row["histogram"], row["bin_edges"]
        assert counts == [int(((values >= a) & (values < b)).sum()) for a, b in itertools.pairwise(edges)]
        assert (sum(counts), len(counts) <= 41) == (len(values), True)
        depths = [token[2] + token[3].depth for token in tokens]
        starts = [*row["position_starts"], 10**6]
        inside = [sum(a <= depth < b for depth in depths) for a, b in itertools.pairwise(starts)]
        assert row["position_counts"] == inside


def _plain(values: Any) -> list[Any]:
    if not hasattr(values, "indptr"):
        return list(values.tolist())
    pairs = zip(values.indptr, values.indptr[1:], strict=False)
    return [values.values_X[a:b].tolist() for a, b in pairs]


@pytest.mark.parametrize("layer", range(LAYERS))
def test_contexts_are_those_that_the_rule_names(prompts: list[list[Window]], layer: int) -> None:
    columns = {n: _plain(v) for n, v in context_columns(states_of(prompts)[layer], SIZES).items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for feature, tokens in active_tokens(prompts, layer).items():
        peaks = {}
        for token in sorted(tokens, key=lambda t: (t[0], -t[2])):
            peaks[id(token[3])] = token  # the last is the strongest, and of those the first
        strongest = sorted(peaks.values(), key=lambda t: (-t[0], t[1]))[: SIZES.per_quantile]
        sample = sorted(tokens, key=lambda t: t[1])[: SIZES.sample]
        values = np.sort(np.array([token[0] for token in tokens], dtype=np.float32))
        expected = [(0, *token) for token in strongest]
        expected += [(_quantile(token[0], values), *token) for token in sample if token not in strongest]
        kept = []
        for quantile in range(SIZES.intervals + 1):
            here = sorted((e for e in expected if e[0] == quantile), key=lambda e: e[2])
            kept += sorted(here if not quantile else here[: SIZES.per_quantile], key=lambda e: (-e[1], e[2]))
        found = [row for row in rows if row["feature"] == feature]
        assert [(r["quantile"], r["activation"], r["prompt"], r["position"]) for r in found] == [
            (quantile, activation, window.number, window.first + place)
            for quantile, activation, _, place, window in kept
        ]
        for row, (_, _, _, place, window) in zip(found, kept, strict=True):
            start, stop = max(0, place - SAMPLING.radius), min(window.num_tokens, place + SAMPLING.radius + 1)
            assert (row["start"], row["stop"]) == (window.first + start, window.first + stop)
            place_A, feature_A, activation_A = window.active_L[layer]
            near = (feature_A == feature) & (place_A >= start) & (place_A < stop)
            assert row["offsets"] == (place_A[near] - start).tolist()
            assert row["activations"] == activation_A[near].tolist()


def test_the_sample_of_a_feature_has_the_smallest_hashes(prompts: list[list[Window]]) -> None:
    candidates = states_of(prompts)[0].candidates
    for feature, tokens in active_tokens(prompts, 0).items():
        mine = candidates.sampled_I & (candidates.feature_I == feature)
        assert candidates.hash_I[mine].tolist() == sorted(token[1] for token in tokens)[: SIZES.sample]


def _quantile(activation: float, values: Any) -> int:
    """The quantile of an activation, by the bins' rule, in plain arithmetic."""
    ordered = [int(v.view(np.int32)) if v >= 0 else -(int(v.view(np.int32)) & 0x7FFFFFFF) - 1 for v in values]
    own = int(np.float32(activation).view(np.int32))
    own = own if activation >= 0 else -(own & 0x7FFFFFFF) - 1
    above = 0
    for number in range(1, SIZES.intervals):
        border = ordered[-(-len(values) * number // SIZES.intervals) - 1]
        above += own >> 18 > border >> 18
    return SIZES.intervals - above


@pytest.mark.parametrize("divided", [1, 2, 7])
def test_no_bit_depends_on_order_or_division(
    prompts: list[list[Window]], divided: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = columns_of(states_of(prompts))
    monkeypatch.setattr(accumulator, "CHUNK_ACTIVE", 50 * divided)
    order = np.random.default_rng(divided).permutation(PROMPTS)
    groups = [states_of([prompts[n] for n in order[part::divided]]) for part in range(divided)]
    merged = [merge([group[layer] for group in groups], SIZES) for layer in range(LAYERS)]
    assert columns_of(merged) == expected


def test_pieces_of_a_prompt_count_as_prompts_wherever_they_are_examined(prompts: list[list[Window]]) -> None:
    one = windows_of(0, np.random.default_rng(3))[:1]
    again = [Window(0, 1, "prompt 0", 100, 1, one[0].num_tokens, one[0].active_L)]
    apart = merge([states_of([one])[0], states_of([again])[0]], SIZES)
    assert apart.num_prompts_F.tolist() == states_of([one, again])[0].num_prompts_F.tolist()
    assert apart.num_prompts_F.max() == 2


@pytest.mark.parametrize("memory_bytes", [1 << 30, 4_000])
def test_parts_become_the_same_files_however_little_memory_there_is(
    prompts: list[list[Window]], tmp_path: Path, memory_bytes: int
) -> None:
    for number in range(3):
        write_part(tmp_path, f"{number}", states_of(prompts[number::3]), [f"unit {number}"], 10)
        commit_part(tmp_path, f"{number}")
    write_part(tmp_path, "lost", states_of(prompts), ["unit 0"], 10)
    remove_written(tmp_path)
    parts = open_parts(tmp_path)
    assert [part.units for part in parts] == [("unit 0",), ("unit 1",), ("unit 2",)]
    for layer, state in enumerate(states_of(prompts)):
        assert finish_layer(tmp_path, layer, parts, SIZES, memory_bytes) == len(state)
        for kind, columns in ((FEATURES, feature_columns(layer, state)), (CONTEXTS, context_columns(state, SIZES))):
            found = import_parquet().read_table(tmp_path / layer_file(kind, layer))
            assert found.to_pydict() == {name: _plain(values) for name, values in columns.items()}


def test_a_damaged_part_is_named(prompts: list[list[Window]], tmp_path: Path) -> None:
    write_part(tmp_path, "a", states_of(prompts), ["unit"], 10)
    commit_part(tmp_path, "a")
    file = tmp_path / "work" / "parts" / "a.npz"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ProfileError, match=r"a\.npz is damaged: .*; remove it"):
        open_parts(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_activations_that_are_no_numbers_are_refused(value: float) -> None:
    check_activations(0, np.array([1.0, -1e12], dtype=np.float32))
    with pytest.raises(PromptError, match="activations of layer 3 are not finite"):
        check_activations(3, np.array([1.0, value], dtype=np.float32))
