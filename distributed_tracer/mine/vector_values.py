"""Reads graph vectors: the numbers of each prompt's graph, a part range at a time.

Sums over the nodes and edges of a graph are added in their order in float64, so that a row is the same bit for bit
however prompts are divided into parts and however many are read at once.

Axes: I prompt of a part range, N node, F feature that is a node, E edge, K target, L layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..graph.nodes import NodeKind
from ..store.format.schema import COLUMNS
from ..store.read.part_range import PartRange
from .error_influence import scores_of_layers, target_weights
from .prompts import ChosenPrompts, PromptPiece
from .scan import ScannedRange, scan_ranges
from .statistics import Floats
from .vector_columns import OF_GRAPH, OF_PROMPT, of_layers

_MOST_ROWS = 1_500_000
_ROUND_OFF = 1e-6
"""By how much probabilities in float32 may exceed 1 together."""


def read_vectors(prompts: ChosenPrompts, most_rows: int = _MOST_ROWS) -> dict[str, Floats]:
    """Return the columns of numbers of the vectors, in the order of ranks. Memory holds one row for each prompt.

    Raises ConfigError if the models of the graphs have different numbers of layers.
    """
    return in_order(vectors_of_ranges(prompts, most_rows), len(prompts))


def vectors_of_ranges(
    prompts: ChosenPrompts | PromptPiece, most_rows: int
) -> Iterator[tuple[npt.NDArray[np.int32], dict[str, Floats]]]:
    """Yield the ranks of some prompts, and the columns of their vectors; at most `most_rows` nodes and edges are read
    at once."""
    for scanned in scan_ranges(prompts, min(_MOST_ROWS, max(1, most_rows))):
        yield scanned.rank_I, _of_range(scanned)


def in_order(
    parts: Iterable[tuple[npt.NDArray[np.int32], Mapping[str, Floats]]], num_prompts: int
) -> dict[str, Floats]:
    """Return columns in the order of ranks, from parts of them and their ranks.

    Raises ConfigError if the parts have different columns.
    """
    values: dict[str, Floats] = {}
    for rank_I, found in parts:
        if not values:
            values = {name: np.full(num_prompts, np.nan) for name in found}
        if values.keys() != found.keys():
            raise ConfigError(
                "the graphs are of models with different numbers of layers, whose vectors cannot be compared: choose "
                "those of one with --where num_layers=NUMBER"
            )
        for name, column in found.items():
            values[name][rank_I] = column
    return values


def _of_range(scanned: ScannedRange) -> dict[str, Floats]:
    part_range, nodes = scanned.part_range, scanned.nodes
    error_IL, weight_I = scores_of_layers(part_range), target_weights(part_range)
    scores_I4 = part_range.part.head["prompts/scores"][list(part_range.numbers)].astype(np.float64)
    num_prompts, num_layers = error_IL.shape
    prompt_N, kind_N = part_range.prompt_N, nodes["kind"]
    feature_N = np.flatnonzero(kind_N == NodeKind.FEATURE)
    prompt_F, influence_F = prompt_N[feature_N], nodes["influence"][feature_N].astype(np.float64)
    total_I, largest_I = _sum(prompt_F, influence_F, num_prompts), _max(prompt_F, influence_F, num_prompts)
    path_mean_I, path_deviation_I = _paths(part_range)
    edge_mean_I, negative_I = _edges(scanned)
    found = {
        **_of_prompts(part_range, weight_I),
        "graph_replacement": scores_I4[:, 0],
        "graph_completeness": scores_I4[:, 1],
        "graph_constant_share": scores_I4[:, 2],
        "graph_error_share": error_IL.cumsum(axis=1)[:, -1],
        "graph_active": part_range.sizes("num_active").astype(np.float64),
        **{
            name: np.bincount(prompt_N[kind_N == kind], minlength=num_prompts).astype(np.float64)
            for name, kind in (
                ("graph_features", NodeKind.FEATURE),
                ("graph_errors", NodeKind.ERROR),
                ("graph_token_nodes", NodeKind.TOKEN),
            )
        },
        "graph_edges": part_range.sizes("num_edges").astype(np.float64),
        "graph_influence": _ratio(total_I, weight_I),
        "graph_influence_entropy": _entropy(prompt_F, influence_F, total_I),
        "graph_influence_max": _ratio(largest_I, total_I),
        "graph_path_mean": path_mean_I,
        "graph_path_deviation": path_deviation_I,
        "graph_edge_mean_abs": edge_mean_I,
        "graph_edge_negative": negative_I,
    }
    assert found.keys() == OF_PROMPT.keys() | OF_GRAPH.keys(), "every column is described"
    by_layer = _by_layer(prompt_F * num_layers + nodes["layer"][feature_N], feature_N, nodes, weight_I, num_layers)
    by_layer["graph_error_share_layer_"] = error_IL
    return found | {name: by_layer[stem][:, layer] for name, stem, layer in of_layers(num_layers)}


def _of_prompts(part_range: PartRange, weight_I: Floats) -> dict[str, Floats]:
    """Return the columns that need no graph. Probabilities are known if the targets are tokens and add up to 1 at most.

    A prompt that names its targets may give them any weights, which then need not be probabilities.
    """
    rows, num_prompts = part_range.rows("num_targets"), len(weight_I)
    read = part_range.part.read({"targets/weight": rows, "targets/token_id": rows})
    prompt_K = part_range.prompt_of_rows("num_targets")
    weight_K = read["targets/weight"].astype(np.float64)
    wrong_K = (read["targets/token_id"] < 0) | ~(weight_K >= 0)
    is_known_I = (np.bincount(prompt_K, wrong_K, num_prompts) == 0) & (weight_I > 0) & (weight_I <= 1 + _ROUND_OFF)
    columns = {
        "prompt_top_probability": _max(prompt_K, weight_K, num_prompts),
        "prompt_target_mass": weight_I,
        "prompt_target_entropy": _entropy(prompt_K, weight_K, weight_I),
    }
    return {
        "prompt_tokens": part_range.sizes("num_tokens").astype(np.float64),
        "prompt_targets": part_range.sizes("num_targets").astype(np.float64),
        **{name: np.where(is_known_I, column, np.nan) for name, column in columns.items()},
    }


def _by_layer(
    place_F: npt.NDArray[Any],
    feature_N: npt.NDArray[np.intp],
    nodes: dict[str, npt.NDArray[Any]],
    weight_I: Floats,
    num_layers: int,
) -> dict[str, Floats]:
    """Return the columns of layers [prompts, layers], given the number of prompt and layer of each feature node."""
    size = len(weight_I) * num_layers
    influence_F, activation_F = (nodes[name][feature_N].astype(np.float64) for name in ("influence", "activation"))
    count, weight = np.bincount(place_F, minlength=size).astype(np.float64), np.repeat(weight_I, num_layers)
    found = {
        "graph_features_layer_": count,
        "graph_influence_layer_": _ratio(_sum(place_F, influence_F, size), weight),
        "graph_influence_max_layer_": _ratio(_max(place_F, influence_F, size), weight),
        "graph_activation_mean_layer_": _ratio(_sum(place_F, activation_F, size), count),
        "graph_activation_max_layer_": _max(place_F, activation_F, size),
    }
    return {stem: column.reshape(-1, num_layers) for stem, column in found.items()}


def _paths(part_range: PartRange) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the number of edges walked, for each prompt."""
    part, num_prompts = part_range.part, len(part_range.numbers)
    pointers, stored = part.pointers(COLUMNS["prompts/path_length"]), part.head["prompts/path_length"]
    shares = [stored[pointers[number] : pointers[number + 1]].astype(np.float64) for number in part_range.numbers]
    share = np.concatenate([np.zeros(0), *shares])
    prompt = np.repeat(np.arange(num_prompts), [len(own) for own in shares])
    length = np.concatenate([np.zeros(0), *(np.arange(1.0, len(own) + 1) for own in shares)])
    whole_I = _sum(prompt, share, num_prompts)
    mean_I = _ratio(_sum(prompt, length * share, num_prompts), whole_I)
    variance_I = _ratio(_sum(prompt, np.square(length - mean_I[prompt]) * share, num_prompts), whole_I)
    return mean_I, np.sqrt(variance_I)


