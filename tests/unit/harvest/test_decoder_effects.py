"""Promoted tokens and neighbours against plain arithmetic on the weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from jobs_of_cases import CASES
from rounding import largest, round_off
from torch import Tensor

from distributed_tracer.harvest import decoder_effects
from distributed_tracer.harvest.decoder_effects import nearest, top_tokens, write_decoder_effects
from distributed_tracer.model.load import load_model
from distributed_tracer.model.model import Model
from distributed_tracer.profile.layout import WEIGHTS, layer_file
from distributed_tracer.table_folder import import_parquet
from distributed_tracer.transcoder.load import load_transcoders
from distributed_tracer.transcoder.loaded import LoadedTranscoders

CASE_NAMES = ("llama_relu_plt", "llama_relu_clt", "gemma2_jumprelu_plt", "gpt2_relu_plt")


def loaded(case: str) -> tuple[Model, LoadedTranscoders]:
    return load_model(str(CASES / case / "model")), load_transcoders(str(CASES / case / "transcoders"))


def written_SD(model: Model, transcoders: LoadedTranscoders, layer: int) -> Tensor:
    """What each feature of a layer adds to the residual stream."""
    sum_SD = torch.zeros(transcoders.shape.features_L[layer], model.shape.d_model)
    for place, output in enumerate(transcoders.shape.writes_to(layer)):
        rows_SD = transcoders.layers[layer].W_dec_SLD[:, place].float()
        module = model.decoder_layers[output]
        if hasattr(module, "post_feedforward_layernorm") and transcoders.shape.output_site == "mlp.hook_out":
            rows_SD = rows_SD * (1 + module.post_feedforward_layernorm.weight)  # type: ignore[operator]
        sum_SD += rows_SD
    return sum_SD


@pytest.mark.parametrize("case", CASE_NAMES)
@torch.no_grad()
def test_promoted_tokens_are_those_of_decoder_times_unembedding(case: str) -> None:
    model, transcoders = loaded(case)
    layer = 1
    vector_SD = written_SD(model, transcoders, layer)
    norm = model.hf.get_submodule(model.sites.final_norm)
    weight_D = norm.weight + 1 if model.shape.architecture.startswith("gemma") else norm.weight
    if model.final_norm.centred:
        vector_SD = vector_SD - vector_SD.mean(-1, keepdim=True)
    unembed_VD = model.hf.get_output_embeddings().weight
    logit_SV = (vector_SD * weight_D) @ unembed_VD.T
    # Every logit, and the mean of them all, is a sum of products, whose absolute values bound every sum on the way.
    terms = (len(transcoders.shape.writes_to(layer)) + 2) * model.shape.d_model
    off = round_off(torch.float32, terms, 2 * largest((vector_SD * weight_D).abs() @ unembed_VD.abs().T))
    logit_SV -= logit_SV.mean(-1, keepdim=True)
    promoted, weights, suppressed, lowest = top_tokens(model, transcoders, layer, range(len(vector_SD)), 4)
    torch.testing.assert_close(weights, logit_SV.topk(4).values, atol=off, rtol=0)
    torch.testing.assert_close(lowest, logit_SV.topk(4, largest=False).values, atol=off, rtol=0)
    torch.testing.assert_close(logit_SV.gather(1, promoted), weights, atol=off, rtol=0)
    torch.testing.assert_close(logit_SV.gather(1, suppressed), lowest, atol=off, rtol=0)


@pytest.mark.parametrize("case", CASE_NAMES[:2])
@pytest.mark.parametrize("layer", [0, 1])
@torch.no_grad()
def test_neighbours_are_the_nearest_of_the_layer_and_the_adjacent_ones(case: str, layer: int) -> None:
    model, transcoders = loaded(case)
    others = range(max(0, layer - 1), min(transcoders.shape.num_layers, layer + 2))
    vectors = {other: torch.nn.functional.normalize(written_SD(model, transcoders, other)) for other in others}
    sites = [(other, index) for other in others for index in range(len(vectors[other]))]
    cosine_SX = vectors[layer] @ torch.cat([vectors[other] for other in others]).T
    cosine_SX[range(len(vectors[layer])), [sites.index((layer, s)) for s in range(len(vectors[layer]))]] = -2
    layers, indices, cosines = nearest(model, transcoders, layer, range(len(vectors[layer])), 3)
    off = round_off(torch.float32, (transcoders.shape.num_layers + 2) * model.shape.d_model)  # of cosines, at most 1
    torch.testing.assert_close(cosines, cosine_SX.topk(3).values, atol=off, rtol=0)
    for feature, (near_layers, near) in enumerate(zip(layers.tolist(), indices.tolist(), strict=True)):
        assert (layer, feature) not in zip(near_layers, near, strict=True)
        found = [cosine_SX[feature, sites.index(site)] for site in zip(near_layers, near, strict=True)]
        torch.testing.assert_close(torch.stack(found), cosines[feature], atol=off, rtol=0)


def test_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, transcoders = loaded("llama_relu_clt")
    found = []
    for number, logits in enumerate((2**26, 2**12)):
        monkeypatch.setattr(decoder_effects, "_LOGITS", logits)
        write_decoder_effects(tmp_path / str(number), 1, model, transcoders, 3, 2)
        found.append(import_parquet().read_table(tmp_path / str(number) / layer_file(WEIGHTS, 1)).to_pydict())
    whole, blocks = found
    assert whole["promoted"] == blocks["promoted"]
    assert whole["neighbours"] == blocks["neighbours"]
    assert whole["feature"] == list(range(transcoders.shape.features_L[1]))


def test_lists_may_be_left_out(tmp_path: Path) -> None:
    model, transcoders = loaded("llama_relu_plt")
    write_decoder_effects(tmp_path, 0, model, transcoders, 0, 0)
    found = import_parquet().read_table(tmp_path / layer_file(WEIGHTS, 0)).to_pydict()
    assert found["promoted"] == found["neighbours"] == [[]] * transcoders.shape.features_L[0]
