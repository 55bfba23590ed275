"""The peer's side of versus_peer.py, which starts it: circuit-tracer from a checkout, as shipped or patched.

It runs in an environment of its own, see versus_peer.py. The patch computes what every active feature receives from a
layer's gradient with one matrix product per position, instead of one vector-matrix product per feature; nothing else
changes.

Axes: A active feature (its decoder row; for cross-layer transcoders, of one layer written to), B row of a batch,
P position, D model width.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from graph_difference import graph_difference
from torch import Tensor
from worker_loop import serve

SAME = 1e-6  # share of the largest edge; the patched products are summed in another order


class Peer:
    """circuit-tracer's own entry points: attribute, prune_graph, to_pt."""

    def __init__(self, options: dict[str, Any]) -> None:
        package = checkout(options["peer"])
        self.options: dict[str, Any] = options["attribute"]
        self._attribute, self._prune = package.attribute, import_module("circuit_tracer.graph").prune_graph
        self.model = load(package, options)
        self.about: dict[str, Any] = {
            "commit": commit(options["peer"]),
            **{name: version(name) for name in ("transformers", "nnsight", "transformer-lens")},
        }
        if options["patched"]:
            self.about["patched_differs_by"] = self._patch(options["backend"], options["warm_up"])

    def attribute(self, tokens: list[int]) -> Any:
        return self._attribute(tokens, self.model, **self.options)

    def prune(self, graph: Any) -> Any:
        return self._prune(graph)

    def save(self, graph: Any, pruned: Any, folder: Path) -> None:
        folder.mkdir()
        graph.to_pt(str(folder / "graph.pt"))

    def arrays(self, graph: Any) -> dict[str, Any]:
        return {
            "tokens": graph.input_tokens.numpy(),
            "target_ids": graph.logit_token_ids.numpy(),
            "active_features": graph.active_features.numpy(),
            "selected_features": graph.selected_features.numpy(),
            "adjacency": graph.adjacency_matrix.numpy(),
        }

    def _patch(self, backend: str, tokens: list[int]) -> float:
        """Replace the hook, and return how far a graph is from the shipped hook's, relative to its largest edge."""
        shipped = self.arrays(self.attribute(tokens))
        {"nnsight": patch_nnsight, "transformerlens": patch_transformerlens}[backend]()
        found = graph_difference(shipped, self.arrays(self.attribute(tokens)))
        assert found.largest <= SAME, f"the patched hook changes the graph: {found}"
        assert found.features_in_common > 0.99, f"the patched hook selects other features: {found}"
        return found.largest


def checkout(folder: str) -> Any:
    """Import the package circuit_tracer from a checkout."""
    sys.path.insert(0, folder)
    package = import_module("circuit_tracer")
    assert Path(str(package.__file__)).is_relative_to(folder), f"{package.__file__} is another copy"
    return package