def _edges(scanned: ScannedRange) -> tuple[Floats, Floats]:
    """Return the mean |weight| of the edges of each prompt, and which share of it negative edges have."""
    num_prompts = len(scanned.rank_I)
    _, weight_E = scanned.edges()
    prompt_E = scanned.part_range.prompt_of_rows("num_edges")
    abs_E = np.abs(weight_E.astype(np.float64))
    total_I = _sum(prompt_E, abs_E, num_prompts)
    negative_I = _sum(prompt_E, np.where(weight_E < 0, abs_E, 0.0), num_prompts)
    return _ratio(total_I, np.bincount(prompt_E, minlength=num_prompts)), _ratio(negative_I, total_I)


def _sum(place: npt.NDArray[Any], values: Floats, size: int) -> Floats:
    """Return the sum of the values of each place, from the first to the last."""
    return np.bincount(place, values, size).astype(np.float64)


def _max(place: npt.NDArray[Any], values: Floats, size: int) -> Floats:
    """Return the largest value of each place; NaN where there is none, and where one is not known."""
    found = np.full(size, -np.inf)
    np.maximum.at(found, place, values)
    return np.where(np.isneginf(found), np.nan, found)


def _ratio(values: Floats, by: npt.NDArray[Any]) -> Floats:
    with np.errstate(invalid="ignore"):  # inf / inf, in graphs whose numbers are not finite
        ratios: Floats = np.divide(values, by, out=np.full(len(values), np.nan), where=by > 0)
    return ratios


def _entropy(place: npt.NDArray[Any], values: Floats, total: Floats) -> Floats:
    """Return the entropy in nats of the values of each place, as shares of their total; NaN where that is not above 0.

    Values below 0 make it NaN too.
    """
    share = _ratio(values, total[place])
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(share == 0, 0.0, -share * np.log(share))
    return np.where(total > 0, _sum(place, terms, len(total)), np.nan)
