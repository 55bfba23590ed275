"""Are the edges true? Judged by arithmetic, by the model's own modules run forward, and by autograd through them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from frozen import DECISIVE, TOKENS, Case
from replay import Replay, replay
from rounding import of_tiny_model
from tiny import ARCHITECTURES, ROWS, hf_model, tiny_model
from torch import Tensor

from distributed_tracer.model.forward_cache import run_with_cache


def assert_same(found: Tensor, expected: Tensor, *of: Tensor) -> None:
    """But for the round-off of float64 in what they are made `of`, which may be larger than what is left of it."""
    off = of_tiny_model(expected, *of, dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=off)


def _explained(case: Case, at: Replay) -> Tensor:
    """Every active feature's pre-activation and every target's value without their biases: [A + K]."""
    read = []
    for layer in range(case.transcoders.shape.num_layers):
        here = case.features.layer_A == layer
        vectors, _ = case.transcoders.encoder_rows(layer, case.features.feature_A[here])
        read.append((at.inputs_PD[layer][case.features.position_A[here]] * vectors).sum(-1))
    return torch.cat([*read, case.directions.vector_KD @ at.final_PD[-1]])


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *ROWS])
def test_the_model_still_computes_what_its_library_computes(architecture: str) -> None:
    plain = hf_model(architecture)
    with torch.no_grad():
        expected = plain(input_ids=torch.tensor([TOKENS])).logits[0, -1]
    cache = run_with_cache(tiny_model(architecture), TOKENS, "mlp.hook_in", "mlp.hook_out")
    # float32 through three layers; a wrong norm, mask, sink or softcap is off by more than 1e-2
    torch.testing.assert_close(cache.logits[len(TOKENS) - 1], expected, rtol=0, atol=of_tiny_model(expected))


@pytest.mark.parametrize(("architecture", "flavour"), DECISIVE)
def test_rows_add_up_to_pre_activations(architecture: str, flavour: str, case: Callable[[str, str], Case]) -> None:
    of = case(architecture, flavour)
    rows, constants = of.all_rows()
    expected = _explained(of, replay(of.model, of.cache, skips=of.skips))
    assert_same(rows.sum(1) + constants, expected)


@pytest.mark.parametrize(("architecture", "flavour"), DECISIVE)
def test_removing_a_source_changes_everything_as_its_column_says(
    architecture: str, flavour: str, case: Callable[[str, str], Case]
) -> None:
    of = case(architecture, flavour)
    rows, _ = of.all_rows()
    base = _explained(of, replay(of.model, of.cache, skips=of.skips))
    columns = torch.arange(0, len(of.features), max(1, len(of.features) // 8)).tolist()
    for column in columns:
        changed = _explained(of, replay(of.model, of.cache, skips=of.skips, added=_minus_feature(of, column)))
        assert_same(base - changed, rows[:, column], base, changed)
    layer, position = 1, 4
    minus_error = [torch.zeros_like(error) for error in of.features.source_vectors.error_LPD]
    minus_error[layer][position] = -of.features.source_vectors.error_LPD[layer][position]
    changed = _explained(of, replay(of.model, of.cache, skips=of.skips, added=minus_error))
    column = len(of.features) + layer * len(TOKENS) + position
    assert_same(base - changed, rows[:, column], base, changed)
    embeddings = torch.zeros_like(of.cache.token_vectors_PD)
    embeddings[position] = -of.cache.token_vectors_PD[position]
    changed = _explained(of, replay(of.model, of.cache, skips=of.skips, bottom_PD=embeddings))
    column = len(of.features) + of.model.shape.num_layers * len(TOKENS) + position
    assert_same(base - changed, rows[:, column], base, changed)


def _minus_feature(case: Case, number: int) -> list[Tensor | None]:
    """Take one feature's contribution away from every MLP output it writes to."""
    features, shape = case.features, case.transcoders.shape
    layer, position = int(features.layer_A[number]), int(features.position_A[number])
    added: list[Tensor | None] = [None] * shape.num_layers
    for output_layer in shape.writes_to(layer):
        row = case.transcoders.decoder_rows(layer, features.feature_A[number : number + 1], output_layer)[0]
        push = torch.zeros_like(case.cache.outputs_PD[output_layer])
        push[position] = -features.activation_A[number] * row
        added[output_layer] = push
    return added


@pytest.mark.parametrize(("architecture", "flavour"), DECISIVE)
def test_the_sweep_equals_autograd(architecture: str, flavour: str, case: Callable[[str, str], Case]) -> None:
    of = case(architecture, flavour)
    rows, _ = of.all_rows()
    added = [torch.zeros_like(output).requires_grad_() for output in of.cache.outputs_PD]
    embeddings = torch.zeros_like(of.cache.token_vectors_PD).requires_grad_()
    explained = _explained(of, replay(of.model, of.cache, skips=of.skips, added=added, bottom_PD=embeddings))
    pushes_ILPD = torch.stack([_everywhere(of, _minus_feature(of, number)) for number in range(len(of.features))])
    some = list(range(0, len(of.features), max(1, len(of.features) // 10)))
    for row in [*some, *range(len(of.features), len(rows))]:
        *outputs, tokens = torch.autograd.grad(
            explained[row], [*added, embeddings], retain_graph=True, allow_unused=True, materialize_grads=True
        )
        assert_same(rows[row], _contract(of, pushes_ILPD, outputs, tokens))


def _everywhere(case: Case, pushes: list[Tensor | None]) -> Tensor:
    return torch.stack([torch.zeros_like(case.cache.outputs_PD[0]) if push is None else push for push in pushes])


def _contract(case: Case, pushes_ILPD: Tensor, outputs: list[Tensor], tokens: Tensor) -> Tensor:
    """Gradients at every output site and at the bottom -> one row over all columns."""
    row = torch.zeros(case.features.columns.num_columns, dtype=torch.float64)
    row[: len(case.features)] = -(pushes_ILPD * torch.stack(outputs)).sum((1, 2, 3))
    errors = [
        (output * error).sum(-1) for output, error in zip(outputs, case.features.source_vectors.error_LPD, strict=True)
    ]
    row[len(case.features) :] = torch.cat([*errors, (tokens * case.cache.token_vectors_PD).sum(-1)])
    return row
