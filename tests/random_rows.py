"""Rows of random prompts as the sweep would return them: layered, causal, and difficult where that is allowed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from distributed_tracer.config import TraceConfig
from distributed_tracer.graph.graph import Target
from distributed_tracer.prompt import Prompt
from distributed_tracer.trace.batching import batches
from distributed_tracer.trace.column_layout import ColumnLayout, Tiling
from distributed_tracer.trace.edges import DenseEdges, Edges, ReachableColumns
from distributed_tracer.trace.encode import ActiveFeatures
from distributed_tracer.trace.frontier import Frontier
from distributed_tracer.trace.rows import EdgeBlock
from distributed_tracer.trace.sparse_edges import keep_top_mass


def random_rows(
    seed: int = 0,
    *,
    num_layers: int = 4,
    num_positions: int = 7,
    per_site: int = 6,
    num_chosen: int | None = 60,
    num_targets: int = 3,
    rows: int = 20,
    prefix_length: int = 1,
    tiling: Tiling = Tiling(width=4),  # noqa: B008  (frozen)
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    integers: bool = False,
    silent: float = 0.0,
    **options: Any,
) -> tuple[Any, ...]:
    """Return arguments for `assemble`.

    With `integers`, edges are -2 to 2, so that there are ties; `silent` is the share of rows that are zero.
    """
    generator = torch.Generator().manual_seed(seed)
    sites = torch.tensor([(lay, p) for lay in range(num_layers) for p in range(prefix_length, num_positions)])
    counts = torch.randint(0, 2 * per_site + 1, (len(sites),), generator=generator)
    layer_A, position_A = (column.to(device) for column in sites.repeat_interleave(counts, 0).view(-1, 2).T)
    num_active = len(layer_A)
    columns = ColumnLayout.of(layer_A, position_A, num_layers, num_positions, tiling, prefix_length)
    feature_A = torch.arange(num_active, device=device)
    activation_A = torch.rand(num_active, generator=generator).to(device)
    source_vectors: Any = SimpleNamespace(dtype=dtype)
    features = ActiveFeatures(layer_A, position_A, feature_A, activation_A, columns, source_vectors)
    weights = torch.rand(num_targets, generator=generator).tolist()
    targets = tuple(Target(f"t{k}", k, w, num_positions - 1, 0.0) for k, w in enumerate(weights))
    layer_K, position_K = [num_layers] * num_targets, [num_positions - 1] * num_targets
    directions: Any = SimpleNamespace(targets=targets, layer_K=layer_K, position_K=position_K)
    config = TraceConfig(num_chosen, round_size=25, **options)
    frontier = Frontier(directions, features, config, float("inf"))

    def learn(layers: list[int], positions: list[int], number_N: Tensor, is_target: bool) -> None:
        for batch in batches(layers, positions, rows, "cpu"):
            deep, at = ([of[node] for node in batch] for of in (layers, positions))
            reach = ReachableColumns(
                columns, [sum(d > lay for d in deep) for lay in range(num_layers)], len(batch), max(at) + 1, False
            )
            values = torch.randn(reach.size, generator=generator, dtype=dtype) ** 3
            values = values.round().clamp(-2, 2) if integers else values
            sounding_B = (torch.rand(len(batch), generator=generator) >= silent).to(dtype)
            for number in range(num_layers + 1):
                edges_BZ, slots = reach.layer(values, number), columns.layers[number]
                causal_BZ = slots.position_Z[: edges_BZ.shape[1]] <= torch.tensor(at)[: len(edges_BZ), None]
                edges_BZ.mul_(causal_BZ).mul_(sounding_B[: len(edges_BZ), None])
            reach.layer(values, num_layers)[:, -1] = 0  # the sweep zeroes this slot, which errors in the prefix share
            reached = DenseEdges(reach, values.to(device)).laid_out(tiling.few_calls)
            sum_B, abs_sum_B = reached.sums()
            edges: Edges = reached
            dropped_B = torch.zeros_like(sum_B)
            if config.keep_row_mass < 1:
                edges, kept_B = keep_top_mass(reached, config.keep_row_mass)
                dropped_B = (abs_sum_B - kept_B).clamp_min_(0)
            constant_B = (torch.randn(len(batch), generator=generator, dtype=torch.float64) * sounding_B).to(device)
            node_B = number_N[torch.tensor(batch)].to(device)
            block = EdgeBlock(node_B, is_target, edges, constant_B, sum_B + constant_B, sum_B, abs_sum_B, dropped_B)
            frontier.add_rows(block)

    learn(layer_K, position_K, torch.arange(num_targets), is_target=True)
    order_A = torch.randperm(num_active, generator=generator)[: frontier.num_features]
    for part_A in order_A.split(config.round_size):
        learn(layer_A.cpu()[part_A].tolist(), position_A.cpu()[part_A].tolist(), part_A, is_target=False)
    prompt = Prompt("p", tokens=tuple(range(num_positions)), metadata={"n": 1})
    return prompt, ("a",) * num_positions, directions, features, frontier


AWKWARD: dict[str, dict[str, Any]] = {
    "plain": {},
    "all features": {"num_chosen": None},
    "ties": {"integers": True, "num_targets": 2},
    "rows of zeros": {"silent": 0.4},
    "rows of zeros only": {"silent": 1.0},
    "ties and rows of zeros": {"integers": True, "silent": 0.3, "num_chosen": None},
    "without the constant": {"constant_node": False},
    "the largest edges": {"keep_row_mass": 0.8},
    "one target": {"num_targets": 1},
    "one feature": {"num_chosen": 1},
    "no features": {"per_site": 0},
    "one layer": {"num_layers": 1},
    "one token": {"num_positions": 1, "prefix_length": 0},
    "deep": {"num_layers": 12, "per_site": 2, "num_positions": 4, "num_chosen": None},
    "no prefix": {"prefix_length": 0},
    "a prefix of three": {"prefix_length": 3},
    "positions by width": {"tiling": Tiling(8, 4, 8, block=4, by_width=True)},
    "few calls": {"tiling": Tiling(width=4, few_calls=True)},
    "few calls, the largest edges": {"tiling": Tiling(width=4, few_calls=True), "keep_row_mass": 0.8},
    "float64": {"dtype": torch.float64},
}
"""Options of `random_rows`, by what makes the rows difficult."""
