"""What a notebook does, on the embedded model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs_of_cases import CASE
from rounding import largest, of_model

from distributed_tracer import Intervention, ReplacementModel, TraceConfig
from distributed_tracer.errors import FilesChanged, InputError, InterventionError, PromptError
from distributed_tracer.graph.nodes import NodeKind

DEMO = Path(__file__).parents[3] / "demo"
DALLAS = "Fact: the capital of the state containing Dallas is"
CHICAGO = "Fact: the capital of the state containing Chicago is"


@pytest.fixture(scope="module", params=["plt", "clt"])
def replacement(request: pytest.FixtureRequest) -> ReplacementModel:
    return ReplacementModel.load(str(DEMO / "model"), str(DEMO / "transcoders" / request.param))


def test_a_replacement_model_prints_as_one_short_line(replacement: ReplacementModel) -> None:
    kind = replacement.transcoders.shape.kind
    assert f"<LoadedTranscoders {kind}: 4 layers of 512 features, jumprelu, torch.float32, on cpu" in repr(replacement)
    assert len(repr(replacement)) < 250


def test_decoders_may_stay_in_their_files() -> None:
    files = ReplacementModel.load(str(DEMO / "model"), str(DEMO / "transcoders/plt"), decoders="files")
    assert files.transcoders.decoders == "files"  # type: ignore[attr-defined]


def test_a_prompt_is_traced_changed_and_looked_at(replacement: ReplacementModel) -> None:
    graph = replacement.trace(DALLAS, TraceConfig(max_feature_nodes=64, round_size=32))
    unpruned = replacement.trace(DALLAS, TraceConfig(max_feature_nodes=64, round_size=32, keep_all=True))
    assert len(graph.nodes) < len(unpruned.nodes)
    nodes = graph.nodes
    features = nodes.where(NodeKind.FEATURE)
    off = [
        Intervention(int(nodes.layer_N[n]), int(nodes.position_N[n]), int(nodes.feature_N[n]), times=0.0)
        for n in features
    ]
    effect = replacement.intervene(DALLAS, off, with_active=True)
    assert effect.tokens == replacement.tokens(DALLAS) == tuple(graph.tokens_P.tolist())
    ((before, probability), *others) = replacement.top_tokens(effect.before)
    assert before == " Austin"
    assert probability > 0.5
    assert len(others) == 4
    assert dict(replacement.top_tokens(effect.after, 3000))[" Austin"] < probability / 2
    assert effect.before.active is not None
    assert len(effect.before.active) == len(unpruned.active)
    dense_PS = effect.before.active.dense(2, len(effect.tokens), 512)
    in_2 = features[nodes.layer_N[features] == 2]
    expected = nodes.activation_N[in_2]
    off = of_model(replacement.model.shape, largest(expected))
    np.testing.assert_allclose(dense_PS[nodes.position_N[in_2], nodes.feature_N[in_2]], expected, rtol=0, atol=off)
    assert np.count_nonzero(dense_PS) == np.count_nonzero(effect.before.active.layer_A == 2)


def test_many_prompts_at_once_are_each_alone(replacement: ReplacementModel) -> None:
    doubled = [Intervention(1, -1, 7, value=5.0)]
    cases = [(DALLAS, doubled), (CHICAGO, doubled), (replacement.tokens(CHICAGO), [])]
    for asked, effect in zip(cases, replacement.intervene_many(cases), strict=True):
        alone = replacement.intervene(*asked)
        expected = alone.after.logits_V
        off = of_model(replacement.model.shape, largest(expected))
        torch.testing.assert_close(effect.after.logits_V, expected, rtol=0, atol=off)


def test_it_goes_on_as_text(replacement: ReplacementModel) -> None:
    assert replacement.generate(DALLAS, max_new_tokens=1) == " Austin"
    said = replacement.generate(DALLAS, [Intervention(3, slice(1, None), 7, value=300.0)], max_new_tokens=4)
    assert said != replacement.generate(DALLAS, max_new_tokens=4)
    assert said == replacement.generate(DALLAS, [Intervention(3, slice(1, None), 7, value=300.0)], max_new_tokens=4)


def test_positions_are_those_of_the_tokens(replacement: ReplacementModel) -> None:
    strings = replacement.token_strings(DALLAS)
    assert strings[0] == "<bos>"
    assert "".join(strings[1:]) == DALLAS


def test_what_is_wrong_is_said(replacement: ReplacementModel) -> None:
    with pytest.raises(PromptError, match="no tokens"):
        replacement.intervene("", [])
    with pytest.raises(InterventionError, match="no layer 4"):
        replacement.intervene(DALLAS, [Intervention(4, 1, 0, 1.0)])
    other = Path(__file__).parents[2] / "cases" / "gpt2_relu_plt" / "model"
    with pytest.raises(InputError):
        ReplacementModel.load(str(other), str(DEMO / "transcoders/plt"))


def test_numbers_of_tensors_set_what_plain_ones_set(replacement: ReplacementModel) -> None:
    ids = torch.tensor([replacement.tokens(DALLAS)])
    plain = replacement.intervene(DALLAS, [Intervention(1, -1, 7, value=50.0)])
    found = replacement.intervene(ids, [Intervention(*torch.tensor([1, -1, 7]), value=np.float32(50))])  # type: ignore[arg-type]
    torch.testing.assert_close(found.after.logits_V, plain.after.logits_V, rtol=0, atol=0)
    assert (found.after.logits_V - found.before.logits_V).abs().max() > 0.1
    assert replacement.generate(ids, max_new_tokens=np.int64(1)) == " Austin"  # type: ignore[arg-type]


def test_a_position_of_ids_is_not_moved_unsaid(replacement: ReplacementModel) -> None:
    ids = replacement.tokens(DALLAS)[1:]
    for place in (3, slice(3, None), slice(None, 3)):
        with pytest.raises(PromptError, match=r"do not begin with a special token.*position 3 would become 4"):
            replacement.intervene(ids, [Intervention(1, place, 7, value=1.0)])
        with pytest.raises(PromptError, match="position 3 would become 4"):
            replacement.generate(ids, [Intervention(1, place, 7, value=1.0)])
    effect = replacement.intervene(ids, [Intervention(1, -1, 7, value=1.0)])
    assert effect.tokens == replacement.tokens(DALLAS)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"constrained_layers": 2}, "constrained_layers must be a sequence"),
        ({"constrained_layers": [0, 2]}, "must follow one another"),
        ({"constrained_layers": range(9)}, "not among the 4 layers"),
        ({"freeze_attention": "no"}, "freeze_attention must be True or False, not 'no'"),
    ],
)
def test_options_are_converted_or_refused(
    replacement: ReplacementModel, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(InterventionError, match=reason):
        replacement.intervene(DALLAS, [], **options)
    with pytest.raises(InterventionError, match=reason):
        replacement.generate(DALLAS, **options)


def test_weights_that_change_under_a_replacement_model_are_noticed(tmp_path: Path) -> None:
    for name in ("model", "transcoders"):
        shutil.copytree(CASE / name, tmp_path / name)
    replacement = ReplacementModel.load(str(tmp_path / "model"), str(tmp_path / "transcoders"))
    replacement.intervene("the state", [])
    with (tmp_path / "model" / "model.safetensors").open("ab") as file:
        file.write(b"more")
    for use in (replacement.trace, replacement.generate, lambda text: replacement.intervene(text, [])):
        with pytest.raises(FilesChanged, match=r"model\.safetensors was written to or replaced"):
            use("the state")