def load(package: Any, options: dict[str, Any]) -> Any:
    """Load the peer's ReplacementModel."""
    if options["backend"] == "transformerlens":
        accept_directories()
    return package.ReplacementModel.from_pretrained_and_transcoders(
        options["model"],
        load_transcoders(Path(options["transcoders"])),
        backend=options["backend"],
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def accept_directories() -> None:
    """Let TransformerLens read a directory: it accepts only names that it knows, and ignores a Llama's rotary base."""
    loading: Any = import_module("transformer_lens.loading_from_pretrained")
    named, converted = loading.get_official_model_name, loading.convert_hf_model_config

    def config_of(name: str, **options: Any) -> dict[str, Any]:
        config: dict[str, Any] = converted(name, **options)
        if config.get("positional_embedding_type") == "rotary":
            theta = import_module("transformers").AutoConfig.from_pretrained(name).rope_theta
            config.setdefault("rotary_base", theta)
        return config

    loading.get_official_model_name = lambda name: name if Path(name).is_dir() else named(name)
    loading.convert_hf_model_config = config_of


def commit(checkout: str) -> str:
    """Return the commit of the checkout, or "unknown" if git does not know it."""
    command = ["git", "-C", checkout, "rev-parse", "--show-toplevel", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return found[1] if len(found) == 2 and Path(found[0]) == Path(checkout).resolve() else "unknown"


def load_transcoders(folder: Path) -> Any:
    """Load a local directory in circuit-tracer's format, all in memory.

    Its own loader for a local directory ignores the activation function, so the inner loaders are called with it here.
    """
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    common = {name: config[name] for name in ("feature_input_hook", "feature_output_hook")}
    common |= {"scan": folder.name, "device": torch.device("cpu"), "dtype": torch.float32}
    common |= {"lazy_encoder": False, "lazy_decoder": False}
    if config["model_kind"] == "cross_layer_transcoder":
        return import_module("circuit_tracer.transcoder.cross_layer_transcoder").load_clt(str(folder), **common)
    paths = {layer: str(folder / f"layer_{layer}.safetensors") for layer in range(len(list(folder.glob("layer_*"))))}
    load = import_module("circuit_tracer.transcoder.single_layer_transcoder").load_transcoder_set
    return load(paths, activation=config.get("activation"), k=config.get("k"), **common)


def by_position(positions_A: Tensor) -> tuple[Tensor, list[tuple[int, slice]]]:
    """Return an order of decoder rows that makes each position's rows adjacent, and each position's slice in it."""
    order_A = torch.argsort(positions_A, stable=True)
    positions, counts = torch.unique_consecutive(positions_A[order_A], return_counts=True)
    ends = counts.cumsum(0).tolist()
    return order_A, [(p, slice(a, b)) for p, a, b in zip(positions.tolist(), [0, *ends], ends, strict=False)]


def products(grads_BPD: Tensor, vectors_AD: Tensor, parts: list[tuple[int, slice]]) -> Tensor:
    """Return scores [A, B] of decoder rows in the order of `by_position`: one matrix product per position."""
    grads_PDB = grads_BPD.to(vectors_AD.dtype).permute(1, 2, 0)
    scores_AB = vectors_AD.new_empty(len(vectors_AD), len(grads_BPD))
    for position, part in parts:
        torch.mm(vectors_AD[part], grads_PDB[position], out=scores_AB[part])
    return scores_AB


def as_slice(index_A: Tensor) -> Tensor | slice:
    """Return consecutive ascending numbers as a slice, with which nothing is copied; other numbers unchanged."""
    first, count = int(index_A[0]), len(index_A)
    run_A = torch.arange(first, first + count, device=index_A.device)
    return slice(first, first + count) if torch.equal(index_A, run_A) else index_A


def patch_nnsight() -> None:
    """Replace the method that scores one layer's features from a gradient."""
    context = import_module("circuit_tracer.attribution.context_nnsight").AttributionContext

    def plan(self: Any, layer: int) -> tuple[Any, Any, list[tuple[int, slice]]] | None:
        layers_A, positions_A = self.decoder_locations
        rows_A = torch.where(layers_A == layer)[0]
        if not len(rows_A):
            return None
        order_A, parts = by_position(positions_A[rows_A])
        rows_A = rows_A[order_A]
        return as_slice(rows_A), as_slice(self.encoder_to_decoder_map[rows_A]), parts

    def compute_feature_attributions(self: Any, layer: int, grads: Tensor) -> None:
        if not hasattr(self, "patched_plans"):
            self.patched_plans = [plan(self, number) for number in range(self.n_layers)]
        if (planned := self.patched_plans[layer]) is not None:
            rows, written, parts = planned
            self._batch_buffer[written] += products(grads, self.decoder_vecs[rows], parts)

    context.compute_feature_attributions = compute_feature_attributions


def patch_transformerlens() -> None:
    """Replace the factory of hooks where it is asked for features; errors and tokens keep the shipped one."""
    context = import_module("circuit_tracer.attribution.context_transformerlens").AttributionContext
    shipped = context._compute_score_hook

    def _compute_score_hook(
        self: Any, hook_name: str, output_vecs: Tensor, write_index: Any, read_index: Any = slice(None)
    ) -> tuple[str, Callable[..., None]]:
        if not isinstance(read_index, tuple):
            result: tuple[str, Callable[..., None]] = shipped(self, hook_name, output_vecs, write_index, read_index)
            return result
        order_A, parts = by_position(read_index[1])
        vectors_AD, written = output_vecs[as_slice(order_A)], as_slice(write_index[order_A])

        def hook_fn(grads: Tensor, hook: Any) -> None:
            self._batch_buffer[written] += products(grads, vectors_AD, parts)

        return hook_name, hook_fn

    context._compute_score_hook = _compute_score_hook


if __name__ == "__main__":
    serve(Peer)
